"""Share of correct predictions."""

from dataclasses import dataclass

import numpy as np

from zoo import reducers
from zoo.types import PredictionMetric


@dataclass(frozen=True)
class Accuracy(PredictionMetric):
    """Over all predictions together, in 0..1. A record's `accuracy` is the mean of this over its episodes."""

    def measure(self, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
        return reducers.accuracy(reducers.confusion(truth, predicted, classes))
