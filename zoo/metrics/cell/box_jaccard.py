"""Mean Jaccard index of boxes, over true and spurious cells."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class BoxJaccard(MeanMetric):
    """Intersection over union of each cell's box. Missed and spurious cells count 0, pairs below an IoU of 0.5 what
    they have."""

    higher_is_better: ClassVar[bool] = True

    def each_row(self, table: Table) -> np.ndarray:
        return table.box_jaccard
