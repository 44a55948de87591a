"""The cells of fields, each cropped from its field: items of an ordinary few-shot dataset."""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zoo.data import card as card_file
from zoo.data.card import Card
from zoo.data.fields import load as fields
from zoo.data.fields.pack import border
from zoo.data.fields.source import Field, FieldSource
from zoo.data.readers import Digest, Entry, Listing

MARGIN = 0.15
"""Room on every side of a cell's box, as a part of its longer side."""


@dataclass(frozen=True)
class Crop:
    """A square around the box of one cell; where it leaves the field it has the mean colour of the field's border."""

    source: FieldSource
    cell: int
    masked: bool
    """Whether the field has masks"""

    @property
    def computed(self) -> bool:
        return self.source.computed

    def stamp(self) -> str:
        return f"crop:{MARGIN}:{self.cell}:{self.source.stamp()}"

    def digest(self) -> Digest:
        known = self.source.digest()
        whole = " ".join([f"crop:{MARGIN}:{self.cell}", *known])
        return Digest(hashlib.sha256(whole.encode()).hexdigest(), known.mask or known.image if self.masked else "")

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The mask is of this cell alone."""
        field = _field(self.source)
        left, top, right, bottom = field.cells.boxes[self.cell].tolist()
        side = math.ceil(max(right - left, bottom - top) * (1 + 2 * MARGIN))
        x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
        image = _cut(field.image, x, y, side, np.rint(border(field.image)))
        masks = field.cells.masks
        return image, None if masks is None else _cut(masks[self.cell], x, y, side, np.zeros((), np.uint8))


def listing(card: Card) -> Listing:
    """Every cell whose class is known, `<field>/<number>`; the cells of one field, or of two that look the same, are
    one group."""
    of = card_file.read(card.of) if card.layout == "crops" else card
    known, found = fields.load(of.name), fields.listing(of)
    listing = Listing(known.classes, [], list(known.dropped))
    for entry, cells, group in zip(found.entries, known.cells, known.groups, strict=True):
        for number, label in enumerate(cells.labels.tolist()):
            name = f"{entry.name}/{number}"
            if label < 0:
                listing.dropped.append(f"{name}: its class is not known")
            else:
                shared = f"{known.dataset}/{known.names[group]}"
                listing.entries.append(Entry(name, label, Crop(entry.source, number, found.masks), shared))
    listing.entries.sort(key=lambda entry: entry.name)
    return listing


@lru_cache(maxsize=4)
def _field(source: FieldSource) -> Field:
    """The cells of a field are cut one after the other: it is read once for all of them."""
    return source.read()


def _cut(image: np.ndarray, x: int, y: int, side: int, fill: np.ndarray) -> np.ndarray:
    """(side, side[, 3]) from (x, y) on, filled where it leaves the image."""
    out = np.empty((side, side, *image.shape[2:]), np.uint8)
    out[:] = fill
    height, width = image.shape[:2]
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    out[top - y : bottom - y, left - x : right - x] = image[top:bottom, left:right]
    return out
