"""Heads that tell attributes from embeddings, the class that follows from attributes, and where the evidence lies.

Shapes: n items, d dimensions, a attributes, v words of all attributes together, side by side in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from zoo.attributes import Told
from zoo.cells import Attribute
from zoo.ops import one_hot
from zoo.types import Backbone

FOLDS = 5
"""The class is learned from the words of heads that have not seen the item."""
COMPONENTS = 64
"""Of a thousand items of PBC all 1,280 dimensions tell no more on validation items, and take twenty times as long."""
CS = (1e-3, 3e-3, 1e-2, 3e-2)
"""Strengths among which `choose` chooses on validation items."""
NEVER = -1e4
"""Score of a word that no training item has."""


@dataclass(frozen=True)
class Heads:
    """Multinomial logistic regressions, one an attribute, and one of the class on the words that they say.

    The class sees words and not their probabilities, in which far more of the image can hide than the attribute
    (Mahinpei et al., Promises and pitfalls of black-box concept learning models, 2021, arXiv 2106.13314).
    """

    attributes: tuple[Attribute, ...]
    weight: Tensor
    """(d, v)"""
    bias: Tensor
    """(v,)"""
    class_weight: Tensor
    """(classes, v), of the benchmark's classes in their order; zeros for one that was not trained on"""
    class_bias: Tensor
    """(classes,)"""
    usual: Tensor
    """(v,) how often each word is said of the training items, as a fraction"""

    @property
    def sizes(self) -> list[int]:
        """Number of words of each attribute."""
        return [len(one.values) for one in self.attributes]

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """(n, d) -> (n, v), of each attribute's words."""
        parts = (embeddings @ self.weight + self.bias).split(self.sizes, dim=1)
        return torch.cat([part.softmax(1) for part in parts], 1)

    def words(self, probabilities: Tensor) -> Tensor:
        """(n, v) -> (n, a) long, the likeliest word of each attribute."""
        return torch.stack([part.argmax(1) for part in probabilities.split(self.sizes, dim=1)], 1)

    def likelihood(self, probabilities: Tensor, words: Tensor) -> Tensor:
        """Probability of the word that stands in `words` (n, a): (n, v) -> (n, a)."""
        parts = probabilities.split(self.sizes, dim=1)
        return torch.stack([part.gather(1, words[:, [k]]).squeeze(1) for k, part in enumerate(parts)], 1)

    def classes(self, words: Tensor) -> Tensor:
        """Scores (n, classes) from the words (n, a) alone."""
        return self._marked(words) @ self.class_weight.T + self.class_bias

    def arguments(self, words: Tensor, target: Tensor) -> Tensor:
        """How each word (n, a) argues for the class: what it adds to the target's score (n,) above the mean of all
        classes, less what the attribute adds of the usual item: (n, a)."""
        centred = self.class_weight - self.class_weight.mean(0)
        parts = (centred[target] * (self._marked(words) - self.usual)).split(self.sizes, dim=1)
        return torch.stack([part.sum(1) for part in parts], 1)

    def changed(self, probabilities: Tensor) -> Tensor:
        """Scores (n, a, classes) when one attribute at a time is set to its likeliest other word: from (n, v)."""
        words, found = self.words(probabilities), []
        for number, part in enumerate(probabilities.split(self.sizes, dim=1)):
            moved = words.clone()
            moved[:, number] = part.scatter(1, words[:, [number]], -1).argmax(1)
            found.append(self.classes(moved))
        return torch.stack(found, 1)

    def _marked(self, words: Tensor) -> Tensor:
        """Indicator (n, v) of the words (n, a)."""
        parts = zip(words.unbind(1), self.sizes, strict=True)
        return torch.cat([one_hot(column, size) for column, size in parts], 1)

    def to(self, device: str) -> "Heads":
        """The same where the backbone is."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)


class Reading(NamedTuple):
    """Heads on the backbone that they were fitted on, for an explainer to read."""

    backbone: Backbone
    heads: Heads
    permuted: Heads
    """The floor: fitted on attributes dealt to the training items at random"""

    @torch.no_grad()
    def told(self, images: Tensor, batch: int = 64) -> Tensor:
        """Probabilities (n, v) of images (n, 3, H, W)."""
        return torch.cat([self.heads.probabilities(self.backbone(part).float()) for part in images.split(batch)])


def evidence(heads: Heads, backbone: Backbone, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Signed maps (n, a, h, w) of what speaks for the likeliest word of each attribute, and all probabilities (n, v).

    Grad-CAM of the word's score less the mean of its attribute's words: where `embed` is a mean over places, each
    place's share of that score.
    """
    hidden = hidden.detach().requires_grad_()
    with torch.enable_grad():
        embeddings = backbone.embed(hidden).float()
        scores, probabilities = embeddings @ heads.weight, heads.probabilities(embeddings.detach())
        words, found = heads.words(probabilities), []
        parts = scores.split(heads.sizes, dim=1)
        for number, part in enumerate(parts):
            margin = part.gather(1, words[:, [number]]).squeeze(1) - part.mean(1)
            (gradient,) = torch.autograd.grad(margin.sum(), hidden, retain_graph=number + 1 < len(parts))
            weights = backbone.grid(gradient).float().mean((2, 3), keepdim=True)
            found.append((weights * backbone.grid(hidden.detach()).float()).sum(1))
    return torch.stack(found, 1), probabilities


