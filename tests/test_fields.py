"""Fields as they are packed, kept and cropped; each layout is built in miniature."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from fields import AROUND_LEFT, AROUND_RIGHT, LEFT, RIGHT, bccd, bccd_field, leukox, levels, picture
from PIL import Image

from zoo import paths
from zoo.data import card, fetch, pictures
from zoo.data.fields import bccd as bccd_reader
from zoo.data.fields import folds
from zoo.data.fields.bccd import Annotated
from zoo.data.fields.load import load, names
from zoo.data.load import load as load_items
from zoo.errors import ZooError


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def bccd_root(data: Path) -> Path:
    return bccd(data / "BCCD")


def test_datasets_with_fields() -> None:
    assert "pbc" not in names()
    assert {"bccd", "leukox", "segmentation_wbc", "smear"} <= set(names())


def test_at_their_own_size_fields_are_what_was_read(bccd_root: Path) -> None:
    fields = load("bccd", 64)
    assert (fields.pixels.shape, fields.pixels.dtype) == ((4, 48, 64, 3), np.uint8)
    assert (fields.dataset, fields.subset, fields.synthetic) == ("bccd", "partial (4 of 364)", False)
    assert fields.names == tuple(f"BloodImage_{number:05d}" for number in range(4))
    assert np.array_equal(fields.pixels[1], pictures.rgb(bccd_root / "JPEGImages" / "BloodImage_00001.jpg"))
    assert fields.scale.tolist() == [1] * 4
    truth = fields.truth(1)
    assert truth.masks is not None
    assert np.array_equal(truth.masks, [levels([RIGHT]), levels([LEFT])])
    assert truth.boxes.tolist() == [list(AROUND_RIGHT), list(AROUND_LEFT)]
    assert (truth.labels.tolist(), truth.scores.tolist()) == ([-1, -1], [1, 1])
    whole, nucleus = (levels([RIGHT]) >= 1).sum(), (levels([RIGHT]) == 2).sum()
    assert truth.nc[0] == pytest.approx(nucleus / whole)
    assert not fields.pixels.flags.writeable


def test_a_field_without_cells_is_there(bccd_root: Path) -> None:
    truth = load("bccd", 64).truth(2)
    assert truth.masks is not None
    assert (truth.masks.shape, truth.boxes.shape, truth.attributes.shape) == ((0, 48, 64), (0, 4), (0, 0))


@pytest.mark.parametrize("side", [32, 128])
def test_at_another_size_boxes_and_masks_go_with_the_pixels(bccd_root: Path, side: int) -> None:
    fields, by = load("bccd", side), side / 64
    assert fields.pixels.shape == (4, side * 3 // 4, side, 3)
    truth, expected = fields.truth(1), load("bccd", 64).truth(1)
    assert truth.masks is not None
    assert expected.masks is not None
    assert truth.boxes == pytest.approx(expected.boxes * by)
    assert (truth.masks >= 1).sum((1, 2)) == pytest.approx((expected.masks >= 1).sum((1, 2)) * by**2, rel=0.06)
    assert truth.nc == pytest.approx(expected.nc, abs=0.04)
    dark = np.asarray(fields.pixels[1]).sum(2) < 350
    nuclei = truth.masks.max(0) == 2
    assert (dark & nuclei).sum() / (dark | nuclei).sum() > 0.8


def pair(root: Path, set_name: str, number: int, mask: np.ndarray) -> None:
    (root / set_name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(mask, number)).save(root / set_name / f"{number:03d}.bmp")
    Image.fromarray(np.array([0, 128, 255], np.uint8)[mask]).save(root / set_name / f"{number:03d}.png")


@pytest.fixture
def wbc_root(data: Path) -> Path:
    """Dataset 1: 40 x 40 and 30 x 36 pixels; Dataset 2: 80 x 80. The same cell in each, twice as large in the last."""
    root = data / "segmentation_WBC"
    pair(root, "Dataset 1", 1, levels([(20, 20, 12, 6)], 40, 40))
    pair(root, "Dataset 1", 2, levels([(15, 20, 12, 6)], 36, 30))
    pair(root, "Dataset 2", 3, levels([(40, 40, 24, 12)], 80, 80))
    (root / "Class Labels of Dataset 1.csv").write_text("image ID,class label\n1,1\n2,4\n")
    (root / "Class Labels of Dataset 2.csv").write_text("image ID,class\n3,2\n")
    return root


def test_fields_of_a_series_keep_their_sizes_and_are_never_stretched(wbc_root: Path) -> None:
    fields = load("segmentation_wbc", 40)
    assert fields.pixels.shape == (3, 40, 40, 3)
    assert fields.scale.tolist() == [1, 1, 0.5]
    small = picture(levels([(15, 20, 12, 6)], 36, 30), 2)
    assert np.array_equal(fields.pixels[1, :36, :30], small)
    border = np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]]).mean(0)
    assert np.abs(fields.pixels[1, :, 30:] - border).max() <= 0.5
    assert np.abs(fields.pixels[1, 36:] - border).max() <= 0.5
    areas = [int((masks > 0).sum()) for masks in (fields.truth(i).masks for i in range(3)) if masks is not None]
    assert areas[0] == areas[1] == (levels([(20, 20, 12, 6)]) > 0).sum()
    assert areas[2] == pytest.approx(areas[0], rel=0.05)
    assert [int(one.labels[0]) for one in fields.cells] == [0, 3, 1]
    assert fields.cells[1].boxes.tolist() == [[3, 8, 28, 33]]


def test_the_second_call_reads_nothing_but_the_cache(bccd_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("bccd", 32)
    for method in ("read", "size", "digest"):
        monkeypatch.setattr(Annotated, method, None)
    second = load("bccd", 32)
    assert second.sha256 == first.sha256
    assert np.array_equal(second.pixels, first.pixels)


def test_another_box_is_another_dataset(bccd_root: Path) -> None:
    before = load("bccd", 32)
    bccd_field(bccd_root, 0, [LEFT], [(5, 12, 28, 36)])
    after = load("bccd", 32)
    assert after.sha256 != before.sha256
    assert after.cells[0].boxes.tolist() == [[2.5, 6, 14, 18]]
    (bccd_root / "labels.csv").write_text(",Image,Category\n,0,LYMPHOCYTE\n")
    assert load("bccd", 32).cells[0].labels.tolist() == [1]


def test_a_damaged_cache_is_made_again(bccd_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = np.array(load("bccd", 32).pixels)
    (file,) = (paths.cache() / "packed").glob("*/pixels.npy")
    file.write_bytes(file.read_bytes()[:-7])
    assert np.array_equal(load("bccd", 32).pixels, before)
    assert "damaged" in capsys.readouterr().err


def test_fields_that_are_or_look_the_same_are_a_group(bccd_root: Path) -> None:
    for number, copied in ((5, False), (6, True)):
        bccd_field(bccd_root, number, [LEFT], [AROUND_LEFT])
        files = [bccd_root / "JPEGImages" / f"BloodImage_{one:05d}.jpg" for one in (0, number)]
        if copied:
            shutil.copyfile(*files)
        else:
            Image.open(files[0]).save(files[1], quality=80)
    fields = load("bccd", 32)
    assert fields.groups.tolist() == [0, 1, 2, 3, 0, 0]
    dealt = folds.folds(fields, 3)
    assert dealt[0] == dealt[4] == dealt[5]


def test_what_was_left_out_is_said(bccd_root: Path) -> None:
    bccd_field(bccd_root, 0, [LEFT], [AROUND_LEFT, AROUND_RIGHT])
    (bccd_root / "JPEGImages" / "BloodImage_00001.jpg").unlink()
    assert load("bccd", 32).dropped == (
        "BloodImage_00000: box 2 holds no mask: no cell", "BloodImage_Mask_00001.png: a mask without image",
    )  # fmt: skip


def test_more_cells_than_can_be_packed_are_an_error(bccd_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.fields.pack.MOST", 1)
    with pytest.raises(ZooError, match="BloodImage_00001: 2 cells, more than the 1 that can be packed"):
        load("bccd", 32)


def test_what_cannot_be_loaded(bccd_root: Path) -> None:
    for name, side, says in (
        ("bcd", None, "did you mean 'bccd'"), ("pbc", None, "unknown dataset of fields 'pbc'"),
        ("bccd", 8, "fields of 8 pixels are too small"), ("leukox", None, "LeukoX is not public"),
        ("segmentation_wbc", None, "no data in"),
    ):  # fmt: skip
        with pytest.raises(ZooError, match=says):
            load(name, side)
    shutil.rmtree(bccd_root / "Annotations")
    with pytest.raises(ZooError, match="no field in"):
        load("bccd")


def test_leukox_says_that_it_is_not_public_and_where_to_put_it(data: Path) -> None:
    with pytest.raises(ZooError, match="LeukoX is not public") as caught:
        fetch.get("leukox")
    assert "`zoo data get leukox --from FILE_OR_FOLDER`" in str(caught.value)
    assert str(data / "leukox") in str(caught.value)


def test_leukox_from_a_folder(data: Path, tmp_path: Path) -> None:
    leukox(tmp_path / "sent" / "LeukoX")
    said = fetch.get("leukox", tmp_path / "sent")
    assert f"leukox: in {data / 'leukox'}" in said
    assert "3 whole fields, 467 published" in said
    fields = load("leukox", 64)
    assert fields.names == ("test/IMG_3", "train/IMG_1", "val/IMG_2")
    assert fields.cells[1].attributes.tolist() == [[0, 1, 2, 0], [1, 0, 0, 2]]
    assert [attribute.name for attribute in fields.attributes] == [
        "granularity", "cytoplasm_colour", "nucleus_shape", "size_vs_rbc",
    ]  # fmt: skip
    items = load_items("leukox")
    assert items.names == ("train/IMG_1/0", "train/IMG_1/1", "val/IMG_2/0")
    assert items.labels.tolist() == [0, 9, 2]
    assert items.masks is not None


def test_a_field_that_cannot_be_read_is_named_by_verify(bccd_root: Path) -> None:
    (bccd_root / "Annotations" / "BloodImage_00000.xml").write_text("<annotation>")
    (said,) = fetch.verify("bccd")
    assert "BloodImage_00000.xml: cannot be read as XML" in said


def test_real_bccd(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATA", str(real_data))
    if not (real_data / "BCCD" / "NucleusMasks").is_dir():
        pytest.skip("BCCD with its masks is not there")
    listing = bccd_reader.listing(real_data / "BCCD", card.read("bccd").classes)
    assert len(listing.entries) == card.read("bccd").fields
    labels = [entry.source.label for entry in listing.entries if isinstance(entry.source, Annotated)]
    assert np.bincount(np.array(labels) + 1).tolist() == [9, 209, 34, 20, 89, 3]
    by_name = {entry.name: entry.source for entry in listing.entries}
    for name, cells in (("BloodImage_00113", 1), ("BloodImage_00133", 1), ("BloodImage_00242", 2),
                        ("BloodImage_00313", 2)):
        field = by_name[name].read()
        assert len(field.cells.labels) == cells
        assert np.isfinite(field.cells.nc).all()


def test_real_segmentation_wbc(real_data: Path) -> None:
    if not (real_data / "segmentation_WBC").is_dir():
        pytest.skip("segmentation_WBC is not there")
    fields = load("segmentation_wbc", 64)
    labels = np.concatenate([one.labels for one in fields.cells])
    assert np.bincount(labels).tolist() == list(card.read("segmentation_wbc").counts.values())
    nc = np.concatenate([fields.truth(i).nc for i in range(len(fields.names))])
    assert ((nc - nc.mean()) ** 2).sum() / (nc**2).sum() == pytest.approx(0.086, abs=0.003)
    assert sum(np.bincount(fields.groups) > 1) == 1
    dealt = folds.folds(fields)
    assert np.bincount(dealt).tolist() == [80] * 5
    assert folds.sha256(fields, dealt) == "ab13d2a0df69c6f7909dd44913c57bbb33b114ddb6adc1417564fc953fb3b316"
