"""Share of each class's items that were recognised (recall)."""

from dataclasses import dataclass

import numpy as np

from zoo import reducers
from zoo.types import PredictionMetric


@dataclass(frozen=True)
class ClassAccuracy(PredictionMetric):
    """(classes,) in 0..1, NaN for a class without items. The figure Tummala & Suresh (2023) print beside each class."""

    def measure(self, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
        return reducers.class_accuracy(reducers.confusion(truth, predicted, classes))
