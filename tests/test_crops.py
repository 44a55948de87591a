"""Cells cropped from fields: items of an ordinary few-shot dataset."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from fields import LEFT, bccd, bccd_field, levels
from PIL import Image

from zoo import paths
from zoo.data import card, fetch, pictures
from zoo.data.fields import bccd as bccd_reader
from zoo.data.fields.crops import MARGIN, Crop
from zoo.data.fields.load import load
from zoo.data.load import load as load_items


@pytest.fixture
def bccd_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return bccd(tmp_path / "data" / "BCCD")


def test_cells_cropped_from_fields(bccd_root: Path) -> None:
    """A square around the box with room on every side, the cell's own mask, cells of unknown class left out."""
    items = load_items("bccd")
    assert items.names == ("BloodImage_00000/0", "BloodImage_00003/0")
    assert items.labels.tolist() == [2, 3]
    assert items.dropped == (
        "BloodImage_00001/0: its class is not known", "BloodImage_00001/1: its class is not known",
    )  # fmt: skip
    side = card.read("bccd").side
    assert items.pixels.shape == (2, side, side, 3)
    image = pictures.rgb(bccd_root / "JPEGImages" / "BloodImage_00000.jpg")
    cut = int(np.ceil(24 * (1 + 2 * MARGIN)))
    assert cut == 32
    expected = Image.fromarray(image[8:40, 0:32]).resize((side, side), Image.Resampling.BICUBIC)
    assert np.array_equal(items.pixels[0], np.asarray(expected))
    assert items.masks is not None
    mask = Image.fromarray(levels([LEFT])[8:40, 0:32]).resize((side, side), Image.Resampling.NEAREST)
    assert np.array_equal(items.masks[0], np.asarray(mask))


def test_fields_and_cells_without_masks(bccd_root: Path) -> None:
    shutil.rmtree(bccd_root / "NucleusMasks")
    fields = load("bccd", 64)
    assert fields.drawn is None
    assert fields.truth(0).masks is None
    assert np.isnan(fields.truth(0).nc).all()
    items = load_items("bccd")
    assert (len(items), items.masks) == (2, None)


def test_a_crop_over_the_edge_has_the_colour_of_the_border(bccd_root: Path) -> None:
    bccd_field(bccd_root, 0, [(6, 24, 10, 6)], [(0, 12, 18, 36)])
    entry = bccd_reader.listing(bccd_root, card.read("bccd").classes).entries[0]
    image, mask = Crop(entry.source, 0, True).read()
    field = entry.source.read()
    assert image.shape == (32, 32, 3)
    assert np.array_equal(image[:, 7:], field.image[8:40, :25])
    assert len(np.unique(image[:, :7].reshape(-1, 3), axis=0)) == 1
    assert mask is not None
    assert not mask[:, :7].any()
    assert np.array_equal(mask[:, 7:], levels([(6, 24, 10, 6)])[8:40, :25])


def test_cells_of_one_field_are_one_group(bccd_root: Path) -> None:
    rows = (bccd_root / "labels.csv").read_text().replace("NEUTROPHIL, EOSINOPHIL", "NEUTROPHIL, NEUTROPHIL")
    (bccd_root / "labels.csv").write_text(rows)
    items = load_items("bccd")
    assert items.names == ("BloodImage_00000/0", "BloodImage_00001/0", "BloodImage_00001/1", "BloodImage_00003/0")
    assert items.groups.tolist() == [0, 1, 1, 3]


def test_the_smears_fields_and_their_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("smear", "smear_cells"):
        (tmp_path / "cards" / name).mkdir(parents=True)
        text = (paths.cards() / name / "card.toml").read_text("utf-8")
        (tmp_path / "cards" / name / "card.toml").write_text(text.replace("fields = 600", "fields = 3"), "utf-8")
    monkeypatch.setattr(paths, "cards", lambda: tmp_path / "cards")
    fields = load("smear", 64)
    assert (fields.pixels.shape, fields.synthetic, fields.subset) == ((3, 48, 64, 3), True, None)
    assert fields.classes == card.read("smear_cells").classes
    items = load_items("smear_cells")
    assert len(items) == sum(len(one.labels) for one in fields.cells)
    assert items.labels.tolist() == [int(label) for one in fields.cells for label in one.labels]
    assert len(set(items.groups.tolist())) == 3
    assert items.masks is not None
    assert (items.masks[:, 42, 42] > 0).mean() > 0.8
    assert fetch.get("smear_cells").endswith("nothing to download")
    assert fetch.verify("smear_cells") == []
