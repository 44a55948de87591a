"""Figures of attributes: against scikit-learn, against those of cells, and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from zoo import registry
from zoo.attributes import UNDEFINED
from zoo.board import attributes as board
from zoo.cell_table import Table
from zoo.errors import ZooError
from zoo.record import AttributeAnswers, Attributes, Figure


def test_measures_are_scikit_learns_and_within_class_by_hand():
    random = np.random.default_rng(1)
    truth, words, classes = (random.integers(0, top, 80) for top in (3, 4, 5))
    truth[classes == 4] = 1
    weights = np.concatenate([np.ones((80, 1)), random.integers(0, 3, (80, 4))], 1).astype(float)
    accuracy, macro, within = board.measures(truth, words, classes, weights)
    for column in range(5):
        repeat = np.repeat(np.arange(80), weights[:, column].astype(int))
        own, said, kind = truth[repeat], words[repeat], classes[repeat]
        assert accuracy[column] == pytest.approx(accuracy_score(own, said))
        labels = np.unique(own)
        assert macro[column] == pytest.approx(f1_score(own, said, labels=labels, average="macro"))
        parts = [(said == own)[kind == one].mean() for one in range(5) if len(np.unique(own[kind == one])) > 1]
        assert within[column] == pytest.approx(np.mean(parts))


def test_measures_agree_with_those_of_cells():
    """The same definitions as the figures of cell models."""
    random = np.random.default_rng(2)
    truth, words, classes = (random.integers(0, top, 60) for top in (3, 4, 4))
    ones, nothing, yes = np.ones(60), np.full(60, np.nan), np.ones(60, bool)
    table = Table(
        np.arange(60), yes, yes, classes, classes, ones, ~yes, yes, yes, nothing, nothing, nothing, nothing, nothing,
        0 * ones, nothing, 0 * ones, truth[:, None], words[:, None], ones,
    )  # fmt: skip
    found = board.measures(truth, words, classes, ones[:, None])
    names = "attribute_accuracy", "attribute_macro_f1", "attribute_within_class_accuracy"
    for name, value in zip(names, found, strict=True):
        assert registry.build("metrics/cell", name).value(table) == pytest.approx(value[0])


def made(**changes: object) -> Attributes:
    """Four items of two classes, two attributes of which the second is known of two items."""
    parts = dict(
        words={"cell_size": ["small", "big"], "shape": ["round", "odd", UNDEFINED]},
        truth={"cell_size": [1, 2, 2, 2], "shape": [0, 0, 1, 2]},
        usual={"cell_size": 2, "shape": 1},
        usual_of_class={"cell_size": [1, 2], "shape": [0, 2]},
        trained_on=10,
        heads=AttributeAnswers(
            words={"cell_size": [0, 1, 1, 0], "shape": [2, 2, 0, 2]}, classes=[0, 0, 1, 0],
            changed={"cell_size": [1, 0, 1, 0], "shape": [0, 0, 1, 0]},
        ),
        permuted=AttributeAnswers(
            words={"cell_size": [0, 0, 0, 0], "shape": [0, 0, 0, 0]}, classes=[0] * 4,
            changed={"cell_size": [0] * 4, "shape": [0] * 4},
        ),
        figures={},
    )  # fmt: skip
    return Attributes.model_validate(parts | changes)


def test_figures_by_hand():
    found = board.figures(made(), np.array([0, 0, 1, 1]), np.arange(4))
    value = {name: figure.value for name, figure in found.items()}
    assert value["heads.accuracy.cell_size"] == 0.75
    assert value["heads.accuracy.shape"] == 0.5  # of the two that are known; a word told as undefined is wrong
    assert value["heads.accuracy.mean"] == 0.625
    assert value["heads.accuracy.hemax"] == 0.75  # the size alone is one of HemaX's
    assert value["majority.accuracy.cell_size"] == 0.75
    assert value["class.accuracy.cell_size"] == 0.75
    assert value["heads.within_class_accuracy.cell_size"] == 1.0  # only the first class has two words
    assert value["class.within_class_accuracy.cell_size"] == 0.5
    assert value["permuted.accuracy.cell_size"] == 0.25
    assert value["heads.class"] == 0.75
    assert value["heads.changed.cell_size"] == 0.25
    assert value["heads.changed.mean"] == 0.125
    assert value["permuted.changed.mean"] == 0
    assert all(figure.low <= figure.value <= figure.high for figure in found.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"truth": {"cell_size": [1, 2, 2, 2]}}, "attributes.truth: its attributes are not those"),
        ({"truth": {"cell_size": [1, 2, 2, 3], "shape": [0] * 4}}, "cell_size has too many or too few"),
        ({"truth": {"cell_size": [1, 2, 2], "shape": [0] * 4}}, "cell_size has too many or too few"),
        ({"usual": {"cell_size": 3, "shape": 1}}, "cell_size has a usual word"),
        ({"usual_of_class": {"cell_size": [1], "shape": [0, 2]}}, "cell_size has a usual word"),
        (
            {"heads": AttributeAnswers(words={"cell_size": [0] * 4, "shape": [0] * 4}, classes=[0], changed={})},
            "the classes that follow from them are not one an item",
        ),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes, said):
    with pytest.raises(ZooError, match=said):
        board.figures(made(**changes), np.array([0, 0, 1, 1]), np.arange(4))


def test_without_learned_classes_nothing_is_said_of_them():
    answers = AttributeAnswers(words={"cell_size": [0] * 4, "shape": [0] * 4}, classes=[], changed={})
    found = board.figures(made(heads=answers, permuted=answers), np.array([0, 0, 1, 1]), np.arange(4))
    assert not any(".class" in name or "changed" in name for name in found if not name.startswith("class"))
    assert isinstance(found["heads.accuracy.mean"], Figure)
