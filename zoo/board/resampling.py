"""The resamples of the bootstrap: which episodes and images are drawn, and the figures of every draw. No torch.

Everything follows from the number of episodes and of duplicate groups alone, so that two records of the same bank are
resampled in the same way: that pairs them. Random numbers are raw bits of PCG64, the same in every version of numpy.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse, special

from zoo import registry
from zoo.reducers import PredictionMetric, Tallies

RESAMPLES = 1000
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


class Resampled(NamedTuple):
    """One figure: its value, and its values under the resamples."""

    value: np.ndarray
    """() or (classes,)"""
    draws: np.ndarray
    """(RESAMPLES,) or (RESAMPLES, classes)"""


def figures(answers: Answers, classes: int) -> dict[str, Resampled]:
    """Every prediction metric of a bank, resampled over episodes and duplicate groups of images."""
    tally = _tally(answers, classes)
    point = _reduce(tally, np.ones((tally.episodes, 1)), np.ones((tally.groups, 1)))
    parts = [_reduce(tally, *weights) for weights in _weights(tally)]
    return {name: Resampled(value[0], np.concatenate([part[name] for part in parts])) for name, value in point.items()}


def numbered(groups: np.ndarray) -> np.ndarray:
    """Any group numbers (n,) as 0, 1, 2 ... in the order in which they come."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return first.argsort().argsort()[place]


def cluster_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Means of values (m, n) over n items, resampled by group: (m, RESAMPLES)."""
    clusters = numbered(groups)
    sizes = np.bincount(clusters)
    order = clusters.argsort(kind="stable")
    sums = np.add.reduceat(values[:, order], sizes.cumsum() - sizes, axis=1)
    drawn = _all_counts(len(sizes), _SEED)
    return sums @ drawn / (sizes @ drawn)


def group_draws(groups: np.ndarray) -> np.ndarray:
    """How often each of n items is drawn when their groups (n,) are resampled, (n, RESAMPLES) whole numbers."""
    clusters = numbered(groups)
    return _all_counts(int(clusters.max()) + 1, _SEED)[clusters]


def seed_draws(error: float, seeds: int) -> np.ndarray:
    """Draws (RESAMPLES,) of what training seeds add to a mean over `seeds` of them with this standard error.

    Student's t with seeds - 1 degrees of freedom, at evenly spaced levels in a fixed shuffled order. Drawing two to
    five seeds with replacement instead would understate their part: of three seeds a bootstrap sees two thirds of the
    variance and no tail. Convolved with the draws of episodes and images this is the distribution of Behrens and
    Fisher, whose intervals are conservative where the approximation of Welch and Satterthwaite is not.
    """
    return error * _standard_seed_draws(seeds)


@functools.cache
def _standard_seed_draws(seeds: int) -> np.ndarray:
    order = np.random.PCG64(_SEED + 2).random_raw(RESAMPLES).argsort(kind="stable")
    return special.stdtrit(seeds - 1, (order + 0.5) / RESAMPLES)


@functools.cache
def _metrics() -> dict[str, PredictionMetric]:
    return {name: registry.prediction_metric(name) for name in registry.usable("metrics/prediction")}


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
    return {name: metric.reduce(tallies) for name, metric in _metrics().items()}


def _weights(tally: _Tally) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Drawn weights (episodes, r) and (groups, r), a few resamples at a time, `RESAMPLES` in all."""
    places = sparse.csr_array(tally.by_episode @ tally.counts)
    nested = tally.episodes > 1 and (np.bincount(places.indices) <= 1).all()
    episode_bits, group_bits = np.random.PCG64(_SEED), np.random.PCG64(_SEED + 1)
    at_once = max(1, 4_000_000 // max(len(tally.episode), tally.groups))
    if at_once >= RESAMPLES:
        episodes = _all_counts(tally.episodes, _SEED)
        yield episodes, np.ones((tally.groups, RESAMPLES)) if nested else _all_counts(tally.groups, _SEED + 1)
        return
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        episodes = _counts(size, tally.episodes, episode_bits)
        yield episodes, np.ones((tally.groups, size)) if nested else _counts(size, tally.groups, group_bits)


@functools.lru_cache(4)
def _all_counts(size: int, seed: int) -> np.ndarray:
    """`_counts` of all resamples, kept: tables and simulations ask for the same few again and again."""
    return _counts(RESAMPLES, size, np.random.PCG64(seed))


def _counts(resamples: int, size: int, bits: np.random.PCG64) -> np.ndarray:
    """How often each of `size` things was drawn in each resample, (size, resamples)."""
    drawn = (bits.random_raw(resamples * size) % np.uint64(size)).astype(np.int64).reshape(resamples, size)
    places = drawn * resamples + np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=size * resamples).reshape(size, resamples).astype(np.float64)
