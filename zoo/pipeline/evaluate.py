"""A method on a bank: cached embeddings in, the score of every query out."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo.pipeline.progress import bar
from zoo.record import Bank, Episode
from zoo.types import Among, FromProducts, Method, Support, Transductive

_AT_ONCE = 4_000_000
"""Most numbers that one step makes at a time (16 MB): more do not stay in the processor's cache."""
_GRAM_WORTH = 50
"""The inner products of n items with each other cost as much as gathering n * n / this many features, measured."""


class _Run(NamedTuple):
    """Episodes of one shape, in places among the items that the bank uses."""

    support: Tensor
    """(e, k)"""
    labels: Tensor
    """(e, k)"""
    classes: Tensor
    """(e, way), among the benchmark's"""
    query: Tensor
    """(e, q)"""


def evaluate(
    method: Method, state: nn.Module | None, bank: Bank, embeddings: Tensor, classes: np.ndarray
) -> list[np.ndarray]:
    """Scores (q, way) of every episode. `embeddings` (items, ...) is indexed by item number; `classes` are the
    benchmark's, as dataset-wide numbers.

    Many episodes go together, in the cheapest of four ways: each on its own features; where nearly every item is a
    query of every episode, all on the same features; where the same few items come again and again, and the method
    allows it, on their inner products, or on features of fewer dimensions that have the same ones.
    """
    scores: dict[int, np.ndarray] = {}
    taken = np.concatenate([numbers for episode in bank.episodes for numbers in (episode.support, episode.query)])
    place = np.zeros(len(embeddings), dtype=np.int64)
    place[taken] = 1
    used = np.flatnonzero(place)
    place[used] = np.arange(len(used))
    every = len(used) == len(embeddings)
    features = embeddings if every else embeddings[torch.as_tensor(used, device=embeddings.device)]
    with torch.no_grad(), bar(f"{len(bank.episodes)} episodes", len(bank.episodes)) as advance:
        together, size = _cheapest(method, state, bank, features, len(taken))
        for numbers in _alike(bank, size if method.mappable else None):
            run = _stack([bank.episodes[number] for number in numbers], place, classes, features.device)
            scores.update(zip(numbers, together(run).cpu().numpy(), strict=True))
            advance(len(numbers))
    return [scores[number] for number in range(len(bank.episodes))]


def support_of(episode: Episode, features: Tensor, classes: np.ndarray) -> Support:
    """The episode's labelled items as a method sees them: features (k, ...), and the benchmark's classes."""
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


def _cheapest(
    method: Method, state: nn.Module | None, bank: Bank, features: Tensor, taken: int
) -> tuple[Callable[[_Run], Tensor], Callable[[int, int], int]]:
    """How to score a run, (e, q, way), and how many numbers an episode of k supports and q queries then makes.
    `taken`: items that all episodes together ask for."""
    n, d, whole = len(features), features[0].numel(), method.transductive
    if method.mappable and features.ndim == 2:
        products = method if isinstance(method, FromProducts) and state is None else None
        if 2 * min(len(episode.query) for episode in bank.episodes) >= n:
            if products is not None:
                return _by_products(products, bank.spec.way, features, features), lambda k, q: n * bank.spec.way
            if isinstance(method, Among):
                return (lambda run: _among(method, run, features)), lambda k, q: 4 * n * bank.spec.way
            if not whole:
                return (lambda run: _on_the_same(method, state, run, features)), lambda k, q: n * k
        if state is None and n * n <= min(_GRAM_WORTH * taken, 8 * _AT_ONCE):
            largest = max(len(episode.support) + whole * len(episode.query) for episode in bank.episodes)
            gram = features @ features.T
            if products is not None:
                return _by_products(products, bank.spec.way, gram, None), lambda k, q: n * k
            if method.isometric and 2 * largest < d:
                return (lambda run: _in_fewer(method, run, gram, features)), lambda k, q: (k + q) * (k + whole * q)
    room = 1 + whole  # what a transductive method goes over again and again is to leave some to the rest of a step
    return (lambda run: _on_their_own(method, state, run, features)), lambda k, q: room * (k + q) * (d + whole * q)


