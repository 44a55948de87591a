"""Normalised squared error of N/C: sum (found - true)^2 / sum true^2."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.cell_metric import SummedMetric, over, squares
from zoo.cell_table import Table


@dataclass(frozen=True)
class RatioNmse(SummedMetric):
    """N/C = r / (1 - r) of r = N/(N+C). A missed cell is found as 0, so is one found without cytoplasm; a true one
    without cytoplasm does not count, nor do spurious cells."""

    higher_is_better: ClassVar[bool] = False
    needs_masks: ClassVar[bool] = True
    unit: ClassVar[Literal["percent", "number"]] = "number"
    floors: ClassVar[tuple[str, ...]] = ("majority", "class")

    def parts(self, table: Table) -> np.ndarray:
        return squares(table.true_ratio, table.found_ratio)

    def reduce(self, sums: np.ndarray) -> np.ndarray:
        return over(sums[..., 0], sums[..., 1])
