"""The words of cells in fields: what is known, or was found, of the cells of one field of view. Imports no torch."""

from typing import NamedTuple

import numpy as np


class Attribute(NamedTuple):
    """Something that is told of every cell in one of a few words."""

    name: str
    values: tuple[str, ...]


class Cells(NamedTuple):
    """The k cells of one field, true or found. Sizes are in pixels of the field as it is packed."""

    labels: np.ndarray
    """(k,) int64, class numbers; of a found cell its likeliest class"""
    boxes: np.ndarray
    """(k, 4) float32: left, top, right, bottom; right and bottom are the first pixels outside"""
    masks: np.ndarray | None
    """(k, H, W) uint8: 0 not of the cell, 1 its cytoplasm, 2 its nucleus; None where nobody drew any"""
    attributes: np.ndarray
    """(k, attributes) int64, numbers of the words; -1 where it is not known"""
    scores: np.ndarray
    """(k,) float32 in 0..1: how sure the model is; 1 of true cells"""

    @property
    def nc(self) -> np.ndarray:
        """(k,) nucleus as part of the cell, N/(N+C) in 0..1, from the masks; NaN without masks or of an empty one."""
        if self.masks is None or not len(self.masks):
            return np.full(len(self.labels), np.nan)
        nucleus, whole = ((self.masks >= least).sum((1, 2), dtype=np.float64) for least in (2, 1))
        return np.divide(nucleus, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def none(attributes: int, height: int | None = None, width: int | None = None) -> Cells:
    """No cells at all; with empty masks where a size is given."""
    masks = None if height is None or width is None else np.zeros((0, height, width), np.uint8)
    return Cells(
        np.zeros(0, np.int64), np.zeros((0, 4), np.float32), masks, np.zeros((0, attributes), np.int64),
        np.zeros(0, np.float32),
    )  # fmt: skip