def _alike(bank: Bank, size: Callable[[int, int], int] | None) -> Iterator[list[int]]:
    """Episode numbers in runs of one shape; `size` says how many numbers an episode of k supports and q queries
    makes. None: one by one."""
    shapes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, episode in enumerate(bank.episodes):
        shapes[len(episode.support), len(episode.query)].append(number)
    for (k, q), numbers in shapes.items():
        run = max(1, _AT_ONCE // size(k, q)) if size else 1
        for start in range(0, len(numbers), run):
            yield numbers[start : start + run]


def _stack(episodes: list[Episode], place: np.ndarray, classes: np.ndarray, device: torch.device) -> _Run:
    support, labels, own, query = (
        np.concatenate(parts).reshape(len(episodes), -1)
        for parts in zip(*((e.support, e.support_labels, e.classes, e.query) for e in episodes), strict=True)
    )
    parts = place[support], labels, np.searchsorted(classes, own), place[query]
    return _Run(*(torch.as_tensor(part, device=device) for part in parts))


def _on_their_own(method: Method, state: nn.Module | None, run: _Run, features: Tensor) -> Tensor:
    """Scores (e, q, way): fitted and asked with gathered features."""
    return _mapped(method, state, Support(features[run.support], run.labels, run.classes), features[run.query])


def _mapped(method: Method, state: nn.Module | None, supports: Support, queries: Tensor) -> Tensor:
    def one(support: Support, query: Tensor) -> Tensor:
        return method.scores(fitted(method, state, support, query), query)

    if len(queries) > 1:
        return torch.vmap(one)(supports, queries)
    return one(Support(*(part[0] for part in supports)), queries[0]).unsqueeze(0)


def _by_products(method: FromProducts, way: int, rows: Tensor, features: Tensor | None) -> Callable[[_Run], Tensor]:
    """Scores (e, q, way) from inner products: `rows` are those of all items with each other, or else the `features`,
    whose products with the mean supports are then taken in one."""
    squares = rows.diagonal() if features is None else features.square().sum(1)

    def scores(run: _Run) -> Tensor:
        e, k = run.support.shape
        each = torch.arange(way, device=rows.device).repeat(e, 1)
        first = torch.searchsorted(run.labels, each) + k * torch.arange(e, device=rows.device).unsqueeze(1)
        means = nn.functional.embedding_bag(run.support.flatten(), rows, first.flatten(), mode="mean")
        means = means if features is None else means @ features.T
        return method.from_products(means.view(e, way, -1), squares, run.support, run.labels, run.query).mT

    return scores


def _in_fewer(method: Method, run: _Run, gram: Tensor, features: Tensor) -> Tensor:
    """Scores (e, q, way) on coordinates along the supports, and along the queries where the method sees them
    together: rows of a Cholesky factor have the inner products that it is the factor of. What of a query no support
    reaches becomes one more coordinate."""
    seen = torch.cat([run.support, run.query], 1) if method.transductive else run.support
    inner = gram[seen.unsqueeze(2), seen.unsqueeze(1)]
    little = 1e-5 * inner.diagonal(dim1=1, dim2=2).mean(1)  # as float32 may round, near copies need not be independent
    eye = torch.eye(seen.shape[1], device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(inner + little.view(-1, 1, 1) * eye)
    if failed.any():
        return _on_their_own(method, None, run, features)
    if method.transductive:
        support, query = factor.split([run.support.shape[1], run.query.shape[1]], 1)
    else:
        cross = gram[run.support.unsqueeze(2), run.query.unsqueeze(1)]
        query = torch.linalg.solve_triangular(factor, cross, upper=False).mT
        beyond = (gram.diagonal()[run.query] - query.square().sum(-1)).clamp_min(0).sqrt()
        support, query = nn.functional.pad(factor, (0, 1)), torch.cat([query, beyond.unsqueeze(-1)], -1)
    return _mapped(method, None, Support(support, run.labels, run.classes), query)


def _on_the_same(method: Method, state: nn.Module | None, run: _Run, features: Tensor) -> Tensor:
    """Scores (e, q, way): every item is scored in every episode, and the queries are picked."""
    supports = Support(features[run.support], run.labels, run.classes)
    scores = torch.vmap(lambda support: method.scores(method.fit(state, support), features))(supports)
    return _of_queries(scores, run)


def _among(method: Any, run: _Run, features: Tensor) -> Tensor:
    """Scores (e, q, way) of a method that takes an episode's images by their numbers."""
    way = run.classes.shape[1]

    def one(seen: Tensor, labels: Tensor) -> Tensor:
        return method.scores(method.fit_among(features, seen, labels, way), features)

    return _of_queries(torch.vmap(one)(torch.cat([run.support, run.query], 1), run.labels), run)


def _of_queries(scores: Tensor, run: _Run) -> Tensor:
    """Scores (e, q, way) of an episode's queries among those (e, n, way) of all items."""
    return scores.gather(1, run.query.unsqueeze(-1).expand(-1, -1, scores.shape[-1]))


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
