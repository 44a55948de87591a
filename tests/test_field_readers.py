"""Every layout of fields, in miniature: what is read from it, and what is said of files that are wrong."""

from pathlib import Path

import numpy as np
import pytest
from fields import (
    AROUND_LEFT,
    AROUND_RIGHT,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    bccd,
    bccd_field,
    levels,
    masks,
    picture,
    read,
    voc,
    wrong,
)
from PIL import Image

from zoo.data.fields import bccd as bccd_reader
from zoo.data.fields import drawn, parts, single
from zoo.data.fields.source import Field

BCCD = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")


@pytest.fixture
def bccd_root(tmp_path: Path) -> Path:
    return bccd(tmp_path / "BCCD")


def test_bccd(bccd_root: Path) -> None:
    listing = bccd_reader.listing(bccd_root, BCCD)
    found = read(listing)
    assert (listing.masks, listing.attributes, listing.dropped) == (True, (), [])
    assert list(found) == [f"BloodImage_{number:05d}" for number in range(4)]
    one, two, none, rgb = found.values()
    assert one.image.shape == (HEIGHT, WIDTH, 3)
    assert one.cells.boxes.tolist() == [list(AROUND_LEFT)]
    assert one.cells.labels.tolist() == [BCCD.index("monocyte")]
    assert np.array_equal(masks(one)[0], levels([LEFT]))
    assert two.cells.boxes.tolist() == [list(AROUND_RIGHT), list(AROUND_LEFT)]
    assert np.array_equal(masks(two), [levels([RIGHT]), levels([LEFT])])
    assert none.cells.labels.shape == (0,)
    assert masks(none).shape == (0, HEIGHT, WIDTH)
    assert np.array_equal(masks(rgb)[0], levels([RIGHT]))


def test_bccd_types(bccd_root: Path) -> None:
    """Two types do not say which cell is which; one type twice does; none, or an image without row, says nothing."""
    bccd_field(bccd_root, 7, [LEFT], [AROUND_LEFT])
    labels = [field.cells.labels.tolist() for field in read(bccd_reader.listing(bccd_root, BCCD)).values()]
    assert labels == [[2], [-1, -1], [], [3], [-1]]


def test_bccd_without_masks_has_boxes_alone(bccd_root: Path) -> None:
    for file in (bccd_root / "NucleusMasks").iterdir():
        file.unlink()
    (bccd_root / "NucleusMasks").rmdir()
    listing = bccd_reader.listing(bccd_root, BCCD)
    assert not listing.masks
    assert [field.cells.masks for field in read(listing).values()] == [None] * 4


def test_bccd_files_without_their_other_half_are_left_out(bccd_root: Path) -> None:
    (bccd_root / "Annotations" / "BloodImage_00000.xml").unlink()
    (bccd_root / "JPEGImages" / "BloodImage_00001.jpg").unlink()
    (bccd_root / "NucleusMasks" / "BloodImage_Mask_00003.png").unlink()
    listing = bccd_reader.listing(bccd_root, BCCD)
    assert [entry.name for entry in listing.entries] == ["BloodImage_00002"]
    assert listing.dropped == [
        "BloodImage_00000: no boxes", "BloodImage_00003: no mask",
        "BloodImage_Mask_00001.png: a mask without image",
    ]  # fmt: skip


def test_bccd_boxes_and_masks_that_do_not_meet(bccd_root: Path) -> None:
    """A mask in no box is a cell with its tight box; a box without mask is none, and that is noted."""
    bccd_field(bccd_root, 0, [LEFT, RIGHT], [AROUND_LEFT, (30, 2, 36, 8)])
    field = read(bccd_reader.listing(bccd_root, BCCD))["BloodImage_00000"]
    assert field.cells.boxes.tolist() == [list(AROUND_LEFT), [34, 12, 59, 37]]
    assert np.array_equal(masks(field), [levels([LEFT]), levels([RIGHT])])
    assert field.cells.labels.tolist() == [2, 2]
    assert field.notes == ("box 2 holds no mask: no cell",)


