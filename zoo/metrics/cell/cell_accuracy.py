"""Share of cells, true and spurious ones, that are found and get their class."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class CellAccuracy(MeanMetric):
    """Right cells / (true cells + spurious cells): a missed cell and a spurious one are each one mistake. Cells of
    unknown class do not count."""

    higher_is_better: ClassVar[bool] = True
    floors: ClassVar[tuple[str, ...]] = ("majority",)

    def each_row(self, table: Table) -> np.ndarray:
        known = (table.true_label >= 0) | table.spurious
        return np.where(known, table.true_label == table.found_label, np.nan)
