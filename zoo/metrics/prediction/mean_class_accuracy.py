"""Unweighted mean of the class accuracies (balanced accuracy)."""

from dataclasses import dataclass

import numpy as np

from zoo import reducers
from zoo.types import PredictionMetric


@dataclass(frozen=True)
class MeanClassAccuracy(PredictionMetric):
    """In 0..1; classes without items are left out. Brodersen et al., The Balanced Accuracy and Its Posterior
    Distribution, ICPR 2010."""

    def measure(self, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
        return reducers.mean_class_accuracy(reducers.confusion(truth, predicted, classes))
