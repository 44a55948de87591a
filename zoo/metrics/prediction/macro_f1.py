"""Unweighted mean over the classes of the F1 score."""

from dataclasses import dataclass

import numpy as np

from zoo.reducers import PredictionMetric, Tallies, diagonal, mean_of_present, ratio


@dataclass(frozen=True)
class MacroF1(PredictionMetric):
    """F1 = 2 TP / (items + predictions), in 0..1; classes without items are left out. scikit-learn's
    `f1_score(average="macro")` over those classes."""

    def reduce(self, tallies: Tallies) -> np.ndarray:
        items = tallies.confusion.sum(-1)
        f1 = ratio(2 * diagonal(tallies.confusion), items + tallies.confusion.sum(-2))
        return mean_of_present(np.where(items > 0, f1, np.nan))
