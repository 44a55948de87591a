"""Figures with 95 % intervals, from the predictions and per-item values that a record stores. No torch.

Predictions vary with the support draw and with the image, so both are resampled: episodes, and duplicate groups of
images, independently and with replacement; a prediction then counts (times its episode was drawn) x (times its group
was drawn). This two-way bootstrap is slightly conservative (Owen, The pigeonhole bootstrap, Annals of Applied
Statistics 1(2), 2007). Where no group occurs in two episodes, images are nested in episodes and drawing the episodes
already draws the images: then only episodes are resampled, as the product would be too wide by up to a factor √3.

Where a row has several training seeds they are a further level: the mean over the seeds is resampled over the same
episodes and groups, and what the seeds vary is added to every draw (`resampling.seed_draws`).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo.board import resampling
from zoo.board.resampling import Answers
from zoo.errors import ZooError
from zoo.packing import pack_draws, unpack_draws
from zoo.record import BankSpec, Figure, Predictions, Record


class Spread(NamedTuple):
    """Accuracy of the worst, the median and the best episode, in 0..1."""

    worst: float
    median: float
    best: float


def unpack(predictions: Predictions, classes: Sequence[str], bank: BankSpec) -> Answers:
    """The stored predictions as arrays. Raises ZooError where they contradict themselves or the bank."""
    try:
        query, stored = predictions.unpack()
        lists = predictions.lengths, predictions.truth, predictions.groups
        lengths, truth, groups = (np.array(numbers, dtype=np.int64) for numbers in lists)
    except (ValueError, OverflowError):
        raise ZooError("predictions: their numbers are damaged; run again to make the record anew") from None
    for wrong, text in (
        (not (len(truth) == len(groups) == len(predictions.items)), "items, truth and groups differ in length"),
        (len(set(predictions.items)) != len(predictions.items), "an item is named twice"),
        (not len(query), "there are none"),
        (not (len(query) == len(stored) == lengths.sum()), "query, predicted and lengths differ in length"),
        (len(lengths) > bank.episodes, f"{len(lengths)} episodes, but the bank has {bank.episodes}"),
        ((lengths < 1).any(), "an episode has no query"),
        ((query >= len(truth)).any(), "an item number is out of range"),
        (not np.bincount(query, minlength=len(truth)).all(), "an item is never queried"),
        ((stored >= len(classes)).any(), "a predicted class is out of range"),
        ((truth < 0).any() or (truth >= len(classes)).any(), "the class of an item is out of range"),
    ):
        if wrong:
            raise ZooError(f"predictions: {text}; run again to make the record anew")
    episode = np.repeat(np.arange(len(lengths)), lengths)
    predicted = np.empty_like(stored)
    predicted[np.lexsort((episode, query))] = stored
    group = np.unique(groups, return_inverse=True)[1]
    return Answers(episode, group[query], truth[query], predicted)


def figures(
    predictions: Predictions, classes: Sequence[str], bank: BankSpec
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Every prediction metric of a bank, and the accuracy of each class that has queries, with 95 % intervals."""
    found = resampling.figures(unpack(predictions, classes, bank), len(classes))
    by_class = found["class_accuracy"]
    whole = {name: _figure(float(one.value), one.draws, True) for name, one in found.items() if not one.value.ndim}
    return whole, {
        name: _figure(value, drawn, True)
        for name, value, drawn in zip(classes, by_class.value.tolist(), by_class.draws.T, strict=True)
        if not np.isnan(value)
    }


def with_draws(record: Record) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """`figures` of a record as it stores them, or made again where they have no draws."""
    stored = record.figures, record.class_accuracy
    if all(figure.draws for part in stored for figure in part.values()):
        return stored
    return figures(record.predictions, record.classes, record.bank)


def draws(figure: Figure) -> np.ndarray:
    """(RESAMPLES,) values of a figure under the resamples. Raises ZooError where they are damaged."""
    try:
        drawn = unpack_draws(figure.draws)
    except ValueError:
        drawn = np.empty(0)
    if len(drawn) != resampling.RESAMPLES:
        raise ZooError("draws of a figure: they are damaged; run again to make the record anew")
    return drawn


