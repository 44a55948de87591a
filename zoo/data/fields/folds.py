"""Folds of a dataset of fields, drawn by hashing names alone."""

import hashlib
from collections import defaultdict

import numpy as np

from zoo.data.fields.table import Fields
from zoo.data.splits import hash64
from zoo.errors import ZooError


def folds(fields: Fields, count: int = 5) -> np.ndarray:
    """(n,) int64: the fold 0 .. count - 1 of every field.

    A group of fields stays whole. Groups are dealt class by class (that of the first cell of the group's first field;
    fields without a cell, and cells of unknown class, are classes of their own), each class in the order of the hashes
    of ("fold", first name), to the fold with the fewest fields of that class, then with the fewest fields of all.
    Depends on names, groups and classes, never on their order. ZooError for more folds than groups.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(fields.groups.tolist()):
        members[group].append(number)
    if not 2 <= count <= len(members):
        raise ZooError(f"{fields.dataset}: {len(members)} groups of fields make no {count} folds; ask for 2 or more "
                       "folds, but no more than there are groups")
    classes: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
    for group in members.values():
        first = min(group, key=lambda number: fields.names[number])
        labels = fields.cells[first].labels
        key = hash64("fold", fields.names[first])
        classes[int(labels[0]) if len(labels) else -2].append((key, group))
    dealt = np.zeros(len(fields.names), np.int64)
    total = [0] * count
    for label in sorted(classes):
        own = [0] * count
        for _, group in sorted(classes[label]):
            fold = min(range(count), key=lambda one: (own[one], total[one], one))
            dealt[group] = fold
            own[fold] += len(group)
            total[fold] += len(group)
    return dealt


def sha256(fields: Fields, dealt: np.ndarray) -> str:
    """Hash of which field is in which fold, whatever the order of the fields."""
    lines = sorted(f"{name}\t{fold}" for name, fold in zip(fields.names, dealt.tolist(), strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