def test_bccd_bad_files(bccd_root: Path) -> None:
    def zero() -> Field:
        return read(bccd_reader.listing(bccd_root, BCCD))["BloodImage_00000"]

    boxes = bccd_root / "Annotations" / "BloodImage_00000.xml"
    for text, says in (
        ("<annotation><object>", "cannot be read as XML"),
        (voc([(4, 12, 28, 36)]).replace("36", "x"), "no number for one of xmin"),
        (voc([(4, 12, 90, 36)]), f"lies outside the field of {WIDTH} x {HEIGHT}"),
        (voc([(28, 12, 28, 36)]), "is empty"),
        (voc([(28, 12, 4, 36)]), "is empty"),
    ):
        boxes.write_text(text)
        wrong(zero, str(boxes), says)
    boxes.write_text(voc([(3, 11, WIDTH + 1, HEIGHT + 2)]))
    assert zero().cells.boxes.tolist() == [[3, 11, WIDTH, HEIGHT]]
    mask = bccd_root / "NucleusMasks" / "BloodImage_Mask_00000.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH - 1), np.uint8)).save(mask)
    wrong(zero, str(mask), "63 x 48 pixels, but its image is 64 x 48")
    mask.write_bytes(b"no picture")
    wrong(zero, str(mask), "cannot be read as an image")
    (bccd_root / "labels.csv").write_text(",Image,Category\n,0,PLASMA CELL\n")
    wrong(zero, "labels.csv", "line 2", "plasma cell")


def test_a_part_that_two_boxes_own_is_shared_by_the_nearer_middle() -> None:
    joined = levels([(20, 24, 12, 5), (40, 24, 12, 5)])
    boxes = np.array([(6, 10, 34, 38), (26, 10, 54, 38)], float)
    found, left = parts.split(joined, boxes)
    assert not left
    assert np.array_equal(found.max(0), joined)
    assert not (found > 0).all(0).any()
    assert not found[0][:, 30:].any()
    assert not found[1][:, :30].any()


def test_a_part_is_its_own_boxs_whole_though_another_box_touches_it() -> None:
    """Loose boxes reach into their neighbours: only the box of which it is the main part gets it."""
    apart = levels([LEFT, RIGHT])
    found, left = parts.split(apart, np.array([(4, 12, 28, 36), (24, 10, 60, 38)], float))
    assert not left
    assert np.array_equal(found, [levels([LEFT]), levels([RIGHT])])


def test_a_second_part_in_a_box_is_of_the_same_cell() -> None:
    lobes = levels([(14, 20, 8, 4), (40, 20, 7, 4)])
    found, left = parts.split(lobes, np.array([(4, 8, 50, 30)], float))
    assert not left
    assert np.array_equal(found[0], lobes)


def test_slips_of_the_pen_are_no_cells() -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[2:12, 2:11] = 1
    assert parts.split(mask, np.zeros((0, 4)))[1] == []
    mask[2:12, 2:12] = 1
    assert len(parts.split(mask, np.zeros((0, 4)))[1]) == 1


def save_pair(root: Path, set_name: str, number: int, mask: np.ndarray, seed: int) -> None:
    (root / set_name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(mask, seed)).save(root / set_name / f"{number:03d}.bmp")
    Image.fromarray(np.array([0, 128, 255], np.uint8)[mask]).save(root / set_name / f"{number:03d}.png")


def test_single_cells_are_fields_with_one(tmp_path: Path) -> None:
    save_pair(tmp_path, "Dataset 1", 1, levels([LEFT], 40, 40), 0)
    save_pair(tmp_path, "Dataset 2", 1, levels([RIGHT]), 1)
    for number, code in ((1, 3), (2, 5)):
        (tmp_path / f"Class Labels of Dataset {number}.csv").write_text(f"image ID,class\n1,{code}\n")
    listing = single.listing(tmp_path, BCCD)
    assert [(entry.name, entry.series) for entry in listing.entries] == [
        ("Dataset 1/001", "Dataset 1"), ("Dataset 2/001", "Dataset 2"),
    ]  # fmt: skip
    one, two = read(listing).values()
    assert one.cells.boxes.tolist() == [[6, 14, 27, 35]]
    assert (one.cells.labels.tolist(), two.cells.labels.tolist()) == ([2], [4])
    assert np.array_equal(masks(two)[0], levels([RIGHT]))
    save_pair(tmp_path, "Dataset 1", 1, np.zeros((40, 40), np.uint8), 0)
    wrong(listing.entries[0].source.read, "001.png", "no cell in it")


def test_drawn_fields_say_what_the_generator_knows() -> None:
    from zoo.data import smear

    listing = drawn.listing(3)
    assert [entry.name for entry in listing.entries] == ["field_0000", "field_0001", "field_0002"]
    field, truth = listing.entries[1].source.read(), smear.field(1)
    assert np.array_equal(field.image, truth.image)
    for number, cell in enumerate(truth.cells):
        x, y, width, height = cell.box
        assert field.cells.boxes[number].tolist() == [x, y, x + width, y + height]
        assert listing.classes[field.cells.labels[number]] == cell.kind
        words = [a.values[code] for a, code in zip(drawn.ATTRIBUTES, field.cells.attributes[number], strict=True)]
        assert words == ["yes" if cell.granularity else "no", cell.cytoplasm_colour, cell.nucleus_shape, cell.cell_size]
    assert field.cells.nc == pytest.approx([cell.nc for cell in truth.cells])
