from pathlib import Path

import numpy as np
import pytest
from pictures import class_folders, mask, noise, npz, save, truncate, wbc
from PIL import Image

from zoo.data import pictures, readers
from zoo.data.items import View
from zoo.errors import ZooError

FIVE = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
EIGHT = tuple("abcdefgh")


def test_folders_sort_and_drop(tmp_path: Path):
    class_folders(tmp_path, ("b", "a"), each=2)
    (tmp_path / "a" / ".DS_1.jpg").write_bytes(b"x")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "b" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    save(tmp_path / "b" / "deep" / "one.png", noise(5))
    listing = readers.folders(tmp_path)
    assert listing.classes == ("a", "b")
    assert [(e.name, e.label) for e in listing.entries] == [
        ("a/a_0.jpg", 0), ("a/a_1.jpg", 0), ("b/b_0.jpg", 1), ("b/b_1.jpg", 1), ("b/deep/one.png", 1)]
    assert listing.dropped == ["a/.DS_1.jpg: hidden file", "a/notes.txt: not an image", "b/gone.jpg: a link to nothing"]


def test_pairs_read_two_sets_of_different_sizes(tmp_path: Path):
    listing = readers.pairs(wbc(tmp_path), FIVE)
    assert [(e.name, FIVE[e.label]) for e in listing.entries] == [
        ("Dataset 1/001", "lymphocyte"), ("Dataset 1/002", "neutrophil"), ("Dataset 1/003", "basophil"),
        ("Dataset 2/001", "eosinophil"), ("Dataset 2/002", "monocyte")]
    image, levels = listing.entries[0].source.read()
    assert image.shape == (30, 30, 3)
    assert levels is not None
    assert levels.shape == (30, 30)
    assert listing.entries[4].source.read()[0].shape == (50, 50, 3)


def test_pairs_say_which_half_is_missing(tmp_path: Path):
    wbc(tmp_path)
    (tmp_path / "Dataset 1" / "001.png").unlink()
    (tmp_path / "Dataset 2" / "001.bmp").unlink()
    listing = readers.pairs(tmp_path, FIVE)
    assert listing.dropped == ["Dataset 1/001: mask is missing", "Dataset 2/001: image is missing"]
    assert len(listing.entries) == 3


def test_pairs_refuse_an_unknown_code(tmp_path: Path):
    wbc(tmp_path)
    (tmp_path / "Class Labels of Dataset 2.csv").write_text("image ID,class\n1,6\n")
    with pytest.raises(ZooError, match="row 1,6"):
        readers.pairs(tmp_path, FIVE)


def test_mask_levels_are_cut_at_64_and_192(tmp_path: Path):
    levels = pictures.levels(save(tmp_path / "m.png", mask(20, 20)))
    assert levels[0, 0] == 0  # 63
    assert levels[5, 5] == 1  # 64
    assert levels[8, 8] == 2  # 192
    assert np.bincount(levels.ravel()).tolist() == [400 - 100, 100 - 16, 16]


def test_masks_of_class_numbers_stay_as_they_are(tmp_path: Path):
    numbers = np.array([[0, 1], [2, 1]], np.uint8)
    assert pictures.levels(save(tmp_path / "m.png", numbers)).tolist() == numbers.tolist()


def test_npz(tmp_path: Path):
    listing = readers.npz(npz(tmp_path / "x.npz"), EIGHT)
    assert [e.name for e in listing.entries] == [
        "test/00000", "test/00001", "train/00000", "train/00001", "train/00002", "train/00003",
        "val/00000", "val/00001"]
    assert [e.label for e in listing.entries] == [5, 6, 7, 0, 1, 2, 3, 4]
    with np.load(tmp_path / "x.npz") as arrays:
        assert (listing.entries[3].source.read()[0] == arrays["train_images"][1]).all()


def test_npz_refuses_pickles_and_damage(tmp_path: Path):
    np.savez(tmp_path / "p.npz", train_labels=np.array([{}], dtype=object))
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 nothing")
    np.savez(tmp_path / "n.npz", train_labels=np.array([9]))
    for name, says in (("p.npz", "cannot be read"), ("d.npz", "cannot be read"), ("n.npz", "not all in 0..7")):
        with pytest.raises(ZooError, match=says):
            readers.npz(tmp_path / name, EIGHT)


def write_csv(folder: Path, text: str) -> Path:
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def test_table(tmp_path: Path):
    save(tmp_path / "x" / "2.png", noise(2))
    save(tmp_path / "1.png", noise(1))
    listing = readers.table(write_csv(tmp_path, "\ufeffpath,label\nx\\2.png, mono \n1.png,blast\n"))
    assert listing.classes == ("blast", "mono")
    assert [(e.name, e.label) for e in listing.entries] == [("1.png", 0), ("x/2.png", 1)]


@pytest.mark.parametrize(("text", "says"), [
    ("file,label\n1.png,a\n", "no column 'path'"),
    ("path,label\n", "no rows"),
    ("path,label\n1.png,\n", "no label"),
    ("path,label\n1.png,a\n1.png,b\n", "line 3 names 1.png a second time"),
    ("path,label\n9.png,a\n", "line 2: there is no file"),
    ("path,label\n/1.png,a\n", "line 2: path '/1.png' must be relative"),
    ("path,label,mask\n1.png,a,1.png\n2.png,b,\n", "line 3 has no mask"),
])
def test_a_bad_table_names_its_line(tmp_path: Path, text: str, says: str):
    save(tmp_path / "1.png", noise(1))
    save(tmp_path / "2.png", noise(2))
    with pytest.raises(ZooError, match=says):
        readers.table(write_csv(tmp_path, text))


def test_truncated_and_16_bit_images_are_refused(tmp_path: Path):
    file = save(tmp_path / "t.jpg", noise(1, 200, 200))
    truncate(file)
    deep = tmp_path / "d.png"
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(deep)
    (tmp_path / "text.jpg").write_text("no image")
    for bad in (file, deep, tmp_path / "text.jpg"):
        with pytest.raises(pictures.Unreadable, match=bad.name):
            pictures.rgb(bad)


def test_square_takes_the_middle():
    image = np.zeros((10, 8, 3), np.uint8)
    image[3:7, 2:6] = 200
    assert (pictures.square(image, View(crop=4, side=4)) == 200).all()
    assert pictures.square(image, View(crop=0, side=8)).tolist() == image[1:9].tolist()
    assert pictures.square(image, View(crop=99, side=4)).shape == (4, 4, 3)


def test_square_of_a_mask_makes_no_new_level():
    levels = np.repeat(np.array([0, 2], np.uint8), 8)[None].repeat(16, 0)
    assert set(np.unique(pictures.square(levels, View(0, 5), nearest=True))) == {0, 2}


def test_drawn_items_have_their_number_as_seed():
    listing = readers.drawn(("b", "a"), 2)
    assert [(e.name, e.label) for e in listing.entries] == [("a/0000", 1), ("a/0001", 1), ("b/0000", 0), ("b/0001", 0)]
    assert listing.entries[1].source == readers.Drawn("a", 1)
    assert len({e.source.digest() for e in listing.entries}) == 4
