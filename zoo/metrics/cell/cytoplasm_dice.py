"""Mean Dice coefficient of cytoplasm masks, over true and spurious cells."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class CytoplasmDice(MeanMetric):
    """2 |true and found| / (|true| + |found|) = 2 J / (1 + J) of each cell's cytoplasm, J its Jaccard index; counted
    like `cytoplasm_jaccard`."""

    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def each_row(self, table: Table) -> np.ndarray:
        return 2 * table.cytoplasm_jaccard / (1 + table.cytoplasm_jaccard)
