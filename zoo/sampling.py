"""Which training items make a batch: index arrays that several learned methods share."""

from collections.abc import Iterator

import numpy as np


def balanced(labels: np.ndarray, batch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches with the classes as equal as can be; every item appears once an epoch, the last odd few left out."""
    queues = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    longest = max(len(queue) for queue in queues)
    columns = np.stack([np.resize(queue, longest) for queue in queues], 1)  # smaller classes start again
    order = np.concatenate([random.permutation(row) for row in columns])
    batch = min(batch, len(order))
    for start in range(0, len(order) - batch + 1, batch):
        yield order[start : start + batch]


def shuffled(labels: np.ndarray, batch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Plain batches of a permutation, the last odd few left out."""
    order = random.permutation(len(labels))
    batch = min(batch, len(order))
    for start in range(0, len(order) - batch + 1, batch):
        yield order[start : start + batch]


def partners(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One partner for every item, of its own class for every second item of a class, of another for the rest."""
    partner = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        inside = random.permutation(np.flatnonzero(labels == label))
        outside = np.flatnonzero(labels != label)
        half = len(inside) // 2
        shift = 1 + random.integers(max(len(inside) - 1, 1), size=half)
        partner[inside[:half]] = inside[(np.arange(half) + shift) % len(inside)]
        partner[inside[half:]] = random.choice(outside, len(inside) - half)
    return partner
