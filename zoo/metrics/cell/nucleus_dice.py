"""Mean Dice coefficient of nucleus masks, over true and spurious cells."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class NucleusDice(MeanMetric):
    """2 |true and found| / (|true| + |found|) = 2 J / (1 + J) of each cell's nucleus, J its Jaccard index; counted like
    `nucleus_jaccard`."""

    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def each_row(self, table: Table) -> np.ndarray:
        return 2 * table.nucleus_jaccard / (1 + table.nucleus_jaccard)