def fit(
    embeddings: np.ndarray, told: Told, labels: np.ndarray, classes: int, c: float, class_c: float = 1.0
) -> Heads:
    """Heads and the class from attributes, exactly at their minimum, from the training items alone.

    embeddings (n, d); labels (n,) 0..classes-1, -1 for an item whose class is none of them. `c`, `class_c`: inverse of
    the penalty's strength, as in scikit-learn, on the components of `squeeze`.
    """
    x, project, shift = squeeze(embeddings)
    sizes = [len(one.values) for one in told.attributes]
    weight, bias = regress(x, told.words, sizes, c)
    outside = np.zeros((len(x), sum(sizes)))
    fold = np.argsort(np.argsort(labels, kind="stable"), kind="stable") % FOLDS
    for number in np.unique(fold):
        inside = fold != number
        part = regress(x[inside], told.words[inside], sizes, c, start=(weight, bias))
        likely = softmax(x[~inside] @ part[0] + part[1], sizes)
        for place, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
            outside[np.flatnonzero(~inside), place + likely[:, place : place + size].argmax(1)] = 1
    class_weight, class_bias = regress(outside, labels[:, None], [classes], class_c)
    class_weight[:, ~np.isin(np.arange(classes), labels)] = 0
    tensors = (project @ weight, bias + shift @ weight, class_weight.T, class_bias, outside.mean(0))
    return Heads(told.attributes, *(torch.tensor(one, dtype=torch.float32) for one in tensors))


def choose(
    embeddings: np.ndarray, told: Told, held_out: np.ndarray, held_out_told: Told, cs: Sequence[float] = CS
) -> float:
    """The `c` whose heads, fitted on training items, find the words of held-out items likeliest; without any known
    word there, the middle one. Both tables have the same attributes and words."""
    rows, columns = np.nonzero(held_out_told.words >= 0)
    if not len(rows):
        return cs[len(cs) // 2]
    x, project, shift = squeeze(embeddings)
    sizes, best, start = [len(one.values) for one in told.attributes], [], None
    places = np.concatenate([[0], np.cumsum(sizes)[:-1]])[columns] + held_out_told.words[rows, columns]
    for c in sorted(cs):
        start = regress(x, told.words, sizes, c, start)
        likely = softmax((held_out @ project + shift) @ start[0] + start[1], sizes)[rows, places]
        best.append((float(np.log(np.maximum(likely, 1e-9)).mean()), c))
    return max(best)[1]


def squeeze(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first principal components of embeddings (n, d) scaled to mean 0 and variance 1: (n, k), and what makes them
    of any embeddings, `e @ project (d, k) + shift (k,)`."""
    mean, scale = embeddings.mean(0, dtype=np.float64), embeddings.std(0, dtype=np.float64)
    scale = np.where(scale > 1e-12, scale, 1)
    axes = np.linalg.svd((embeddings - mean) / scale, full_matrices=False)[2][:COMPONENTS]
    project = axes.T / scale[:, None]
    shift = -mean @ project
    return embeddings @ project + shift, project, shift


def regress(
    x: np.ndarray, words: np.ndarray, sizes: Sequence[int], c: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Weights (d, v) and biases (v,) of one L2-penalised multinomial logistic regression for each column of `words`
    (n, a), where -1 is left out: together one convex problem, whose minimum is scikit-learn's for each."""
    n, d = x.shape
    v = sum(sizes)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    known = words >= 0
    truth = np.zeros((n, v))
    rows, columns = np.nonzero(known)
    truth[rows, first[columns] + words[rows, columns]] = 1
    counted = np.repeat(known, sizes, axis=1)
    never = ~truth.any(0)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = flat.reshape(d + 1, v)
        scores = x @ matrix[:d] + np.where(never, NEVER, matrix[d])
        likely = softmax(scores, sizes)
        spent = -np.log(np.maximum(likely[truth > 0], 1e-300)).sum()
        error = np.where(counted, likely - truth, 0)
        slope = np.concatenate([c * (x.T @ error) + matrix[:d], c * error.sum(0, keepdims=True)])
        slope[d, never] = 0
        return float(c * spent + 0.5 * (matrix[:d] ** 2).sum()), slope.ravel()

    begin = np.zeros((d + 1, v)) if start is None else np.concatenate([start[0], start[1][None]])
    begin[d, never] = 0
    found = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": 1e-3})
    matrix = found.x.reshape(d + 1, v)
    return matrix[:d], np.where(never, NEVER, matrix[d])


def softmax(scores: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Probabilities of the words of each attribute: (n, v) -> (n, v)."""
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    raised = np.exp(scores - np.repeat(np.maximum.reduceat(scores, first, axis=1), sizes, axis=1))
    return raised / np.repeat(np.add.reduceat(raised, first, axis=1), sizes, axis=1)


def dealt(told: Told, seed: int) -> Told:
    """The floor's table: rows dealt at random among items of which the same attributes are defined, so that the floor
    knows as well as the heads where there is nothing to tell."""
    words, random = told.words.copy(), np.random.default_rng(seed)
    kinds, kind = np.unique(told.defined, axis=0, return_inverse=True)
    for number in range(len(kinds)):
        rows = np.flatnonzero(kind.ravel() == number)
        words[rows] = words[random.permutation(rows)]
    return told._replace(words=words)
