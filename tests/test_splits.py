"""The split: sizes, whole groups, and dependence on names alone."""

import hashlib

import numpy as np
import pytest

from zoo.data.items import Items
from zoo.data.splits import Split, hash64, split

SIZES = {"basophil": 400, "ig": 90, "platelet": 31}


def make(sizes: dict[str, int] = SIZES, pairs: int = 0) -> Items:
    """Items with fake names; the first `pairs` pairs of each class are duplicates."""
    names = [f"{label}/{label[:2].upper()}_{n:04}.jpg" for label, size in sizes.items() for n in range(size)]
    groups = [
        start + (n // 2 * 2 if n < 2 * pairs else n)
        for start, size in zip(np.cumsum([0, *sizes.values()]), sizes.values(), strict=False)
        for n in range(size)
    ]
    labels = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    return Items("fake", None, True, tuple(sizes), tuple(names), labels, np.array(groups),
                 np.zeros((len(names), 1, 1, 3), np.uint8))


def shuffled(items: Items, seed: int) -> Items:
    """The same items in another order, with other group numbers."""
    order = np.random.default_rng(seed).permutation(len(items))
    return Items(items.dataset, items.subset, items.synthetic, items.classes, tuple(items.names[i] for i in order),
                 items.labels[order], 10**6 - items.groups[order], items.pixels)


def per_class(items: Items, numbers: np.ndarray) -> list[int]:
    return np.bincount(items.labels[numbers], minlength=len(items.classes)).tolist()


def named(items: Items, parts: Split) -> list[set[str]]:
    return [{items.names[i] for i in part} for part in (parts.train, parts.validation, parts.test)]


def test_hash64_is_blake2b_of_the_joined_parts():
    expected = hashlib.blake2b(b"0\0split\0a/b.jpg", digest_size=8).digest()
    assert hash64(0, "split", "a/b.jpg") == int.from_bytes(expected, "little")
    assert hash64("ab", "c") != hash64("a", "bc")


def test_sizes():
    items = make()
    parts = split(items)
    assert per_class(items, parts.train) == [125, 30, 10]
    assert per_class(items, parts.validation) == [125, 30, 10]
    assert per_class(items, parts.test) == [150, 30, 11]
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert np.array_equal(np.sort(together), np.arange(len(items)))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in (parts.train, parts.validation))


def test_first_ranks_are_train_then_validation():
    items = make({"ig": 30})
    parts = split(items, 4, 3, seed=5)
    ranked = sorted(items.names, key=lambda name: hash64(5, "split", name))
    assert named(items, parts) == [set(ranked[:4]), set(ranked[4:7]), set(ranked[7:])]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_stay_whole_and_sizes_exact(seed: int):
    items = make(pairs=10)
    parts = split(items, 25, 25, seed)
    sides = [set(items.groups[part].tolist()) for part in (parts.train, parts.validation, parts.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert per_class(items, parts.train) == [25, 25, 10]
    assert per_class(items, parts.validation) == [25, 25, 10]


def test_a_group_across_classes_stays_whole():
    items = make({"ig": 9, "platelet": 9})
    items.groups[9:] = items.groups[:9]
    parts = split(items, 3, 3)
    assert per_class(items, parts.train) == [3, 3]
    assert (parts.train[:3] + 9 == parts.train[3:]).all()


def test_order_does_not_matter():
    items = make(pairs=15)
    other = shuffled(items, 1)
    one, two = split(items, 25, 25), split(other, 25, 25)
    assert named(items, one) == named(other, two)
    assert one.sha256 == two.sha256


def test_seeds_differ_and_the_hash_is_pinned():
    items = make(pairs=15)
    assert split(items, 25, 25, 1).sha256 != split(items, 25, 25).sha256
    assert split(items, 25, 25).sha256 == "7807b9e5f17a064afa1c75f48ff4333d68368868875f65ddb9a5837a90f1ec4e"
