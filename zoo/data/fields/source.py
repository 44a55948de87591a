"""Readers of fields: what a layout lists, and what one field is before it is packed. Nothing is cached here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from zoo.cells import Attribute, Cells
from zoo.data.readers import Origin
from zoo.errors import ZooError

_SLACK = 2.0
"""Pixels by which a drawn box may lie outside its field; it is cut there."""


class Field(NamedTuple):
    """One field as it was read, in pixels of its file."""

    image: np.ndarray
    """(H, W, 3) uint8, RGB"""
    cells: Cells
    """With masks (k, H, W), or None where nobody drew any"""
    notes: tuple[str, ...] = ()
    """What of it was left out, and why"""


class FieldSource(Origin, Protocol):
    """Where one field comes from."""

    def size(self) -> tuple[int, int]:
        """Height and width in pixels; cheap."""
        ...

    def read(self) -> Field:
        """Raises ZooError, which names the file."""
        ...


@dataclass(frozen=True)
class FieldEntry:
    """One field, not read yet."""

    name: str
    source: FieldSource
    series: str = ""
    """Fields of one series have pixels of one size, and keep it when they are packed."""


@dataclass
class FieldListing:
    """What a reader found, sorted by name."""

    classes: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    masks: bool
    entries: list[FieldEntry]
    dropped: list[str] = field(default_factory=list)


def true_cells(
    labels: Sequence[int], boxes: np.ndarray, masks: np.ndarray | None, attributes: Sequence[Sequence[int]], count: int
) -> Cells:
    """Cells as somebody labelled them, with `count` attributes each."""
    return Cells(
        np.array(labels, np.int64),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        masks,
        np.array(attributes, np.int64).reshape(len(labels), count),
        np.ones(len(labels), np.float32),
    )


def tight(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not 0 in a mask (H, W) that is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def inside(file: Path, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The boxes (k, 4) cut at the field's borders. ZooError for one that is empty or lies outside."""
    limits = np.array([width, height, width, height])
    for number, box in enumerate(boxes, start=1):
        shown = ", ".join(f"{side:g}" for side in box)
        if not np.isfinite(box).all() or (box < -_SLACK).any() or (box > limits + _SLACK).any():
            raise ZooError(f"{file}: box {number} ({shown}) lies outside the field of {width} x {height}; mend it")
        cut = np.clip(box, 0, limits)
        if not (cut[0] < cut[2] and cut[1] < cut[3]):
            raise ZooError(f"{file}: box {number} ({shown}; left, top, right, bottom) is empty; mend it")
    return np.clip(boxes, 0, limits)
