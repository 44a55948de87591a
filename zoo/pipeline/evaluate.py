"""A method on a bank: cached embeddings in, the score of every query out."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.pipeline.progress import bar
from zoo.record import Bank, Episode
from zoo.types import Method, Support, Transductive

_AT_ONCE = 32_000_000
"""Most numbers of gathered features at a time (128 MB)."""


def evaluate(
    method: Method, state: nn.Module | None, bank: Bank, embeddings: Tensor, classes: np.ndarray
) -> list[np.ndarray]:
    """Scores (q, way) of every episode. `embeddings` (items, d) is indexed by item number; `classes` are the
    benchmark's, as dataset-wide numbers."""
    scores: dict[int, np.ndarray] = {}
    with torch.no_grad(), bar(f"{len(bank.episodes)} episodes", len(bank.episodes)) as advance:
        for numbers in _alike(bank, embeddings.shape[1], method.mappable):
            episodes = [bank.episodes[number] for number in numbers]
            for number, part in zip(numbers, _together(method, state, episodes, embeddings, classes), strict=True):
                scores[number] = part
            advance(len(numbers))
    return [scores[number] for number in range(len(bank.episodes))]


def support_of(episode: Episode, features: Tensor, classes: np.ndarray) -> Support:
    """The episode's labelled items as a method sees them: features (k, d), and the benchmark's classes."""
    return Support(
        features,
        torch.as_tensor(episode.support_labels, device=features.device),
        torch.as_tensor(np.searchsorted(classes, episode.classes), device=features.device),
    )


def fitted(method: Method, state: nn.Module | None, support: Support, query: Tensor) -> Any:
    """Parameters of one episode; only a transductive method is shown the queries' features."""
    if isinstance(method, Transductive):
        return method.fit_queries(state, support, query)
    return method.fit(state, support)


def _alike(bank: Bank, d: int, mappable: bool) -> Iterator[list[int]]:
    """Episode numbers in runs of one shape that fit into memory together."""
    shapes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, episode in enumerate(bank.episodes):
        shapes[len(episode.support), len(episode.query)].append(number)
    for (k, q), numbers in shapes.items():
        run = max(1, _AT_ONCE // ((k + q) * d)) if mappable else 1
        for start in range(0, len(numbers), run):
            yield numbers[start : start + run]


def _together(
    method: Method, state: nn.Module | None, episodes: list[Episode], embeddings: Tensor, classes: np.ndarray
) -> list[np.ndarray]:
    def rows(numbers: np.ndarray) -> Tensor:
        return embeddings[torch.as_tensor(numbers, device=embeddings.device)]

    supports = [support_of(episode, rows(episode.support), classes) for episode in episodes]
    queries = [rows(episode.query) for episode in episodes]

    def one(support: Support, query: Tensor) -> Tensor:
        return method.scores(fitted(method, state, support, query), query)

    if len(episodes) == 1:
        return [one(supports[0], queries[0]).cpu().numpy()]
    stacked = Support(*(torch.stack(parts) for parts in zip(*supports, strict=True)))
    return list(torch.vmap(one)(stacked, torch.stack(queries)).cpu().numpy())


def accuracy(bank: Bank, scores: list[np.ndarray]) -> float:
    """Mean over episodes of the share of queries whose highest score is their class."""
    pairs = zip(bank.episodes, scores, strict=True)
    return float(np.mean([(part.argmax(1) == episode.query_labels).mean() for episode, part in pairs]))


def fit_temperature(bank: Bank, scores: list[np.ndarray]) -> float:
    """The temperature T that makes softmax(scores / T) most likely on this (validation) bank.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017: one number, found on held-out items.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_temperature: float) -> float:
        return float(np.mean([
            -log_softmax(part / np.exp(log_temperature), axis=1)[np.arange(len(part)), episode.query_labels].mean()
            for episode, part in zip(bank.episodes, scores, strict=True)
        ]))  # fmt: skip

    found: Any = minimize_scalar(loss, bounds=(-8, 8), method="bounded")
    return float(np.exp(found.x))
