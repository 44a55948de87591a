"""A dataset of fields, packed."""

from dataclasses import dataclass

import numpy as np

from zoo.cells import Attribute, Cells


@dataclass(frozen=True, eq=False)
class Fields:
    """All fields of a dataset, all of one packed size, in the order of their names."""

    dataset: str
    subset: str | None
    synthetic: bool
    names: tuple[str, ...]
    groups: np.ndarray
    """(n,) int64: fields of one group (duplicates, one patient) never lie in two folds"""
    pixels: np.ndarray
    """(n, H, W, 3) uint8, RGB, memory-mapped"""
    cells: tuple[Cells, ...]
    """Of each field; masks are made when asked for, see `truth`"""
    drawn: np.ndarray | None
    """(n, H, W) uint8, memory-mapped: 0 background, else 2 c - 1 cytoplasm and 2 c nucleus of the field's c-th cell,
    c from 1; None where the dataset has no masks"""
    classes: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    scale: np.ndarray
    """(n,) float32, packed pixels per pixel of the file"""
    sha256: str
    """Of the names, the pixels and all that is known of the cells"""
    dropped: tuple[str, ...] = ()
    """One line for each file, box or mask left out, with its reason"""

    def truth(self, field: int) -> Cells:
        """The cells of a field with their masks, (k, H, W)."""
        known = self.cells[field]
        if self.drawn is None:
            return known
        place = np.asarray(self.drawn[field])
        number = np.arange(1, len(known.labels) + 1)[:, None, None]
        return known._replace(masks=((place == 2 * number - 1) + 2 * (place == 2 * number)).astype(np.uint8))
