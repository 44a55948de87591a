"""Figures of predictions, from tallies that every resample of the bootstrap makes anew. No torch.

A confusion is an array (..., classes, classes) of non-negative counts: row = true class, column = predicted class.
Leading axes (resamples) are kept. A class is present where its row has items.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np


class Tallies(NamedTuple):
    """What a prediction metric may look at."""

    confusion: np.ndarray
    """(..., classes, classes) counts over all predictions of the bank"""
    episode_accuracy: np.ndarray
    """(...) mean over the episodes of each one's share of correct predictions"""


class PredictionMetric(ABC):
    """A figure of the predictions of one bank. A file in metrics/prediction is in every record by being there."""

    higher_is_better: ClassVar[bool] = True
    per_class: ClassVar[bool] = False
    """True where there is one number a class."""

    @abstractmethod
    def reduce(self, tallies: Tallies) -> np.ndarray:
        """(...), or (..., classes) with NaN for a class without items where `per_class`."""


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def diagonal(confusion: np.ndarray) -> np.ndarray:
    """Correct predictions of each class, (..., classes)."""
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's items that got it, (..., classes) in 0..1; NaN for a class without items."""
    return ratio(diagonal(confusion), confusion.sum(-1))


def mean_of_present(values: np.ndarray) -> np.ndarray:
    """Unweighted mean over the classes that are not NaN: (..., classes) -> (...)."""
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0).sum(-1), present.sum(-1))
