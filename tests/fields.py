"""Small fake datasets of fields in the real layouts: grey discs with dark nuclei on a light ground."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data.fields.source import Field, FieldListing
from zoo.errors import ZooError

HEIGHT, WIDTH = 48, 64
Disc = tuple[int, int, int, int]
"""Middle x and y, radius of the cell and of its nucleus."""


def levels(discs: Sequence[Disc], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(height, width) uint8: 0 background, 1 cytoplasm, 2 nucleus."""
    y, x = np.mgrid[:height, :width]
    out = np.zeros((height, width), np.uint8)
    for at_x, at_y, cell, nucleus in discs:
        away = np.hypot(x - at_x, y - at_y)
        out[away <= cell] = 1
        out[away <= nucleus] = 2
    return out


def picture(mask: np.ndarray, seed: int) -> np.ndarray:
    """(H, W, 3) uint8: a light ground of its own colour, grey cells, dark nuclei."""
    ground = np.random.default_rng(seed).integers(200, 250, 3)
    noise = np.random.default_rng(seed).integers(-30, 1, (6, 8, 3))
    height, width = mask.shape
    rough = np.kron(noise, np.ones((height // 6 + 1, width // 8 + 1, 1)))[:height, :width]
    colours = np.array([ground, (150, 120, 160), (70, 30, 110)])
    return np.clip(colours[mask] + rough * (mask == 0)[..., None], 0, 255).astype(np.uint8)


def voc(boxes: Sequence[Sequence[float]], name: str = "WBC") -> str:
    """A VOC annotation with these boxes and one red cell."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    named = [*((name, box) for box in boxes), ("RBC", (1, 1, 9, 9))]
    objects = "".join(
        f"<object><name>{kind}</name><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, box, strict=True))
        + "</bndbox></object>"
        for kind, box in named
    )
    return f"<annotation><size><width>{WIDTH}</width></size>{objects}</annotation>"


def bccd_field(
    root: Path, number: int, discs: Sequence[Disc], boxes: Sequence[Sequence[float]], mask: np.ndarray | None = None
) -> None:
    """One field of the layout of BCCD; mask (H, W) or (H, W, 3) as it is written, else of the discs."""
    for folder in ("JPEGImages", "Annotations", "NucleusMasks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    drawn = levels(discs)
    Image.fromarray(picture(drawn, number)).save(root / "JPEGImages" / f"BloodImage_{number:05d}.jpg", quality=95)
    (root / "Annotations" / f"BloodImage_{number:05d}.xml").write_text(voc(boxes))
    written = np.array([0, 160, 255], np.uint8)[drawn] if mask is None else mask
    Image.fromarray(written).save(root / "NucleusMasks" / f"BloodImage_Mask_{number:05d}.png")


LEFT, RIGHT = (16, 24, 10, 6), (46, 24, 12, 6)
AROUND_LEFT, AROUND_RIGHT = (4, 12, 28, 36), (32, 10, 60, 38)


def bccd(root: Path) -> Path:
    """Fields 0..3: one cell; two of different types; none; one in an RGB mask with stray values."""
    bccd_field(root, 0, [LEFT], [AROUND_LEFT])
    bccd_field(root, 1, [LEFT, RIGHT], [AROUND_RIGHT, AROUND_LEFT])
    bccd_field(root, 2, [], [])
    stray = np.array([0, 157, 253], np.uint8)[levels([RIGHT])][..., None] + np.array([2, 0, 1], np.uint8)
    bccd_field(root, 3, [RIGHT], [AROUND_RIGHT], stray)
    rows = ["0,MONOCYTE", '1,"NEUTROPHIL, EOSINOPHIL"', "2,", '3,"EOSINOPHIL, EOSINOPHIL"', "4,BASOPHIL"]
    (root / "labels.csv").write_text("\n".join([",Image,Category", *(f",{row}" for row in rows), ""]))
    return root


def leukox_field(
    root: Path, name: str, discs: Sequence[Disc], classes: Sequence[int], instances: np.ndarray | None = None
) -> None:
    """One field of the layout of LeukoX: boxes two pixels around the discs, masks of the whole field unless given."""
    split, stem = name.split("/")
    drawn = levels(discs)
    boxes = [[x - r - 2, y - r - 2, 2 * r + 4, 2 * r + 4] for x, y, r, _ in discs]
    tensors = {
        "inputs": torch.from_numpy(picture(drawn, len(stem) + len(discs)).transpose(2, 0, 1).astype(np.float32) / 255),
        "bounding_boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "instances": torch.from_numpy(np.stack([drawn == 2, drawn == 1]).astype(np.float32) if instances is None
                                      else instances),
        "classes": torch.tensor(classes),
    }
    for what, tensor in tensors.items():
        (root / split / what).mkdir(parents=True, exist_ok=True)
        torch.save(tensor, root / split / what / f"{stem}.pt")


def leukox(root: Path) -> Path:
    """Three fields, with two, one and no cells; classes are 1..10; attributes of the first two."""
    leukox_field(root, "train/IMG_1", [LEFT, RIGHT], [1, 10])
    leukox_field(root, "val/IMG_2", [RIGHT], [3])
    leukox_field(root, "test/IMG_3", [], [])
    (root / "train.txt").write_text("train/IMG_1.jpg;2 3 4 2;3 2 2 4;\n")
    (root / "val.txt").write_text("val/IMG_2.jpg;2 2 2 2;\n")
    return root


def read(listing: FieldListing) -> dict[str, Field]:
    """Every field of a listing, by its name."""
    return {entry.name: entry.source.read() for entry in listing.entries}


def masks(field: Field) -> np.ndarray:
    assert field.cells.masks is not None
    return field.cells.masks


def wrong(call: Callable[[], object], *says: str) -> None:
    """One line that names the file and what is wrong."""
    with pytest.raises(ZooError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for text in says:
        assert text in str(caught.value)
