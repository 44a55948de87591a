"""Train, validation and test parts of a dataset, drawn by hashing names alone."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

from zoo.data.items import Items

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Item numbers of the three parts; together they hold every item once."""

    train: np.ndarray
    """(n,) int64, ascending"""
    validation: np.ndarray
    """(n,) int64, ascending"""
    test: np.ndarray
    """(n,) int64, ascending"""
    sha256: str
    """Of the names in each part."""


def hash64(*parts: str | int) -> int:
    """An unsigned 64-bit number that depends on the parts alone: the same on every platform and version."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def split(items: Items, train_per_class: int = 125, validation_per_class: int = 125, seed: int = 0) -> Split:
    """The paper's split (Tummala & Suresh 2023: 125 + 125 images of each class, the rest is test), by hashed names.

    Duplicate groups stay whole: they are ranked by the hash of (seed, "split", smallest name of the group), and each
    goes to the first of train, validation, test that has room for all of it. A class with fewer than three times the
    asked number gives a third each to train and validation. Depends on names, labels and groups, never on their order.
    """
    labels = items.labels.tolist()
    members: dict[int, list[int]] = {}
    for number, group in enumerate(items.groups.tolist()):
        members.setdefault(group, []).append(number)
    ranked = sorted((hash64(seed, "split", min(items.names[i] for i in m)), m) for m in members.values())

    size = np.bincount(items.labels, minlength=len(items.classes))
    room = [np.minimum(most, size // 3).tolist() for most in (train_per_class, validation_per_class)]
    sides: tuple[list[int], ...] = ([], [], [])
    for _, group in ranked:
        wanted = Counter(labels[i] for i in group)
        side = next((s for s in (0, 1) if all(room[s][label] >= n for label, n in wanted.items())), 2)
        sides[side].extend(group)
        if side < 2:
            for label, n in wanted.items():
                room[side][label] -= n

    text = "\n".join(name for side, numbers in zip(SIDES, sides, strict=True)
                     for name in (f"[{side}]", *sorted(items.names[i] for i in numbers)))
    train, validation, test = (np.array(sorted(numbers), dtype=np.int64) for numbers in sides)
    return Split(train, validation, test, hashlib.sha256(text.encode()).hexdigest())
