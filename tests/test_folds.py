"""Folds of fields: hashed, in whole groups, stratified, the same everywhere."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from zoo.cells import Cells
from zoo.data.fields.folds import folds, sha256
from zoo.data.fields.table import Fields
from zoo.errors import ZooError


def cells(*labels: int) -> Cells:
    count = len(labels)
    return Cells(
        np.array(labels, np.int64), np.zeros((count, 4), np.float32), None, np.zeros((count, 0), np.int64),
        np.ones(count, np.float32),
    )  # fmt: skip


def table(names: list[str], known: list[Cells], groups: list[int] | None = None) -> Fields:
    return Fields(
        dataset="made", subset=None, synthetic=True, names=tuple(names),
        groups=np.array(range(len(names)) if groups is None else groups),
        pixels=np.zeros((len(names), 1, 1, 3), np.uint8), cells=tuple(known), drawn=None, classes=("a", "b", "c"),
        attributes=(), scale=np.ones(len(names), np.float32), sha256="",
    )  # fmt: skip


@pytest.fixture
def made() -> Fields:
    """50 fields: 23 of class a, 13 of b, 5 of c, 4 unknown, 5 empty."""
    labels = [0] * 23 + [1] * 13 + [2] * 5 + [-1] * 4
    return table([f"field_{i}" for i in range(50)], [cells(label, 2) for label in labels] + [cells()] * 5)


def test_the_folds_of_these_names_are_pinned(made: Fields) -> None:
    """They depend on names, groups and classes alone: a new version of anything must deal the same."""
    assert sha256(made, folds(made)) == (
        "6c49cfb4197b5b3f0798ed54f3bb15fca0273f765d0771c9f45b11c39de722be"
    )


def test_every_class_is_spread_evenly(made: Fields) -> None:
    dealt = folds(made)
    assert sorted(Counter(dealt.tolist()).values()) == [10] * 5
    first = np.array([int(one.labels[0]) if len(one.labels) else -2 for one in made.cells])
    for label in (-2, -1, 0, 1, 2):
        counts = np.bincount(dealt[first == label], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_the_order_of_the_fields_does_not_matter(made: Fields) -> None:
    order = np.random.default_rng(0).permutation(50)
    shuffled = replace(made, names=tuple(made.names[i] for i in order), groups=order, cells=tuple(
        made.cells[i] for i in order))
    assert np.array_equal(folds(shuffled), folds(made)[order])
    assert sha256(shuffled, folds(shuffled)) == sha256(made, folds(made))


def test_a_group_stays_whole_and_counts_as_all_its_fields() -> None:
    names = [f"field_{i}" for i in range(12)]
    grouped = table(names, [cells(0)] * 12, [0, 0, 0, 0, 4, 4, 6, 7, 8, 9, 10, 11])
    dealt = folds(grouped, 3)
    assert len(set(dealt[:4])) == len(set(dealt[4:6])) == 1
    assert sorted(Counter(dealt.tolist()).values()) == [4, 4, 4]


@pytest.mark.parametrize("count", [1, 6])
def test_folds_that_cannot_be(count: int) -> None:
    with pytest.raises(ZooError, match=f"5 groups of fields make no {count} folds"):
        folds(table([f"field_{i}" for i in range(6)], [cells(0)] * 6, [0, 0, 2, 3, 4, 5]), count)
