"""F1 of each word, unweighted mean over an attribute's words, then over the attributes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import AttributeMetric, over
from zoo.cell_table import Table


@dataclass(frozen=True)
class AttributeMacroF1(AttributeMetric):
    """F1 = 2 right / (true cells of the word + cells found with it), over the words that a true cell has. A missed cell
    is among the true ones, a spurious cell among the found ones; true cells whose word is not known do not count."""

    higher_is_better: ClassVar[bool] = True

    def parts(self, table: Table) -> np.ndarray:
        true, found = table.true_attributes[..., None], table.found_attributes[..., None]
        words = np.arange(1 + max(true.max(initial=0), found.max(initial=0)))
        asked = (true >= 0) | table.spurious[:, None, None]
        return np.stack([true == words, asked & (found == words), (true == words) & (true == found)], 1)

    def reduce_each(self, sums: np.ndarray) -> np.ndarray:
        true, said, right = np.moveaxis(sums, -3, 0)  # each (..., attributes, words)
        f1 = np.where(true > 0, 2 * right / np.maximum(true + said, 1), 0)
        return over(f1.sum(-1), (true > 0).sum(-1))
