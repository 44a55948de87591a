"""Mean Jaccard index of cell masks, over true and spurious cells."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class CellJaccard(MeanMetric):
    """|true and found| / |true or found| of each cell's mask, nucleus and cytoplasm together. Missed and spurious cells
    count 0, pairs below an IoU of 0.5 what they have. Not to be confused with `saliency_jaccard`."""

    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def each_row(self, table: Table) -> np.ndarray:
        return table.cell_jaccard
