"""Squared error of N/(N+C) as part of its variance: sum (found - true)^2 / sum (true - mean)^2."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.cell_metric import SummedMetric, over, squares
from zoo.cell_table import Table


@dataclass(frozen=True)
class NcNmseVariance(SummedMetric):
    """1 is the error of always saying the mean of the measured cells. A missed cell is found as 0; spurious cells do
    not count."""

    higher_is_better: ClassVar[bool] = False
    needs_masks: ClassVar[bool] = True
    unit: ClassVar[Literal["percent", "number"]] = "number"
    floors: ClassVar[tuple[str, ...]] = ("majority", "class")

    def parts(self, table: Table) -> np.ndarray:
        return squares(table.true_nc, table.found_nc)

    def reduce(self, sums: np.ndarray) -> np.ndarray:
        errors, squared, true, count = np.moveaxis(sums, -1, 0)
        spread = squared - true**2 / np.maximum(count, 1)
        return over(errors, np.where(spread > 1e-12 * squared, spread, 0))  # of equal values rounding leaves a little
