"""Synthetic fields: white cells among red ones, with all that is known of them."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from zoo.cells import Attribute
from zoo.data.fields.source import Field, FieldEntry, FieldListing, true_cells
from zoo.data.readers import Digest, generator
from zoo.data.smear.looks import WHITE_CELLS

HEIGHT, WIDTH = 480, 640
ATTRIBUTES = (
    Attribute("granularity", ("no", "yes")),
    Attribute("cytoplasm_colour", ("light blue", "blue", "purple blue")),
    Attribute("nucleus_shape", (
        "segmented-bilobed", "segmented-multilobed", "unsegmented-band", "unsegmented-indented", "unsegmented-round",
        "irregular",
    )),
    Attribute("cell_size", ("small", "big")),
)  # fmt: skip
"""What the generator knows of a cell, in the words of WBCAtt."""


@dataclass(frozen=True)
class DrawnField:
    """The field of a seed."""

    seed: int
    computed: bool = field(default=True, init=False)

    def stamp(self) -> str:
        return f"drawn field:{generator()}:{HEIGHT}:{WIDTH}:{self.seed}"

    def digest(self) -> Digest:
        return Digest(hashlib.sha256(self.stamp().encode()).hexdigest())

    def size(self) -> tuple[int, int]:
        return HEIGHT, WIDTH

    def read(self) -> Field:
        from zoo.data import smear

        drawn = smear.field(self.seed, size=(HEIGHT, WIDTH))
        words = [
            ("yes" if cell.granularity else "no", cell.cytoplasm_colour, cell.nucleus_shape, cell.cell_size)
            for cell in drawn.cells
        ]
        cells = true_cells(
            [WHITE_CELLS.index(cell.kind) for cell in drawn.cells],
            np.array([(x, y, x + w, y + h) for x, y, w, h in (cell.box for cell in drawn.cells)]),
            np.array([cell.mask for cell in drawn.cells], np.uint8).reshape(-1, HEIGHT, WIDTH),
            [[_code(*pair) for pair in zip(ATTRIBUTES, known, strict=True)] for known in words],
            len(ATTRIBUTES),
        )
        return Field(drawn.image, cells)


def listing(count: int) -> FieldListing:
    """The fields of seeds 0 .. count - 1."""
    entries = [FieldEntry(f"field_{seed:04d}", DrawnField(seed)) for seed in range(count)]
    return FieldListing(WHITE_CELLS, ATTRIBUTES, True, entries)


def _code(attribute: Attribute, word: str | None) -> int:
    return -1 if word is None else attribute.values.index(word)
