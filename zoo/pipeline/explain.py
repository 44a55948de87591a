"""Explaining the queries of a bank: one explainer and the floors, scored on the same queries."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from zoo import ops, registry
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.pipeline import cache
from zoo.pipeline.progress import bar
from zoo.pipeline.scene import Scene
from zoo.record import Bank, Episode
from zoo.types import Explained, Explainer, ExplanationMetric, Method

EPISODES = 10
"""Over how many episodes of the bank the explained queries are spread."""
THRESHOLD_QUERIES = 100
"""Validation queries on which the saliency threshold is chosen."""


class Asked(NamedTuple):
    """Queries of one episode that are explained."""

    episode: Episode
    query: np.ndarray
    """(n,) positions in `episode.query`"""


def ask(bank: Bank, count: int) -> list[Asked]:
    """`count` queries in equal parts from the bank's first episodes, the classes in turn within each."""
    episodes = bank.episodes[:EPISODES]
    asked = []
    for number, episode in enumerate(episodes):
        share = count // len(episodes) + (number < count % len(episodes))
        labels = episode.query_labels
        # The position within its class, so that sorting by it deals the classes out in turn.
        turn = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            inside = np.flatnonzero(labels == label)
            # Another stretch of each class in every episode: in the `all` bank queries stand in one fixed order.
            turn[np.roll(inside, -number * len(inside) // len(episodes))] = np.arange(len(inside))
        asked.append(Asked(episode, np.lexsort((labels, turn))[:share]))
    return [part for part in asked if len(part.query)]


def refusal(method: type[Method], explainer: type[Explainer]) -> str | None:
    """Why an explainer cannot explain a method, or None where it can."""
    if explainer.needs == "gradient" and not method.differentiable:
        return "its scores have no gradient"
    if explainer.needs == "support" and not method.uses_support:
        return "it does not compare with supports"
    return None


def check(method: Method, explainer: Explainer, names: tuple[str, str]) -> None:
    """ZooError where the two do not go together."""
    reason = refusal(type(method), type(explainer))
    if reason:
        others = registry.names("explainers")
        fits = [name for name in others if not refusal(type(method), registry.plugin("explainers", name))]
        raise ZooError(f"explainer '{names[1]}' cannot explain '{names[0]}': {reason}; these can: {', '.join(fits)}")


def metrics_for(names: Sequence[str], steps: int, items: Items) -> dict[str, ExplanationMetric]:
    """The metrics that this dataset allows; deletion-like ones get their number of steps."""
    built = {name: registry.explanation_metric(name, steps) for name in names}
    return {name: metric for name, metric in built.items() if items.masks is not None or not metric.needs_masks}


def choose_threshold(scene: Scene, explainer: Explainer, asked: list[Asked], seed: int) -> float | None:
    """The saliency quantile with the best Jaccard on these (validation) queries; None without masks."""
    if scene.items.masks is None:
        return None
    saliency, masks = [], []
    for episode, query in asked:
        numbers, classifier = episode.query[query], scene.classifier(episode)
        images = scene.images(numbers)
        target = scene.scores(classifier, images).argmax(1)
        found = explainer.explain(classifier, images, target, seed)
        saliency.append(ops.upsample(found.saliency, *scene.items.pixels.shape[1:3]))
        masks.append(scene.masks(numbers))
    return ops.best_threshold(torch.cat(saliency), torch.cat(masks))


def score(
    scene: Scene,
    explainer: Explainer,
    asked: list[Asked],
    validation: list[Asked],
    metrics: dict[str, ExplanationMetric],
    seed: int,
    label: str,
) -> dict:
    """One explainer's numbers: {"values": metric -> one a query, "correct": [...], "confidence": [...],
    "seconds": ...}.

    `asked` are test queries; `validation` only sets the threshold of the saliency.
    """
    began = time.perf_counter()
    threshold = choose_threshold(scene, explainer, validation, seed)
    values: dict[str, list[float]] = {name: [] for name in metrics}
    correct: list[bool] = []
    confidence: list[float] = []
    with bar(f"explaining with {label}", sum(len(part.query) for part in asked)) as advance:
        for episode, query in asked:
            numbers, classifier = episode.query[query], scene.classifier(episode)
            images = scene.images(numbers)
            scores = scene.scores(classifier, images)
            target = scores.argmax(1)
            found = explainer.explain(classifier, images, target, seed)
            explained = Explained(
                images=images,
                saliency=ops.upsample(found.saliency, *images.shape[2:]),
                target=target,
                probability=scene.probability(classifier),
                masks=scene.masks(numbers),
                fill=scene.fill,
                threshold=threshold,
            )
            for name, metric in metrics.items():
                values[name] += metric.measure(explained).double().cpu().tolist()
            correct += (target.cpu().numpy() == episode.query_labels[query]).tolist()
            confidence += scores.softmax(1).amax(1).cpu().tolist()
            advance(len(query))
    return {"values": values, "correct": correct, "confidence": confidence, "seconds": time.perf_counter() - began}


def cached_score(key: tuple, *arguments) -> dict:
    """`score`, kept on disk: another explainer's run on the same queries finds the floors' numbers there."""
    scene, explainer, _, _, metrics, seed, _ = arguments
    source = cache.code(type(explainer), type(scene.method), *(type(m) for m in metrics.values()), ops.blur, score)
    file = cache.place("explanations", ".json", *key, repr(explainer), repr(metrics), seed, source)
    return cache.numbers(file, lambda: score(*arguments))
