"""Each prediction metric on a confusion counted by hand, and beside scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from zoo import registry
from zoo.reducers import Tallies

TRUTH = np.array([0, 0, 0, 0, 1, 1, 3])
PREDICTED = np.array([0, 0, 0, 1, 1, 2, 3])
"""Class 2 has no item, class 4 neither item nor prediction."""


def measure(name: str, truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """All predictions being one episode."""
    confusion = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    share = np.array((truth == predicted).mean() if len(truth) else np.nan)
    return registry.prediction_metric(name).reduce(Tallies(confusion, share))


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("accuracy", 5 / 7),
        ("class_accuracy", [3 / 4, 1 / 2, np.nan, 1, np.nan]),
        ("mean_class_accuracy", (3 / 4 + 1 / 2 + 1) / 3),
        ("macro_f1", (6 / 7 + 2 / 4 + 1) / 3),
    ],
)
def test_hand_counted(name: str, by_hand: float | list[float]) -> None:
    figure = measure(name, TRUTH, PREDICTED, 5)
    np.testing.assert_allclose(figure, by_hand)


def test_beside_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, 6, 300), random.integers(0, 6, 300)
    measured = {
        name: measure(name, truth, predicted, 6)
        for name in registry.names("metrics/prediction")
    }
    np.testing.assert_allclose(measured["accuracy"], accuracy_score(truth, predicted))
    np.testing.assert_allclose(measured["class_accuracy"], [recall_score(truth == k, predicted == k) for k in range(6)])
    np.testing.assert_allclose(measured["mean_class_accuracy"], balanced_accuracy_score(truth, predicted))
    np.testing.assert_allclose(measured["macro_f1"], f1_score(truth, predicted, average="macro"))


@pytest.mark.parametrize("name", ["accuracy", "mean_class_accuracy", "macro_f1"])
def test_no_item_is_no_number(name: str) -> None:
    none = np.array([], dtype=np.int64)
    assert np.isnan(measure(name, none, none, 3))
