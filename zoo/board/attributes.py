"""Figures of attributes with 95 % intervals, from the words that a record stores, and the tables that show them.

Names: `<who>.<what>.<attribute>`, where who is heads, permuted (the floor: heads fitted on attributes dealt at random),
majority (the commonest word of training) or class (the commonest word of the true class: what the class gives away);
what is accuracy, macro_f1 or within_class_accuracy; and the attribute is its name, `mean` over all, or `hemax`, the
mean over HemaX's five. `<who>.changed.<attribute>`: the share of items whose class, as it follows from the attributes
alone, changes when this one is set to its likeliest other word. `<who>.class`: how often that class is the true one.

Resampled are groups of duplicate images; the heads do not depend on episodes.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import sparse

from zoo.attributes import HEMAX
from zoo.board import resampling
from zoo.errors import ZooError
from zoo.record import AttributeAnswers, Attributes, Figure

WHAT = ("accuracy", "macro_f1", "within_class_accuracy")
MEANS = ("mean", "hemax")


def figures(found: Attributes, classes: np.ndarray, groups: np.ndarray) -> dict[str, Figure]:
    """Every figure, from the true class numbers (n,) and the duplicate groups (n,) of the items.

    ZooError where the stored words contradict themselves. What nothing is known of has no figure.
    """
    _check(found, len(classes), int(classes.max(initial=0)) + 1)
    weights = np.concatenate([np.ones((len(groups), 1)), resampling.group_draws(groups)], 1)
    drawn: dict[str, np.ndarray] = {}
    means = {"mean": list(found.words), "hemax": [name for name in found.words if name in HEMAX]}
    for who, answers in said(found, classes).items():
        for name, words in answers.items():
            truth = np.asarray(found.truth[name])
            known = truth > 0
            if known.any():
                three = measures(truth[known] - 1, words[known], classes[known], weights[known])
                drawn |= {f"{who}.{what}.{name}": one for what, one in zip(WHAT, three, strict=True)}
        for what in WHAT:
            for mean, names in means.items():
                parts = [drawn[key] for name in names if (key := f"{who}.{what}.{name}") in drawn]
                if parts:
                    drawn[f"{who}.{what}.{mean}"] = _mean(np.stack(parts))
    total = weights.sum(0)
    for who, answer in (("heads", found.heads), ("permuted", found.permuted)):
        if answer.classes:
            own = np.asarray(answer.classes)
            drawn[f"{who}.class"] = (own == classes) @ weights / total
            moved = {name: (np.asarray(one) != own) @ weights / total for name, one in answer.changed.items()}
            drawn |= {f"{who}.changed.{name}": one for name, one in moved.items()}
            for mean, names in means.items():
                if names:
                    drawn[f"{who}.changed.{mean}"] = np.mean([moved[name] for name in names], axis=0)
    return dict(_figures(drawn))


def said(found: Attributes, classes: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """who -> attribute -> number of the word (n,) that it gives each item; -1 for none."""
    names = list(found.words)
    return {
        "heads": {name: np.asarray(found.heads.words[name]) for name in names},
        "permuted": {name: np.asarray(found.permuted.words[name]) for name in names},
        "majority": {name: np.full(len(classes), found.usual[name] - 1) for name in names},
        "class": {name: np.asarray(found.usual_of_class[name])[classes] - 1 for name in names},
    }


def measures(
    truth: np.ndarray, words: np.ndarray, classes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy, macro-F1 and within-class accuracy, each (r,), of words (n,) against the truth (n,), every item
    counting `weights` (n, r) times.

    Macro-F1 is the mean over the words that a true item has. Within-class accuracy is the unweighted mean, over the
    classes in which the attribute has at least two words, of the accuracy among the items of that class.
    """
    size = max(int(truth.max()), int(words.max(initial=0))) + 2
    number, cell = np.unique((classes * size + truth) * size + words + 1, return_inverse=True)
    items = np.arange(len(cell))
    counts = sparse.csr_array((np.ones(len(cell)), (cell, items)), shape=(len(number), len(cell))) @ weights
    kind, true, word = number // size**2, number // size % size, number % size - 1
    right = counts * (true == word)[:, None]
    scores, within = [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for one in np.unique(true):
            all_true, all_said = counts[true == one].sum(0), counts[word == one].sum(0)
            scores.append(np.where(all_true > 0, 2 * right[true == one].sum(0) / (all_true + all_said), np.nan))
        for one in np.unique(kind):
            inside = kind == one
            there = [counts[inside & (true == value)].sum(0) > 0 for value in np.unique(true[inside])]
            share = right[inside].sum(0) / counts[inside].sum(0)
            within.append(np.where(np.sum(there, axis=0) > 1, share, np.nan))
        return right.sum(0) / counts.sum(0), _mean(np.stack(scores)), _mean(np.stack(within))


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over rows of those that are no NaN: (m, r) -> (r,); NaN where there is none."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)


def _figures(drawn: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Figure]]:
    for name, values in drawn.items():
        if not np.isnan(values[0]):
            low, high = np.nanquantile(values[1:], (0.025, 0.975))
            yield name, Figure(value=float(values[0]), low=float(low), high=float(high))


def _check(found: Attributes, items: int, classes: int) -> None:
    """ZooError where words, items or classes do not fit together."""
    names = set(found.words)
    columns = {"truth": found.truth, "usual": found.usual, "usual_of_class": found.usual_of_class}
    columns |= {"heads": found.heads.words, "permuted": found.permuted.words}
    for place, column in columns.items():
        if set(column) != names:
            raise ZooError(f"attributes.{place}: its attributes are not those of attributes.words; run again")
    for name, values in found.words.items():
        parts = found.truth[name], found.heads.words[name], found.permuted.words[name]
        most = len(values), len(values) - 1, len(values) - 1
        if any(len(part) != items or max(part, default=0) > limit for part, limit in zip(parts, most, strict=True)):
            raise ZooError(f"attributes: {name[:40]} has too many or too few entries, or a word it has not; run again")
        usual = [found.usual[name], *found.usual_of_class[name]]
        if len(usual) <= classes or not all(0 <= one <= len(values) for one in usual):
            raise ZooError(f"attributes: {name[:40]} has a usual word that it has not; run again")
    for answer in (found.heads, found.permuted):
        _check_classes(answer, names, items)


def _check_classes(answer: AttributeAnswers, names: set[str], items: int) -> None:
    parts: Sequence[Sequence[int]] = [answer.classes, *answer.changed.values()]
    if any(len(part) != (items if answer.classes else 0) for part in parts) or (
        answer.classes and set(answer.changed) != names
    ):
        raise ZooError("attributes: the classes that follow from them are not one an item; run again")
