"""A dataset as the rest of zoo sees it: names, classes, duplicate groups and packed pixels."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Items:
    """Every usable item of one dataset, in the order of its names."""

    dataset: str
    subset: str | None
    """Name of the part that is there (`pbc6000`), None when the dataset is whole."""
    synthetic: bool
    classes: tuple[str, ...]
    names: tuple[str, ...]
    """Stable, unique, sorted: `neutrophil/BNE_102779.jpg`."""
    labels: np.ndarray
    """(n,) int64, 0..classes-1"""
    groups: np.ndarray
    """(n,) int64; byte-identical items share a number"""
    pixels: np.ndarray
    """(n, side, side, 3) uint8, RGB; a read-only memory map"""
    masks: np.ndarray | None = None
    """(n, side, side) uint8: 0 background, 1 cytoplasm, 2 nucleus; None where the dataset has no masks"""
    dropped: tuple[str, ...] = ()
    """One line for each file left out, with its reason."""
    content_sha256: str = ""
    """Of the packed pixels and masks."""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sha256(self) -> str:
        """Hash of what the items are: classes, names, labels, groups and pixels."""
        digest = hashlib.sha256(self.content_sha256.encode())
        digest.update("\n".join((*self.classes, "", *self.names)).encode())
        for numbers in (self.labels, self.groups):
            digest.update(np.ascontiguousarray(numbers, dtype="<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class View:
    """How a picture becomes the packed square: centre crop, then resize."""

    crop: int
    """Side of the centre crop in pixels of the original; 0 = the largest centred square."""
    side: int
    """Side of the packed square in pixels."""
