"""From confusion counts to figures: the reducers that every resample and every prediction metric share. No torch.

A confusion is an array (..., classes, classes) of non-negative counts: row = true class, column = predicted class.
Leading axes (resamples, episodes) are kept. A class is present where its row has items.
"""

import numpy as np


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) of classes (n,) and predicted classes (n,), numbers 0..classes-1."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of correct predictions, (...) in 0..1; NaN without any item."""
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))


def class_accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of each class's items that got it, (..., classes) in 0..1; NaN for a class without items."""
    return _ratio(_diagonal(counts), counts.sum(-1))


def mean_class_accuracy(counts: np.ndarray) -> np.ndarray:
    """Unweighted mean of the class accuracies over the present classes, (...); NaN without any item."""
    return _mean_of_present(class_accuracy(counts))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Unweighted mean over the present classes of F1 = 2 TP / (items + predictions), (...); NaN without any item."""
    items = counts.sum(-1)
    f1 = _ratio(2 * _diagonal(counts), items + counts.sum(-2))
    return _mean_of_present(np.where(items > 0, f1, np.nan))


def _diagonal(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean_of_present(values: np.ndarray) -> np.ndarray:
    present = ~np.isnan(values)
    return _ratio(np.where(present, values, 0).sum(-1), present.sum(-1))
