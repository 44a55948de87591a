"""Normalised squared error of N/(N+C): sum (found - true)^2 / sum true^2."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.cell_metric import SummedMetric, over, squares
from zoo.cell_table import Table


@dataclass(frozen=True)
class NcNmse(SummedMetric):
    """N/(N+C) is the nucleus's share of the cell's pixels. A missed cell is found as 0; spurious cells do not count.
    The paper of HemaX gives an NMSE of N:C, but not what it is divided by; this is ours."""

    higher_is_better: ClassVar[bool] = False
    needs_masks: ClassVar[bool] = True
    unit: ClassVar[Literal["percent", "number"]] = "number"
    floors: ClassVar[tuple[str, ...]] = ("majority", "class")

    def parts(self, table: Table) -> np.ndarray:
        return squares(table.true_nc, table.found_nc)

    def reduce(self, sums: np.ndarray) -> np.ndarray:
        return over(sums[..., 0], sums[..., 1])
