"""The blinded rating sheet: nothing in it says which explainer it was, and what comes back is counted by hand."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from zoo.errors import ZooError
from zoo.pipeline import rating


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, cells, random = tmp_path_factory.mktemp("rating"), tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for name in ("amber", "rose"):
        (cells / name).mkdir()
        for number in range(20):
            Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(cells / name / f"{number}.png")
    rating.sheet(
        3, "prototypical", ["siamcam", "centre"], out, dataset=str(cells), way=2, shot=2, bank="all", episodes=2,
        backbone="conv4", device="cpu", precision="fp32", settings={"siamcam.combine": "max"},
    )  # fmt: skip
    return out


def fill(sheet: Path, name: str, grade) -> Path:
    """A copy of the CSV with the grade of each entry, by its explainer and row."""
    key = json.loads((sheet / "key.json").read_text())
    with open(sheet / "sheet.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    for row, (line, entry) in enumerate(zip(lines, key["entries"], strict=True)):
        line["rating"] = grade(entry["name"], row)
    path = sheet / f"{name}.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_the_sheet_is_blind_and_needs_no_network(sheet: Path) -> None:
    page, key = (sheet / "sheet.html").read_text(), json.loads((sheet / "key.json").read_text())
    words = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    for secret in ("siamcam", "centre", "prototypical", "conv4", *(entry["item"] for entry in key["entries"])):
        assert secret not in words
    assert "http" not in words
    assert words.count("<fieldset") == len(key["entries"]) == 6
    assert page.count("data:image/png;base64") == 7
    assert key["explainers"]["siamcam"]["combine"] == "max"
    pairs = {(entry["item"], entry["name"]) for entry in key["entries"]}
    assert len(pairs) == 6
    assert len({item for item, _ in pairs}) == 3
    assert [entry["name"] for entry in key["entries"]] != ["siamcam", "centre"] * 3


def test_ratings_by_hand(sheet: Path) -> None:
    a = fill(sheet, "anna", lambda name, row: 5 if name == "siamcam" else 2)
    b = fill(sheet, "ben", lambda name, row: 4 if name == "siamcam" else 2)
    report = rating.read([a, b], sheet / "key.json")
    assert report.raters == ["anna", "ben"]
    assert report.means["siamcam"].value == 4.5
    assert report.means["centre"].value == 2
    assert report.ratings == {"siamcam": 6, "centre": 6}
    # Fleiss: half of the entries agree. Shares: 2: 6/12, 4: 3/12, 5: 3/12; chance 1/4 + 1/16 + 1/16 = 3/8
    assert report.fleiss == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    # Cohen, quadratic: mean squared difference 1/2; by chance over all pairs of the two raters' grades
    chance = np.mean([(x - y) ** 2 for x in (5, 2) for y in (4, 2)])
    assert report.weighted == pytest.approx(1 - 0.5 / chance)
    console = Console(record=True, width=120)
    console.print(rating.table(report))
    assert "siamcam" in console.export_text()


def test_what_was_left_out_does_not_count(sheet: Path) -> None:
    a = fill(sheet, "carl", lambda name, row: "" if row == 0 else 3)
    b = fill(sheet, "dora", lambda name, row: 3)
    report = rating.read([a, b], sheet / "key.json")
    assert report.complete == 5
    assert sum(report.ratings.values()) == 11
    assert report.fleiss is report.weighted is None, "one grade alone says nothing of agreement"
    assert rating.read([b], sheet / "key.json").fleiss is None


def test_mistakes_name_the_line(sheet: Path, tmp_path: Path) -> None:
    good = fill(sheet, "eve", lambda name, row: 3)
    text = good.read_text()
    for change, said in (
        (text.replace(",3,", ",6,", 1), "line 2: rating '6'"),
        (text.replace(",001,", ",099,", 1), "line 2: entry '099'"),
        (re.sub(r"^[0-9a-f]{8}", "deadbeef", text, count=1, flags=re.M), "line 2: of another sheet"),
        (text + text.splitlines()[1] + "\n", "rated twice"),
    ):
        bad = tmp_path / "bad.csv"
        bad.write_text(change)
        with pytest.raises(ZooError, match=said):
            rating.read([bad], sheet / "key.json")
    with pytest.raises(ZooError, match="no key of a sheet"):
        rating.read([good], tmp_path / "key.json")
    with pytest.raises(ZooError, match="same name"):
        rating.read([good, good], sheet / "key.json")


@pytest.mark.parametrize(
    ("count", "explainers", "said"), [(0, ["otsu"], "--rate 0"), (2, [], "--explainer"), (2, ["otsu"] * 2, "once")]
)
def test_wrong_requests(tmp_path: Path, count: int, explainers: list[str], said: str) -> None:
    with pytest.raises(ZooError, match=said):
        rating.sheet(count, "prototypical", explainers, tmp_path)
