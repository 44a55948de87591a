"""Share of cells whose attribute is right, mean over the attributes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import AttributeMetric, over
from zoo.cell_table import Table


@dataclass(frozen=True)
class AttributeAccuracy(AttributeMetric):
    """Right words / (true cells + spurious cells) of each attribute. A missed cell is wrong, so is a spurious one; true
    cells whose word is not known do not count, and an attribute that is known of none has no figure."""

    higher_is_better: ClassVar[bool] = True

    def parts(self, table: Table) -> np.ndarray:
        known = table.true_attributes >= 0
        right = known & (table.true_attributes == table.found_attributes)
        return np.stack([right, known | table.spurious[:, None], known], 1)

    def reduce_each(self, sums: np.ndarray) -> np.ndarray:
        right, asked, known = np.moveaxis(sums, -2, 0)
        return over(right, np.where(known > 0, asked, 0))
