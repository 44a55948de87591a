"""Which training items make a batch: index arrays that several learned methods share."""

from collections.abc import Iterator

import numpy as np

from zoo.errors import ZooError


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


def episodic(labels: np.ndarray, way: int, shot: int, batch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches that are one episode each, standing class by class in ascending order: `batch // way` different items
    of each of `way` classes, of which the first `shot` are the supports.

    Where there are fewer classes all of them make an episode; where a class has fewer items every class gives that
    many; classes without a query beside their supports stay out. As many episodes as the items fill, at least one.
    Raises ZooError where that leaves fewer than two classes, or no query.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    members = [member for member in members if len(member) > shot]
    if len(members) < 2:
        raise ZooError(f"shot={shot}: fewer than two training classes have {shot + 1} images; --set a smaller shot")
    way = min(way, len(members))
    each = min(batch // way, min(map(len, members)))
    if each <= shot:
        raise ZooError(f"batch={batch} holds no query beside {way} x {shot} supports; --set batch={way * (shot + 1)}")
    for _ in range(max(len(labels) // (way * each), 1)):
        chosen = np.sort(random.choice(len(members), way, replace=False))
        yield np.concatenate([random.choice(members[number], each, replace=False) for number in chosen])
