"""Share of fields whose class is right: the class of the largest found cell."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import MeanMetric
from zoo.cell_table import Table


@dataclass(frozen=True)
class FieldAccuracy(MeanMetric):
    """A field's true class is that of its largest true cell (by its box), its found class that of its largest found
    cell, wherever that is; a field in which nothing is found is wrong. Fields without a true cell, or with a
    largest one of unknown class, do not count. With one cell a field this is the accuracy of classifying images."""

    higher_is_better: ClassVar[bool] = True
    floors: ClassVar[tuple[str, ...]] = ("majority",)

    def each_row(self, table: Table) -> np.ndarray:
        of_field = np.full(table.field.max(initial=0) + 1, -1)
        of_field[table.field[table.largest_found]] = table.found_label[table.largest_found]
        asked = table.largest & (table.true_label >= 0)
        return np.where(asked, of_field[table.field] == table.true_label, np.nan)
