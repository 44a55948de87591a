"""Attribute accuracy inside each class in which it varies, mean over classes and attributes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import AttributeMetric, over
from zoo.cell_table import Table


@dataclass(frozen=True)
class AttributeWithinClassAccuracy(AttributeMetric):
    """What is right of an attribute beyond what the class gives away: of each attribute the unweighted mean, over the
    classes whose true cells have at least two of its words, of the accuracy among the true cells of that class. Missed
    cells are wrong; spurious ones have no true class and do not count. The floor `class` says the commonest word of
    each class in training."""

    higher_is_better: ClassVar[bool] = True

    def parts(self, table: Table) -> np.ndarray:
        true, found = table.true_attributes, table.found_attributes
        word = true[..., None] == np.arange(1 + true.max(initial=0))
        counts = np.concatenate([word, ((true >= 0) & (true == found))[..., None]], 2)
        of_class = table.true_label[:, None] == np.arange(1 + table.true_label.max(initial=0))
        return of_class[:, :, None, None] & counts[:, None]

    def reduce_each(self, sums: np.ndarray) -> np.ndarray:
        words, right = sums[..., :-1], sums[..., -1]  # (..., classes, attributes, words) and (..., classes, attributes)
        varies = (words > 0).sum(-1) > 1
        accuracy = np.where(varies, right / np.maximum(words.sum(-1), 1), 0)
        return over(accuracy.sum(-2), varies.sum(-2))
