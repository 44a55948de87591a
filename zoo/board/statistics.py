"""Figures with 95 % intervals, from the predictions and per-item values that a record stores. No torch.

Predictions vary with the support draw and with the image, so both are resampled: episodes, and duplicate groups of
images, independently and with replacement; a prediction then counts (times its episode was drawn) x (times its group
was drawn). This two-way bootstrap is slightly conservative (Owen, The pigeonhole bootstrap, Annals of Applied
Statistics 1(2), 2007). Where no group occurs in two episodes, images are nested in episodes and drawing the episodes
already draws the images: then only episodes are resampled, as the product would be too wide by up to a factor √3.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from zoo import registry
from zoo.errors import ZooError
from zoo.record import BankSpec, Figure, Predictions, unpack_numbers
from zoo.reducers import Tallies

RESAMPLES = 1000
_METRICS = "metrics/prediction"
_SEED = 20230


class Answers(NamedTuple):
    """Every prediction of a bank, one entry each, in the order of the bank."""

    episode: np.ndarray
    """(n,) 0..episodes-1"""
    group: np.ndarray
    """(n,) duplicate group of the queried image, renumbered 0..groups-1"""
    truth: np.ndarray
    """(n,) class numbers"""
    predicted: np.ndarray
    """(n,) class numbers"""


class Spread(NamedTuple):
    """Accuracy of the worst, the median and the best episode, in 0..1."""

    worst: float
    median: float
    best: float


def unpack(predictions: Predictions, classes: Sequence[str], bank: BankSpec) -> Answers:
    """The stored predictions as arrays. Raises ZooError where they contradict themselves or the bank."""
    try:
        query, predicted = unpack_numbers(predictions.query), unpack_numbers(predictions.predicted)
        lists = predictions.lengths, predictions.truth, predictions.groups
        lengths, truth, groups = (np.array(numbers, dtype=np.int64) for numbers in lists)
    except (ValueError, zlib.error, OverflowError):
        raise ZooError("predictions: their numbers are damaged; run again to make the record anew") from None
    for wrong, text in (
        (not (len(truth) == len(groups) == len(predictions.items)), "items, truth and groups differ in length"),
        (len(set(predictions.items)) != len(predictions.items), "an item is named twice"),
        (not len(query), "there are none"),
        (not (len(query) == len(predicted) == lengths.sum()), "query, predicted and lengths differ in length"),
        (len(lengths) > bank.episodes, f"{len(lengths)} episodes, but the bank has {bank.episodes}"),
        ((lengths < 1).any(), "an episode has no query"),
        ((query >= len(truth)).any(), "an item number is out of range"),
        (not np.bincount(query, minlength=len(truth)).all(), "an item is never queried"),
        ((predicted >= len(classes)).any(), "a predicted class is out of range"),
        ((truth < 0).any() or (truth >= len(classes)).any(), "the class of an item is out of range"),
    ):
        if wrong:
            raise ZooError(f"predictions: {text}; run again to make the record anew")
    episode = np.repeat(np.arange(len(lengths)), lengths)
    group = np.unique(groups, return_inverse=True)[1]
    return Answers(episode, group[query], truth[query], predicted)


def figures(
    predictions: Predictions, classes: Sequence[str], bank: BankSpec
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Every prediction metric of a bank, and the accuracy of each class that has queries, with 95 % intervals."""
    tally = _tally(unpack(predictions, classes, bank), len(classes))
    point = _reduce(tally, np.ones((tally.episodes, 1)), np.ones((tally.groups, 1)))
    parts = [_reduce(tally, *weights) for weights in _weights(tally)]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in point}
    single = [name for name in point if not registry.prediction_metric(name).per_class]
    whole = {name: _figure(point[name][0], drawn[name]) for name in single}
    by_class = zip(classes, point["class_accuracy"][0], drawn["class_accuracy"].T, strict=True)
    return whole, {name: _figure(value, values) for name, value, values in by_class if not np.isnan(value)}


def episode_accuracy(answers: Answers) -> np.ndarray:
    """Accuracy of each episode, (episodes,) in 0..1."""
    starts = np.flatnonzero(np.diff(answers.episode, prepend=-1))
    right = np.add.reduceat(answers.truth == answers.predicted, starts, dtype=np.int64)
    return right / np.diff(starts, append=len(answers.episode))


def spread(accuracies: np.ndarray) -> Spread:
    """Worst, median and best of episode accuracies."""
    return Spread(float(accuracies.min()), float(np.median(accuracies)), float(accuracies.max()))