def same_draws(a: Figure, b: Figure) -> bool:
    """Whether two figures have the same draws, up to one step of their rounding; a figure without any agrees."""
    return not a.draws or not b.draws or np.allclose(draws(a), draws(b), rtol=0, atol=2e-5, equal_nan=True)


def over_seeds(values: np.ndarray, drawn: np.ndarray) -> Figure:
    """Mean of the values (seeds,) of several training seeds, from their draws (seeds, RESAMPLES) on the same bank."""
    together = drawn.mean(0)
    if len(values) > 1:
        together = together + resampling.seed_draws(seed_error(values), len(values))
    return _figure(float(values.mean()), together.clip(0, 1))


def seed_error(values: np.ndarray) -> float:
    """Standard error of a mean over training seeds (seeds,), from how they vary; 0 of one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def episode_accuracy(answers: Answers) -> np.ndarray:
    """Accuracy of each episode, (episodes,) in 0..1."""
    starts = np.flatnonzero(np.diff(answers.episode, prepend=-1))
    right = np.add.reduceat(answers.truth == answers.predicted, starts, dtype=np.int64)
    return right / np.diff(starts, append=len(answers.episode))


def spread(accuracies: np.ndarray) -> Spread:
    """Worst, median and best of episode accuracies."""
    return Spread(float(accuracies.min()), float(np.median(accuracies)), float(accuracies.max()))


def clusters(items: Sequence[str], predictions: Predictions) -> np.ndarray:
    """Duplicate group (n,) of the image of each explained query: one explained in two episodes is one image."""
    groups = dict(zip(predictions.items, predictions.groups, strict=True))
    try:
        return np.array([groups[item] for item in items])
    except KeyError:
        raise ZooError("explanations: an explained item is not among the predictions; run again") from None


def mean_interval(values: Sequence[float] | np.ndarray, groups: np.ndarray | None = None) -> Figure:
    """Mean of one value an explained query, with the interval of resampling the images.

    groups: (n,) which queries show the same image (any whole numbers); without it each one its own.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        raise ZooError("there is no explained item to average; explain at least one query")
    own = np.arange(len(numbers)) if groups is None else groups
    return _figure(float(numbers.mean()), resampling.cluster_means(numbers[None], own)[0])


def median_interval(values: Sequence[float] | np.ndarray, groups: np.ndarray | None = None) -> Figure:
    """Median of one value an explained query, with the interval of resampling as in `mean_interval`."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        raise ZooError("there is no explained item to take the median of; explain at least one query")
    order = numbers.argsort(kind="stable")
    ranked, own = numbers[order], np.arange(len(numbers)) if groups is None else groups
    up_to = resampling.group_draws(own)[order].cumsum(0)
    # The two in the middle of a resample; of an odd number twice the same.
    low, high = (ranked[(up_to < place).sum(0)] for place in ((up_to[-1] + 1) // 2, up_to[-1] // 2 + 1))
    return _figure(float(np.median(numbers)), (low + high) / 2)


def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    higher_is_better: bool,
    groups: np.ndarray | None = None,
) -> Figure:
    """Mean over queries of a - b (or of b - a where lower is better): positive where `a` is better."""
    if len(a) != len(b):
        raise ZooError(f"a paired difference needs the same items twice, not {len(a)} and {len(b)} values")
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return mean_interval(difference if higher_is_better else -difference, groups)


def explanation_figures(
    values: Mapping[str, Sequence[float]],
    random: Mapping[str, Sequence[float]] | None,
    higher_is_better: Mapping[str, bool],
    groups: np.ndarray | None = None,
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """(figures, against_random) of one explainer's row: metric -> mean, metric -> paired difference to `random`.

    `random` holds the values of the `random` floor on the same queries; None for that floor's own row. `groups`: (n,)
    duplicate group of each query's image.
    """
    means = {metric: mean_interval(numbers, groups) for metric, numbers in values.items()}
    against = {
        metric: paired_difference(numbers, random[metric], higher_is_better[metric], groups)
        for metric, numbers in values.items()
        if random is not None and metric in random
    }
    return means, against


def _figure(value: float, drawn: np.ndarray, keep: bool = False) -> Figure:
    """With the interval that holds 95 % of the draws, and the draws themselves where they are to be kept."""
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Figure(value=value, low=float(low), high=float(high), draws=pack_draws(drawn) if keep else "")
