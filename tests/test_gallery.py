"""The gallery: which cases it shows, and that the picture says what the cases say."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

from zoo.errors import ZooError
from zoo.pipeline.gallery import Case, choose_cases, draw
from zoo.pipeline.page import Page, fit, unit_range, width, wrap

BLUE, VERMILION = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
LONG = ["$x_{1}$ <b>bold</b> & a class with a very long name no. %d", "W" * 60 + "%d", "i%d"]


def case(predicted: str = "a", truth: str = "a", shot: int = 1, **changes: Any) -> Case:
    rng = np.random.default_rng(0)
    fields: dict = {
        "name": "a/1.jpg",
        "image": rng.integers(0, 256, (40, 40, 3), dtype=np.uint8),
        "saliency": np.add.outer(np.arange(40), np.arange(40)),
        "truth": truth,
        "predicted": predicted,
        "dissimilarity": {"a": 1.0, "b": 4.0},
        "supports": rng.integers(0, 256, (shot, 40, 40, 3), dtype=np.uint8),
        "support_saliency": None,
        "support_names": [f"a/{number}.jpg" for number in range(shot)],
    }
    return Case(**{**fields, **changes})


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def longest_run(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Longest horizontal run of exactly this colour, in pixels."""
    rows = (picture == colour).all(2)
    return max(sum(run) for row in rows for _, run in itertools.groupby(row.tolist()))


def test_typical_right_ones_then_boldest_wrong_ones() -> None:
    correct = [True, True, True, False, False, True, True]
    confidence = [0.9, 0.5, 0.7, 0.3, 0.8, 0.6, 0.99]
    # the median of 0.9 0.5 0.7 0.6 0.99 is 0.7 (item 2); the nearest to it is 0.6 (item 5)
    assert choose_cases(correct, confidence, right=2, wrong=1) == [2, 5, 4]
    assert choose_cases(correct, confidence, right=0, wrong=9) == [4, 3]


def test_every_class_has_its_turn() -> None:
    correct, confidence = [False] * 5, [0.9, 0.8, 0.7, 0.6, 0.5]
    assert choose_cases(correct, confidence, wrong=3) == [0, 1, 2]
    assert choose_cases(correct, confidence, wrong=3, labels=["a", "a", "b", "a", "c"]) == [0, 2, 4]
    assert choose_cases(correct, confidence, wrong=4, labels=["a", "a", "b", "a", "c"]) == [0, 2, 4, 1]


def test_no_case_to_choose() -> None:
    assert choose_cases([], []) == []


def test_right_cases_come_first(tmp_path: Path) -> None:
    picture = pixels(draw([case("b"), case(), case("b")], "t", tmp_path / "g.png"))
    strip = [tuple(pixel) for pixel in picture[:, round(0.335 * 110)].tolist()]
    order = [colour for colour, _ in itertools.groupby(pixel for pixel in strip if pixel in (BLUE, VERMILION))]
    assert order == [BLUE, VERMILION]
    assert strip.count(VERMILION) == pytest.approx(2 * strip.count(BLUE), abs=4)


def test_bars_are_as_long_as_the_distances(tmp_path: Path) -> None:
    picture = pixels(draw([case("a", "b")], "t", tmp_path / "g.png"))
    assert longest_run(picture, VERMILION) == pytest.approx(longest_run(picture, BLUE) / 4, abs=2)


def test_same_cases_same_bytes_whatever_the_settings(tmp_path: Path) -> None:
    first = draw([case()], "t", tmp_path / "1.png", "s").read_bytes()
    with matplotlib.rc_context({"font.size": 20, "font.family": "monospace", "figure.dpi": 50, "axes.grid": True,
                                "savefig.facecolor": "red", "text.color": "red", "contour.linewidth": 5}):
        assert draw([case()], "t", tmp_path / "2.png", "s").read_bytes() == first
    assert b"tIME" not in first
    assert b"tEXt" not in first


