"""Explaining the queries of a bank: one explainer and the floors, scored on the same queries."""

import functools
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo import attribution, ops, perturbation, registry
from zoo.attribution import generator, pairs
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.explaining import Classifier, Drops, Explained, Explainer, ExplanationMetric
from zoo.pipeline import cache
from zoo.pipeline.device import return_memory
from zoo.pipeline.evidence import drops
from zoo.pipeline.progress import bar
from zoo.pipeline.randomised import refitted, shuffled_labels, shuffled_weights
from zoo.pipeline.scene import Scene
from zoo.record import Bank, Episode
from zoo.types import Method

EPISODES = 10
"""Over how many episodes of the bank the explained queries are spread."""
PART = 32
"""Most queries that are explained together, so that memory hardly grows with how many are asked for."""
THRESHOLD_QUERIES = 100
"""Validation queries on which the saliency threshold is chosen."""


class Asked(NamedTuple):
    """Queries of one episode that are explained together."""

    episode: Episode
    query: np.ndarray
    """(n,) positions in `episode.query`"""


def ask(bank: Bank, count: int) -> list[Asked]:
    """`count` queries in equal parts from the bank's first episodes, the classes in turn within each; parts of more
    than `PART` in several."""
    episodes = bank.episodes[:EPISODES]
    asked, begun = [], 0
    for number, episode in enumerate(episodes):
        share = count // len(episodes) + (number < count % len(episodes))
        labels = episode.query_labels
        # The position within its class, so that sorting by it deals the classes out in turn.
        turn = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            inside = np.flatnonzero(labels == label)
            # Another stretch of each class in every episode: in the `all` bank queries stand in one fixed order.
            turn[np.roll(inside, -number * len(inside) // len(episodes))] = np.arange(len(inside))
        # Each episode goes on with the class at which the one before stopped: no class is asked about more than others.
        asked.append(Asked(episode, np.lexsort(((labels - begun) % len(episode.classes), turn))[:share]))
        begun += share
    return [
        Asked(part.episode, part.query[start : start + PART])
        for part in asked
        for start in range(0, len(part.query), PART)
    ]


def check(method: Method, explainer: Explainer, names: tuple[str, str]) -> None:
    """ZooError where the two do not go together."""
    reason = registry.refusal(type(method), type(explainer))
    if reason:
        others = registry.usable("explainers")
        fits = [name for name in others if not registry.refusal(type(method), registry.plugin("explainers", name))]
        raise ZooError(f"explainer '{names[1]}' cannot explain '{names[0]}': {reason}; these can: {', '.join(fits)}")


def metrics_for(
    names: Sequence[str], steps: int, items: Items, validated: bool = True, heads: bool = False
) -> dict[str, ExplanationMetric]:
    """The metrics that this dataset allows, with validation items or without, with attribute heads or without;
    deletion-like ones get their number of steps."""
    built = {name: registry.explanation_metric(name, steps) for name in names}
    return {
        name: metric for name, metric in built.items()
        if (items.masks is not None or not metric.needs_masks) and (validated or not metric.needs_threshold)
        and (heads or not metric.needs_heads)
    }  # fmt: skip


def metrics_of(name: str, explainer: Explainer, metrics: dict[str, ExplanationMetric]) -> dict[str, ExplanationMetric]:
    """Those that are fair to this explainer, and do not ask a slow one again and again."""
    return {
        key: metric for key, metric in metrics.items()
        if name not in metric.leaves_out and not (metric.costly and explainer.costly)
    }  # fmt: skip


def choose_thresholds(
    scene: Scene, explainer: Explainer, asked: list[Asked], seed: int, pseudo: bool = False
) -> tuple[float | None, float | None]:
    """The saliency quantiles with the best Jaccard on these (validation) queries: against the real masks, None where
    the dataset has none; and against Otsu's, None where `pseudo` is not asked for."""
    if not asked or (scene.items.masks is None and not pseudo):
        return None, None
    saliency, masks, otsu = [], [], []
    for episode, query in asked:
        numbers, classifier = episode.query[query], scene.classifier(episode)
        images = scene.images(numbers)
        target = scene.scores(classifier, images).argmax(1)
        found = explainer.explain_with(classifier, images, target, seed, scene.masks(numbers))
        saliency.append(ops.upsample(found.saliency, *images.shape[2:]))
        masks.append(scene.masks(numbers))
        otsu.append(ops.otsu_masks(images) if pseudo else None)
    maps = torch.cat(saliency)
    real, rough = (None if which[0] is None else ops.best_threshold(maps, torch.cat(which)) for which in (masks, otsu))
    return real, rough


def score(
    scene: Scene,
    explainer: Explainer,
    asked: list[Asked],
    validation: list[Asked],
    metrics: dict[str, ExplanationMetric],
    seed: int,
    label: str,
    shared: list[dict[str, Tensor]] | None = None,
) -> dict:
    """One explainer's numbers: {"values": metric -> one a query, "correct": [...], "confidence": [...],
    "seconds": ...}.

    `asked` are test queries; `validation` only sets the threshold of the saliency. `shared` (one dictionary for each
    of `asked`) keeps what does not depend on the explainer for the next one of the same queries.
    """
    began = time.perf_counter()
    thresholds = choose_thresholds(scene, explainer, validation, seed, "pseudo_jaccard" in metrics)
    values: dict[str, list[float]] = {name: [] for name in metrics}
    correct: list[bool] = []
    confidence: list[float] = []
    episode = classifier = None
    with bar(f"explaining with {label}", sum(len(part.query) for part in asked)) as advance:
        for part, kept in zip(asked, shared or [{} for _ in asked], strict=True):
            if classifier is None or part.episode is not episode:  # the parts of an episode follow each other
                episode, classifier = part.episode, scene.classifier(part.episode)
            explained, scores = _explained(scene, classifier, explainer, part, thresholds, seed, kept)
            return_memory()
            for name, metric in metrics.items():
                values[name] += metric.measure(explained).double().cpu().tolist()
                return_memory()
            correct += (explained.target.cpu().numpy() == part.episode.query_labels[part.query]).tolist()
            confidence += scores.softmax(1).amax(1).cpu().tolist()
            advance(len(part.query))
    return {"values": values, "correct": correct, "confidence": confidence, "seconds": time.perf_counter() - began}


def _explained(
    scene: Scene,
    classifier: Classifier,
    explainer: Explainer,
    asked: Asked,
    thresholds: tuple[float | None, float | None],
    seed: int,
    kept: dict[str, Tensor],
) -> tuple[Explained, Tensor]:
    """The queries with all that metrics may look at, and their scores (n, way), ready for a softmax."""
    numbers = asked.episode.query[asked.query]
    images = scene.images(numbers)
    scores = scene.scores(classifier, images)
    target, size, masks = scores.argmax(1), images.shape[2:], scene.masks(numbers)
    found = explainer.explain_with(classifier, images, target, seed, masks)

    def explain(images: Tensor, target: Tensor, by: Classifier = classifier, masks: Tensor | None = masks) -> Tensor:
        return ops.upsample(explainer.explain_with(by, images, target, seed, masks).saliency, *size)

    @functools.cache
    def randomised(what: Literal["weights", "labels"]) -> Tensor:
        maps = []  # each query has its own shuffle: what a single one happens to see would be in no interval
        for place, image in enumerate(images):
            own, random = slice(place, place + 1), generator(image, seed)
            if what == "weights":
                by = refitted(shuffled_weights(scene, random), asked.episode, numbers)
            else:
                by = refitted(scene, shuffled_labels(asked.episode, random), numbers)
            maps.append(explain(images[own], target[own], by, None if masks is None else masks[own]))
        return torch.cat(maps)

    @functools.cache
    def lost() -> Drops:
        assert scene.heads is not None
        maps = saliency.unsqueeze(1) if found.per_attribute is None else _each(found.per_attribute, *size)
        return drops(scene.heads, classifier, images, maps, scene.fill, target, scene.temperature)

    def reference() -> Tensor:
        assert scene.reference is not None
        return ops.upsample(scene.reference.explain(classifier, images, target, seed).saliency, *size)

    saliency = ops.upsample(found.saliency, *size)
    explained = Explained(
        images=images,
        saliency=saliency,
        target=target,
        probability=scene.probability(classifier),
        masks=masks,
        fill=scene.fill,
        threshold=thresholds[0],
        pseudo_threshold=thresholds[1],
        per_support=None if found.per_support is None else _each(found.per_support, *size),
        likeness=functools.partial(likeness, classifier),
        explain=explain,
        randomised=randomised,
        drops=lost if scene.reading else None,
        reference=reference if scene.reference else None,
        shared=kept,
    )
    perturbation.known(explained, "image", scores.softmax(1).gather(1, target[:, None]).squeeze(1))
    return explained, scores


def _each(maps: Tensor, height: int, width: int) -> Tensor:
    return ops.upsample(maps.flatten(0, 1), height, width).unflatten(0, maps.shape[:2])


@torch.no_grad()
def likeness(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """Cosine similarity of images (m, 3, H, W) to each support of their target class (m,), in the features that the
    method compares: (m, shot), in the order of `Explanation.per_support`. NaN where the class has fewer supports."""
    backbone, method = classifier.backbone, classifier.method

    def compared(hidden: Tensor) -> Tensor:
        return ops.unit(method.compared(method.features(backbone, hidden)).flatten(1))

    similarity = compared(backbone.hidden(images)) @ compared(classifier.support_hidden).T
    supports, real = pairs(classifier, target)
    return torch.where(real, similarity.gather(1, supports), torch.nan)


def cached_score(key: tuple, *arguments) -> dict:
    """`score`, kept on disk: another explainer's run on the same queries finds the floors' numbers there."""
    scene, explainer, _, _, metrics, seed, *_ = arguments
    plugins = (type(explainer), type(scene.method), *(type(metric) for metric in metrics.values()))
    source = cache.code(*plugins, ops.blur, attribution, perturbation, shuffled_weights, score)
    file = cache.place("explanations", ".json", *key, repr(explainer), repr(metrics), seed, source)
    return cache.numbers(file, lambda: score(*arguments))
