from collections import Counter
from pathlib import Path

import pytest

from zoo import paths
from zoo.data import card
from zoo.errors import ZooError

GOOD = """
name = "tiny"
title = "Tiny"
licence = "MIT"
source = "nowhere"
citation = "nobody"
layout = "folders"
folder = "tiny"
classes = ["a", "b"]
crop = 0
side = 16
"""


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "cards", lambda: tmp_path)
    (tmp_path / "tiny").mkdir()
    return tmp_path


def write(cards: Path, text: str) -> None:
    (cards / "tiny" / "card.toml").write_text(text)


def test_every_shipped_card_is_valid():
    assert {"pbc", "smear", "bloodmnist", "segmentation_wbc"} <= set(card.names())
    for name in card.names():
        assert card.read(name).name == name


def test_pbc_is_as_published():
    pbc = card.read("pbc")
    assert sum(pbc.counts.values()) == 17092
    assert list(pbc.classes) == sorted(pbc.classes)
    (subset,) = pbc.subsets
    listed = pbc.listed(subset)
    assert Counter(name.split("/")[0] for name in listed) == dict.fromkeys(pbc.classes, 750)
    assert card.read("bloodmnist").classes == pbc.classes


def test_only_drawn_datasets_are_synthetic():
    assert [name for name in card.names() if card.read(name).synthetic] == ["smear", "smear_cells", "smear_granules"]


def test_a_good_card_reads(cards: Path):
    write(cards, GOOD)
    assert card.read("tiny").classes == ("a", "b")


@pytest.mark.parametrize(("old", "new", "says"), [
    ('layout = "folders"', 'layout = "heap"', "layout"),
    ("side = 16", "side = 16\ncolour = 1", "colour"),
    ('classes = ["a", "b"]', 'classes = ["a", "a"]', "classes"),
    ("side = 16", "side = 16\ncounts = {a = 1}", "counts"),
    ("side = 16", "side = 16\nper_class = 2", "per_class"),
    ('folder = "tiny"', 'folder = "../tiny"', "folder"),
    ('name = "tiny"', 'name = "other"', "make them the same"),
    ("crop = 0", "crop = ", "TOML"),
    ("side = 16", 'side = 16\n[[downloads]]\nurl = "http://x/y"\nfile = "y"\nhash = "md5:12"', r"downloads\.0\.hash"),
    ("side = 16", 'side = 16\n[[downloads]]\nurl = "http://x/y"\nfile = "../y"', r"downloads\.0\.file"),
])
def test_a_bad_card_is_named_with_its_field(cards: Path, old: str, new: str, says: str):
    write(cards, GOOD.replace(old, new))
    with pytest.raises(ZooError, match=says) as error:
        card.read("tiny")
    assert "card.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ZooError, match="did you mean 'bloodmnist'"):
        card.read("bloodmnits")
