"""BCCD: fields of 640 x 480 with VOC boxes, the type of the white cell per image, and masks of nucleus and cytoplasm.

JPEGImages/<name>.jpg, Annotations/<name>.xml, NucleusMasks/<name with Mask_ before the number>.png, labels.csv.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from zoo.data.fields.parts import split
from zoo.data.fields.source import Field, FieldEntry, FieldListing, inside, tight, true_cells
from zoo.data.pictures import levels, rgb, size
from zoo.data.readers import Digest, rows
from zoo.errors import ZooError

CYTOPLASM, NUCLEUS = 80, 210
"""Grey levels from which a mask's pixel counts: they are 0, 155..164 and 255, and three off that in RGB files."""
UNKNOWN = -1


@dataclass(frozen=True)
class Annotated:
    """One field: its image, the boxes of its cells, its mask if there is one, and the class that all its cells have."""

    image: Path
    boxes: Path
    mask: Path | None
    label: int
    """UNKNOWN where nobody says"""
    computed: bool = field(default=False, init=False)

    @property
    def _files(self) -> list[Path]:
        return [file for file in (self.image, self.boxes, self.mask) if file]

    def stamp(self) -> str:
        files = ((file, file.stat()) for file in self._files)
        return " ".join([f"bccd:{self.label}", *(f"{file}:{s.st_size}:{s.st_mtime_ns}" for file, s in files)])

    def digest(self) -> Digest:
        image, *known = (hashlib.sha256(file.read_bytes()).hexdigest() for file in self._files)
        return Digest(image, hashlib.sha256(" ".join([str(self.label), *known]).encode()).hexdigest())

    def size(self) -> tuple[int, int]:
        return size(self.image)

    def read(self) -> Field:
        """A box in which no mask lies is no cell, and a part of the mask in no box is one, with its tight box."""
        image = rgb(self.image)
        height, width = image.shape[:2]
        boxes = inside(self.boxes, white_boxes(self.boxes), height, width)
        if self.mask is None:
            return Field(image, true_cells([self.label] * len(boxes), boxes, None, [()] * len(boxes), 0))
        drawn = levels(self.mask, CYTOPLASM, NUCLEUS)
        if drawn.shape != (height, width):
            there = f"{drawn.shape[1]} x {drawn.shape[0]}"
            raise ZooError(f"{self.mask}: {there} pixels, but its image is {width} x {height}; make them the same size")
        masks, left = split(drawn, boxes)
        found = masks.any((1, 2))
        notes = tuple(f"box {number} holds no mask: no cell" for number in np.flatnonzero(~found) + 1)
        boxes = np.concatenate([boxes[found], np.array([tight(part) for part in left], float).reshape(-1, 4)])
        masks = np.concatenate([masks[found], np.array(left, np.uint8).reshape(-1, height, width)])
        return Field(image, true_cells([self.label] * len(boxes), boxes, masks, [()] * len(boxes), 0), notes)


def listing(root: Path, classes: tuple[str, ...]) -> FieldListing:
    """Every image that has its boxes, and its mask where the dataset has masks."""
    types = _types(root / "labels.csv", classes)
    masked = (root / "NucleusMasks").is_dir()
    found = FieldListing(classes, (), masked, [])
    images = sorted(file for file in (root / "JPEGImages").glob("*.jpg") if not file.name.startswith("."))
    masks = {file.stem.replace("Mask_", ""): file for file in (root / "NucleusMasks").glob("[!.]*.png")}
    for image in images:
        boxes, mask = root / "Annotations" / f"{image.stem}.xml", masks.pop(image.stem, None)
        if not boxes.is_file() or (masked and mask is None):
            found.dropped.append(f"{image.stem}: {'no mask' if boxes.is_file() else 'no boxes'}")
        else:
            label = types.get(image.stem.rsplit("_", 1)[-1].lstrip("0") or "0", UNKNOWN)
            found.entries.append(FieldEntry(image.stem, Annotated(image, boxes, mask, label)))
    found.dropped += [f"{file.name}: a mask without image" for file in masks.values()]
    return found


def white_boxes(file: Path) -> np.ndarray:
    """(k, 4) left, top, right, bottom of the white cells in a VOC annotation. ZooError where it cannot be read."""
    try:
        objects = ElementTree.parse(file).getroot().findall("object")
    except (OSError, ElementTree.ParseError) as error:
        raise ZooError(f"{file}: cannot be read as XML ({error}); mend it or delete it") from None
    sides = ("xmin", "ymin", "xmax", "ymax")
    try:
        boxes = [
            [float(one.findtext(f"bndbox/{side}") or "") for side in sides]
            for one in objects if (one.findtext("name") or "").strip().upper() == "WBC"
        ]  # fmt: skip
    except ValueError:
        raise ZooError(f"{file}: a WBC has no number for one of {', '.join(sides)}; mend it or delete it") from None
    return np.array(boxes, float).reshape(-1, 4)


def _types(file: Path, classes: tuple[str, ...]) -> dict[str, int]:
    """Number of an image -> class of its white cells; UNKNOWN where it names none, or several: not which is which."""
    types = {}
    for line, row in enumerate(rows(file), start=2):
        named = {word.strip().lower() for word in (row.get("Category") or "").split(",")} - {""}
        strange = sorted(named - set(classes))
        if strange:
            raise ZooError(f"{file}: line {line}: '{strange[0]}' is none of {', '.join(classes)}; mend it")
        number = (row.get("Image") or "").strip().lstrip("0") or "0"
        types[number] = classes.index(named.pop()) if len(named) == 1 else UNKNOWN
    return types
