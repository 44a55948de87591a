"""Unweighted mean over the classes of the F1 score."""

from dataclasses import dataclass

import numpy as np

from zoo import reducers
from zoo.types import PredictionMetric


@dataclass(frozen=True)
class MacroF1(PredictionMetric):
    """In 0..1; classes without items are left out. scikit-learn's `f1_score(average="macro")` over those classes."""

    def measure(self, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
        return reducers.macro_f1(reducers.confusion(truth, predicted, classes))
