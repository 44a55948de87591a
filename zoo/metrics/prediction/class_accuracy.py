"""Share of each class's items that were recognised (recall)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.reducers import PredictionMetric, Tallies, class_accuracy


@dataclass(frozen=True)
class ClassAccuracy(PredictionMetric):
    """(classes,) in 0..1, NaN for a class without items. The figure Tummala & Suresh (2023) print beside each class."""

    per_class: ClassVar[bool] = True

    def reduce(self, tallies: Tallies) -> np.ndarray:
        return class_accuracy(tallies.confusion)
