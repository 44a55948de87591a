"""`zoo explain --supports`: what is asked, what may come in, files, table, and one line for every mistake."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from test_explain import bank, items

from zoo import cli
from zoo.errors import ZooError
from zoo.pipeline import support_report
from zoo.pipeline.explain import ask
from zoo.pipeline.support_page import draw
from zoo.pipeline.support_report import Report, report, set_aside
from zoo.pipeline.support_sensitivity import Sensitivity, spare
from zoo.record import Figure


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise, darker and lighter, and a name that a terminal might take for markup."""
    root, random = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for name, most in (("=amber", 200), ("[red]rose", 256)):
        (root / name).mkdir()
        for number in range(30):
            pixels = random.integers(0, most, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def ask_for(count: int, cells: Path, out: Path, explainer: str = "siamcam", **choices) -> Report:
    given = {"method": "prototypical", "way": 2, "shot": 2, "bank": "all", "episodes": 2, "backbone": "conv4",
             "device": "cpu", "precision": "fp32"}  # fmt: skip
    return report(count, explainers=[explainer], out=out, dataset=str(cells), draws=2, **given | choices)


def test_files_and_table_say_the_same(cells: Path, tmp_path: Path) -> None:
    found = ask_for(5, cells, tmp_path / "out")
    assert found.written == [tmp_path / "out" / "supports.csv", tmp_path / "out" / "supports.png"]
    with open(found.written[0], newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["item"].lstrip("'") for line in lines] == [one.item for one in found.rows]
    assert all(line["item"][0] in "'[" for line in lines), "no spreadsheet takes a name for a formula"
    assert sorted({line["episode"] for line in lines}) == ["0", "1"]
    for one, line in zip(found.rows, lines, strict=True):
        assert float(line["fall"]) == pytest.approx(one.fall, abs=1e-6)
        assert line["worst"] <= line["median"] <= line["best"]
        assert one.decisive.startswith(one.predicted)
        assert one.swapped_out.startswith(one.predicted)
        assert one.swapped_in.startswith(one.predicted)
        beside = {other["item"].lstrip("'") for other in lines if other["episode"] == line["episode"]}
        assert one.swapped_in not in {*beside, one.swapped_out, one.decisive}
    assert [one.worst for one in found.rows] == sorted(one.worst for one in found.rows)
    falls = found.figures["median fall without the deciding support"]
    assert falls.value == pytest.approx(np.median([one.fall for one in found.rows]))
    assert falls.low <= falls.value <= falls.high
    console = Console(record=True, width=160)
    console.print(support_report.table(found))
    said = console.export_text()
    assert all(one.decisive in said for one in found.rows)
    with Image.open(found.written[1]) as picture:
        assert picture.size[0] > 1200
    again = ask_for(5, cells, tmp_path / "again")
    assert again.rows == found.rows
    for one, other in zip(found.written, again.written, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_temperature_is_that_of_the_record(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities at the fitted temperature are others than those of the bare scores."""
    fitted = ask_for(2, cells, tmp_path)
    monkeypatch.setattr(support_report, "on_validation", lambda *_: (1.0, None))
    assert {one.item: one.probability for one in ask_for(2, cells, tmp_path).rows} != {
        one.item: one.probability for one in fitted.rows
    }


@pytest.mark.parametrize("method", ["bd_cspn", "finetune"])
def test_methods_that_see_the_queries_or_adapt(cells: Path, tmp_path: Path, method: str) -> None:
    settings = {"steps": "2"} if method == "finetune" else {}
    found = ask_for(2, cells, tmp_path, "random", method=method, settings=settings)
    assert len(found.rows) == 2
    assert all(one.worst == 1 for one in found.rows), "that floor never looks at the supports"


def test_more_queries_than_there_are(cells: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"to explain; give \d+ or fewer"):
        ask_for(100_000, cells, tmp_path, "random")


def test_half_of_what_nobody_asks_about_is_set_aside() -> None:
    data = items()
    data.groups[[12, 14]] = 12  # both of class 0
    data.groups[17] = 11
    (asked,) = ask(bank(10, 1), 2)
    asked = asked._replace(query=np.array([1, 0]))  # items 11 and 10
    left = set_aside(data, asked)
    assert left.episode.query[left.query].tolist() == [11, 10]
    assert 17 in left.episode.query, "a duplicate of what is asked about"
    assert (12 in left.episode.query) == (14 in left.episode.query)
    assert (left.episode.query % 2 == left.episode.query_labels).all()
    for label in (0, 1):
        free = spare(data, left.episode, label, np.arange(10, 22))
        assert 2 <= len(free) <= 3
        assert not np.isin(free, left.episode.query).any()
        with pytest.raises(ZooError, match="no spare image"):
            spare(data, asked.episode, label, np.arange(10, 22))


def test_the_figures_resample_episodes() -> None:
    def one(fall: float, without: str) -> Sensitivity:
        maps = np.zeros((2, 2))
        return Sensitivity("a", "x", "x", 0.9, "b", fall, without, 0.1, 0.2, 0.3, "b", "c", maps, maps)

    found = [one(0.5, "y"), one(0.5, "y"), one(0.1, "x"), one(0.1, "x")]
    figures = support_report._figures(found, np.array([0, 0, 1, 1]))
    assert figures["share whose class is another without it"].value == 0.5
    assert figures["median fall without the deciding support"].value == pytest.approx(0.3)
    whole = figures["median fall without the deciding support"]
    assert (whole.low, whole.high) == pytest.approx((0.1, 0.5)), "either episode may be drawn twice"
    single = Report(found, {"fall": Figure(value=0.3, low=0.3, high=0.3)}, 1, [])
    console = Console(record=True, width=120)
    console.print(support_report.table(single))
    assert "too few for an interval" in console.export_text()


def test_the_picture_holds_awkward_names_and_even_maps(tmp_path: Path) -> None:
    name = "a$_{x}$ class/" + "long name " * 12 + ".png"
    maps = np.random.default_rng(0).random((5, 5))
    row = Sensitivity(name, "x", "y" * 60, 0.9, name, -0.2, "z" * 60, -0.5, 0.0, 1.0, name, name, maps, np.ones((5, 5)))
    pixels = {name: np.full((40, 60, 3), 200, np.uint8)}
    path = draw([row, row], pixels, "title " * 60, tmp_path / "one.png", "sub " * 90)
    with Image.open(path) as picture:
        edge = np.asarray(picture)[:, -20:]
    assert (edge == 255).all(), "nothing runs over the margin"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--supports", "0"], "--supports 0: give the number of queries, 1 or more"),
        (["--supports", "2", "--rate", "2"], "one of the four"),
        (["--supports", "2", "--ratings", "a.csv"], "one of the four"),
        (["cell.png", "--supports", "2"], "one of the four"),
        ([], "one of the four"),
        (["--supports", "2", "--support", "folder"], "--support and --arrays are for your own images"),
        (["--supports", "2", "--arrays"], "--support and --arrays are for your own images"),
        (["--supports", "2", "--explainer", "otsu", "--explainer", "siamcam"], "takes one at a time, not 2"),
        (["--supports", "2", "--method", "supervised"], "--method supervised: it ignores supports"),
        (["--supports", "2", "--method", "knn", "--explainer", "grad_cam"], "cannot explain 'knn'"),
        (["--supports", "2", "--explainer", "otsuu"], "did you mean 'otsu'?"),
        (["--supports", "2", "-o", __file__], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.setattr(support_report, "fit", lambda *_: pytest.fail("too late"))
    monkeypatch.setattr(sys, "argv", ["zoo", "explain", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    assert (left.value.code, out, err.count("\n")) == (2, "", 1), err
    assert said in err


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"shot": 1}, "has 1 a class"),
        ({"count": 100}, "to explain; give"),
        ({"explainer": "oracle"}, "has no masks"),
        ({"explainer": "attributes"}, "attributes"),
        ({"shot": 9}, "no spare image of"),
    ],
)
def test_what_the_data_lack_is_found_before_training(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: dict, said: str
) -> None:
    monkeypatch.setattr(support_report, "fit", lambda *_: pytest.fail("too late"))
    with pytest.raises(ZooError, match=said):
        ask_for(choices.pop("count", 2), cells, tmp_path, **choices)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_the_table_and_the_files(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ask_for(2, cells, tmp_path)
    seen = []
    monkeypatch.setattr(support_report, "report", lambda *words, **choices: seen.append((words, choices)) or made)
    words = ["explain", "--supports", "2", "--method", "stn", "--set", "siamcam.combine=max", "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["zoo", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, _ = capsys.readouterr()
    assert not left.value.code
    assert "median rank correlation, worst swap" in out
    assert out.splitlines()[-2:] == [str(path) for path in made.written]
    ((count, method, explainers, folder), choices), *_ = seen
    assert (count, method, explainers, folder) == (2, "stn", ["siamcam"], tmp_path)
    assert choices["settings"] == {"siamcam.combine": "max"}