def mean_interval(values: Sequence[float] | np.ndarray) -> Figure:
    """Mean of one value an explained item, with the interval of resampling the items."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        raise ZooError("there is no explained item to average; explain at least one query")
    drawn = numbers[_draws(RESAMPLES, len(numbers), np.random.PCG64(_SEED))].mean(1)
    return _figure(numbers.mean(), drawn)


def paired_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, higher_is_better: bool
) -> Figure:
    """Mean over items of a - b (or of b - a where lower is better): positive where `a` is better."""
    if len(a) != len(b):
        raise ZooError(f"a paired difference needs the same items twice, not {len(a)} and {len(b)} values")
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return mean_interval(difference if higher_is_better else -difference)


def explanation_figures(
    values: Mapping[str, Sequence[float]],
    random: Mapping[str, Sequence[float]] | None,
    higher_is_better: Mapping[str, bool],
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """(figures, against_random) of one explainer's row: metric -> mean, metric -> paired difference to `random`.

    `random` holds the values of the `random` floor on the same items; None for that floor's own row.
    """
    means = {metric: mean_interval(numbers) for metric, numbers in values.items()}
    against = {
        metric: paired_difference(numbers, random[metric], higher_is_better[metric])
        for metric, numbers in values.items()
        if random is not None and metric in random
    }
    return means, against


class _Tally(NamedTuple):
    """How often each group was given each prediction in each episode."""

    counts: sparse.csr_array
    """(cells, groups) float32: a cell is one (episode, true class, predicted class) that occurs"""
    episode: np.ndarray
    """(cells,)"""
    by_episode: sparse.csr_array
    """(episodes, cells) indicator"""
    right_by_episode: sparse.csr_array
    """(episodes, cells) indicator of the cells whose prediction is right"""
    by_pair: sparse.csr_array
    """(classes², cells) indicator of each true x predicted class"""
    classes: int
    episodes: int
    groups: int


def _tally(answers: Answers, classes: int) -> _Tally:
    episodes, groups = int(answers.episode.max()) + 1, int(answers.group.max()) + 1
    pair = answers.truth * classes + answers.predicted
    found, cell = np.unique(answers.episode * classes**2 + pair, return_inverse=True)
    episode, pair = found // classes**2, found % classes**2
    right = pair // classes == pair % classes
    cells = np.arange(len(found))
    return _Tally(
        counts=_matrix(np.ones(len(cell), np.float32), cell, answers.group, (len(found), groups)),
        episode=episode,
        by_episode=_matrix(np.ones(len(found)), episode, cells, (episodes, len(found))),
        right_by_episode=_matrix(right.astype(np.float64), episode, cells, (episodes, len(found))),
        by_pair=_matrix(np.ones(len(found)), pair, cells, (classes**2, len(found))),
        classes=classes,
        episodes=episodes,
        groups=groups,
    )


def _matrix(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((values, (rows, columns)), shape=shape)


def _reduce(tally: _Tally, episode_weights: np.ndarray, group_weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every figure, (r,) or (r, classes), under r weightings of episodes (episodes, r) and of groups (groups, r).

    Weights are whole numbers, so all sums are exact (in single precision too, where one cell is summed: far below
    2^24) and the figures do not depend on the machine.
    """
    counts = (tally.counts @ group_weights.astype(np.float32)).astype(np.float64)
    total = tally.by_episode @ counts
    weights = np.where(total > 0, episode_weights, 0)
    per_episode = tally.right_by_episode @ counts / np.maximum(total, 1)
    pairs = tally.by_pair @ (counts * episode_weights[tally.episode])
    confusion = pairs.T.reshape(-1, tally.classes, tally.classes)
    tallies = Tallies(
        confusion, (per_episode * weights).sum(0) / np.where(weights.any(0), weights.sum(0), np.nan)
    )
    return {name: registry.prediction_metric(name).reduce(tallies) for name in registry.names(_METRICS)}


def _weights(tally: _Tally) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Drawn weights (episodes, r) and (groups, r), a few resamples at a time, `RESAMPLES` in all."""
    places = sparse.csr_array(tally.by_episode @ tally.counts)
    nested = tally.episodes > 1 and (np.bincount(places.indices) <= 1).all()
    episode_bits, group_bits = np.random.PCG64(_SEED), np.random.PCG64(_SEED + 1)
    at_once = max(1, 4_000_000 // max(len(tally.episode), tally.groups))
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        episodes = _counts(size, tally.episodes, episode_bits)
        yield episodes, np.ones((tally.groups, size)) if nested else _counts(size, tally.groups, group_bits)


def _draws(resamples: int, size: int, bits: np.random.PCG64) -> np.ndarray:
    """Numbers 0..size-1, (resamples, size). From raw bits: numpy keeps that stream the same in every version."""
    return (bits.random_raw(resamples * size) % np.uint64(size)).astype(np.int64).reshape(resamples, size)


def _counts(resamples: int, size: int, bits: np.random.PCG64) -> np.ndarray:
    """How often each of `size` things was drawn in each resample, (size, resamples)."""
    drawn = _draws(resamples, size, bits) * resamples + np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * resamples).reshape(size, resamples).astype(np.float64)


def _figure(value: float, drawn: np.ndarray) -> Figure:
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Figure(value=float(value), low=float(low), high=float(high))
