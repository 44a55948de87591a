"""Share of correct predictions, averaged over episodes."""

from dataclasses import dataclass

import numpy as np

from zoo.reducers import PredictionMetric, Tallies


@dataclass(frozen=True)
class Accuracy(PredictionMetric):
    """Mean over the episodes of the episode's accuracy, in 0..1: the figure of the few-shot papers."""

    def reduce(self, tallies: Tallies) -> np.ndarray:
        return tallies.episode_accuracy
