"""Mean Jaccard index of nucleus masks, over true and spurious cells."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class NucleusJaccard(MeanMetric):
    """As `cell_jaccard`, of the nucleus alone; cells that have none, neither true nor found, do not count."""

    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def each_row(self, table: Table) -> np.ndarray:
        return table.nucleus_jaccard
