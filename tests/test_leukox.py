"""The layout of LeukoX, in miniature: what is read from it, and what is said of files that are wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fields import HEIGHT, LEFT, RIGHT, WIDTH, leukox, leukox_field, levels, masks, picture, read, wrong

from zoo.data.fields import leukox as leukox_reader

TYPES = tuple(f"type_{number}" for number in range(10))


@pytest.fixture
def leukox_root(tmp_path: Path) -> Path:
    return leukox(tmp_path / "leukox")


def test_leukox(leukox_root: Path) -> None:
    listing = leukox_reader.listing(leukox_root, TYPES)
    found = read(listing)
    assert list(found) == ["test/IMG_3", "train/IMG_1", "val/IMG_2"]
    none, two, one = found.values()
    assert two.cells.labels.tolist() == [0, 9]
    assert two.cells.boxes.tolist() == [[4, 12, 28, 36], [32, 10, 60, 38]]
    assert np.array_equal(masks(two), [levels([LEFT]), levels([RIGHT])])
    assert two.cells.attributes.tolist() == [[0, 1, 2, 0], [1, 0, 0, 2]]
    assert np.array_equal(two.image, picture(levels([LEFT, RIGHT]), len("IMG_1") + 2))
    assert one.cells.attributes.tolist() == [[0, 0, 0, 0]]
    assert none.cells.labels.shape == (0,)
    assert none.cells.attributes.shape == (0, 4)
    assert [len(attribute.values) for attribute in listing.attributes] == [2, 2, 3, 3]


def test_leukox_forms_that_the_paper_leaves_open(leukox_root: Path) -> None:
    """Masks of each cell, one-hot classes, bytes, classes from 0; cells without a row have unknown attributes."""
    both = np.stack([np.stack([levels([disc]) == 2, levels([disc]) >= 1]) for disc in (LEFT, RIGHT)]).astype(np.uint8)
    leukox_field(leukox_root, "train/IMG_1", [LEFT, RIGHT], [0, 9], both)
    torch.save(torch.eye(10)[[0, 9]], leukox_root / "train/classes/IMG_1.pt")
    image = torch.from_numpy(picture(levels([LEFT, RIGHT]), 1).transpose(2, 0, 1).copy())
    torch.save(image, leukox_root / "train/inputs/IMG_1.pt")
    (leukox_root / "train.txt").write_text("train/IMG_1.jpg\n")
    found = read(leukox_reader.listing(leukox_root, TYPES))["train/IMG_1"]
    assert found.cells.labels.tolist() == [0, 9]
    assert np.array_equal(masks(found), [levels([LEFT]), levels([RIGHT])])
    assert np.array_equal(found.image, picture(levels([LEFT, RIGHT]), 1))
    assert found.cells.attributes.tolist() == [[-1] * 4] * 2


def test_a_field_of_leukox_without_all_four_files_is_left_out(leukox_root: Path) -> None:
    (leukox_root / "val/instances/IMG_2.pt").unlink()
    listing = leukox_reader.listing(leukox_root, TYPES)
    assert [entry.name for entry in listing.entries] == ["test/IMG_3", "train/IMG_1"]
    assert listing.dropped == ["val/IMG_2: no instances/IMG_2.pt"]


@pytest.mark.parametrize(("what", "tensor", "says"), [
    ("inputs", torch.zeros(HEIGHT, WIDTH), "(48, 64), not (3, height, width)"),
    ("inputs", torch.full((3, HEIGHT, WIDTH), -1.0), "not in 0..1 or 0..255"),
    ("bounding_boxes", torch.zeros(2, 5), "(2, 5), not (cells, 4)"),
    ("bounding_boxes", torch.tensor([[4.0, 12, 24, 24], [60, 10, 28, 28]]), "box 2 (60, 10, 88, 38) lies outside"),
    ("bounding_boxes", torch.tensor([[4.0, 12, 0, 24], [32, 10, 28, 28]]), "box 1 (4, 12, 4, 36"),
    ("bounding_boxes", torch.tensor([[4.0, 12, 24, 24]]), "2 classes for 1 boxes"),
    ("instances", torch.zeros(2, HEIGHT, WIDTH - 1), "not (2, 48, 64) or (2, 2, 48, 64)"),
    ("instances", torch.zeros(2, HEIGHT, WIDTH), "no mask in box 1"),
    ("classes", torch.tensor([[[1]]]), "one whole number for each cell"),
    ("classes", torch.tensor([1.5, 2]), "one whole number for each cell"),
    ("classes", torch.tensor([1, 12]), "not one of the 10"),
    ("classes", {"a": torch.zeros(2)}, "a dict, not a tensor"),
    ("inputs", b"no tensor", "not a tensor as torch.save writes it"),
])
def test_leukox_bad_tensors(leukox_root: Path, what: str, tensor: object, says: str) -> None:
    file = leukox_root / "train" / what / "IMG_1.pt"
    if isinstance(tensor, bytes):
        file.write_bytes(tensor)
    else:
        torch.save(tensor, file)
    wrong(lambda: read(leukox_reader.listing(leukox_root, TYPES)), "IMG_1.pt", says)


def test_a_tensor_file_that_would_run_code_is_refused(leukox_root: Path) -> None:
    torch.save(Evil(leukox_root), leukox_root / "train/inputs/IMG_1.pt")
    wrong(lambda: read(leukox_reader.listing(leukox_root, TYPES)), "IMG_1.pt", "not a tensor as torch.save writes it")
    assert not (leukox_root / "ran").exists()


class Evil:
    """Touches a file where it is unpickled."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __reduce__(self) -> tuple:
        return Path.touch, (self.root / "ran",)


def test_a_mask_of_leukox_in_no_box_is_an_error(leukox_root: Path) -> None:
    whole = levels([LEFT, RIGHT])
    instances = np.stack([whole == 2, whole == 1]).astype(np.float32)
    leukox_field(leukox_root, "val/IMG_2", [RIGHT], [3], instances)
    wrong(lambda: read(leukox_reader.listing(leukox_root, TYPES)), "IMG_2.pt", "lies in no box")


@pytest.mark.parametrize(("row", "says"), [
    ("val/IMG_2.jpg;2 2 2 5;", "line 1: size_vs_rbc has no code 5, only 2..4"),
    ("val/IMG_2.jpg;1 2 2 2;", "granularity has no code 1, only 2..3"),
    ("val/IMG_2.jpg;2 2 2;", "'2 2 2' are not four codes"),
    ("val/IMG_2.jpg;2 2 2 x;", "are not four codes"),
])
def test_leukox_bad_attributes(leukox_root: Path, row: str, says: str) -> None:
    (leukox_root / "val.txt").write_text(row)
    wrong(lambda: leukox_reader.listing(leukox_root, TYPES), "val.txt", says)


def test_attributes_of_more_cells_than_there_are(leukox_root: Path) -> None:
    (leukox_root / "val.txt").write_text("val/IMG_2.jpg;2 2 2 2;2 2 2 2;")
    wrong(lambda: read(leukox_reader.listing(leukox_root, TYPES)), "IMG_2", "attributes of 2 cells for 1 boxes")
