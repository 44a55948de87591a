"""Unweighted mean of the class accuracies (balanced accuracy)."""

from dataclasses import dataclass

import numpy as np

from zoo.reducers import PredictionMetric, Tallies, class_accuracy, mean_of_present


@dataclass(frozen=True)
class MeanClassAccuracy(PredictionMetric):
    """In 0..1; classes without items are left out. Brodersen et al., The Balanced Accuracy and Its Posterior
    Distribution, ICPR 2010."""

    def reduce(self, tallies: Tallies) -> np.ndarray:
        return mean_of_present(class_accuracy(tallies.confusion))