@pytest.mark.parametrize(("way", "shot"), [(2, 1), (10, 5), (20, 20)])
def test_nothing_overlaps(way: int, shot: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text and cell has a rectangle of its own on the page. Widths are those of the font, heights 0.8 em."""
    taken: list[tuple[str, float, float, float, float]] = []
    write_text, put_cell = Page.text, Page.cell

    def text(page: Page, x: float, y: float, text: str, size: float, colour: str = "", bold: bool = False,
             align: str = "left") -> None:
        left, half = x - width(text, size, bold) * (align == "right"), 0.4 * size / 72
        if text:
            taken.append((text, left, y - half, left + width(text, size, bold), y + half))
        write_text(page, x, y, text, size, colour or "black", bold, align)

    def cell(page: Page, x: float, y: float, side: float, *rest: np.ndarray) -> None:
        taken.append(("cell", x, y, x + side, y + side))
        put_cell(page, x, y, side, *rest)

    monkeypatch.setattr(Page, "text", text)
    monkeypatch.setattr(Page, "cell", cell)
    names = [LONG[number % 3] % number for number in range(way)]
    distances = {name: (-1) ** number * 1e5 / (number + 1) for number, name in enumerate(names)}
    common: dict = {"shot": shot, "dissimilarity": distances, "support_names": ["x/" + "y" * 99] * shot}
    maps = np.add.outer(np.zeros(shot), np.add.outer(np.arange(40), np.arange(40)))
    rows = [case(names[0], names[0], name="n" * 5000, **common), case(names[1], names[0], name="$_$", **common),
            case(names[1], names[1], support_saliency=maps, **common)]
    path = draw(rows, "t" * 500, tmp_path / "g.png", "many words " * 60)
    down, across = pixels(path).shape[:2]
    for name, left, top, right, bottom in taken:
        assert 0.2 < left < right < across / 110 - 0.2, name
        assert 0.1 < top < bottom < down / 110 - 0.1, name
    for (a, *one), (b, *other) in itertools.combinations(taken, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (a, b)
    count = f"first 5 of {shot} supports" if shot > 5 else f"{shot} support"
    assert sum(count in entry[0] for entry in taken) == 3
    assert sum(entry[0] == "cell" for entry in taken) == 3 * (2 + min(shot, 5))
    assert "$_$" in [entry[0] for entry in taken]


@pytest.mark.parametrize("change", [
    {"name": "$\\frac{ <b>&amp; \u7ec6\u80de \udcff\n.jpg", "truth": "$\\x", "predicted": "$\\x"},
    {"dissimilarity": {"a": float("-inf"), "b": float("inf")}},
    {"dissimilarity": {"a": 0.0, "b": 0.0}},
    {"image": np.zeros((20, 50, 3), np.uint8), "saliency": np.eye(20, 50)},
], ids=["signs", "infinite", "zero", "oblong"])
def test_odd_input_is_drawn(change: dict, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert pixels(draw([case(**change)], "$\\frac{", tmp_path / "g.png", "a_b^c $")).shape[1] > 1000
    assert not recwarn.list


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_even_map_marks_nothing(value: float, tmp_path: Path) -> None:
    def panel(saliency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        picture = pixels(draw([case(saliency=saliency)], "t", tmp_path / "g.png"))
        top, query, over = round(1.45 * 110), round(2.3 * 110) + 4, round(3.9 * 110) + 4
        return picture[top : top + 100, query : query + 150], picture[top : top + 100, over : over + 150]

    query, over = panel(np.full((40, 40), value))
    assert np.array_equal(query, over)
    query, over = panel(np.eye(40))
    assert not np.array_equal(query, over)


def test_saliency_is_scaled_to_its_own_range() -> None:
    assert unit_range(np.array([[-2.0, 0.0], [1.0, 2.0]])).tolist() == [[0, 0.5], [0.75, 1]]
    assert unit_range(np.array([[7, 7]])).tolist() == [[0, 0]]


def test_long_text_loses_its_middle() -> None:
    short = fit("neutrophil/" + "0" * 80 + "_SNE_1.jpg", 1.5, 8)
    assert width(short, 8) <= 1.5 < width(short + "00", 8)
    assert short.startswith("neutrophil")
    assert short.endswith("_1.jpg")
    assert fit("a_$1$", 1.5, 8) == "a_$1$"


def test_wrapped_text_keeps_its_words() -> None:
    lines = wrap("one two three four five", 0.7, 9)
    assert " ".join(lines) == "one two three four five"
    assert len(lines) > 1
    assert all(width(line, 9) <= 0.7 for line in lines)


def test_no_case_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="explain at least one query"):
        draw([], "t", tmp_path / "g.png")


def _a_folder(root: Path) -> Path:
    (root / "g.png").mkdir()
    return root / "g.png"


def _below_a_file(root: Path) -> Path:
    (root / "file").touch()
    return root / "file" / "g.png"


@pytest.mark.parametrize("target", [_a_folder, _below_a_file])
def test_unwritable_place_leaves_nothing_behind(target: Callable[[Path], Path], tmp_path: Path) -> None:
    path = target(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ZooError, match="cannot be written") as caught:
        draw([case()], "t", path)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_folder_is_made_and_file_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "g.png"
    draw([case()], "t", path)
    old = path.read_bytes()
    assert draw([case("b")], "t", path) == path
    assert path.read_bytes() != old
    assert list(path.parent.iterdir()) == [path]
