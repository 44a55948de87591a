"""How much an answer and its explanation hang on single support images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo import ops
from zoo.errors import ZooError
from zoo.explaining import Explainer
from zoo.pipeline.explain import Asked
from zoo.pipeline.scene import Scene
from zoo.record import Episode


class Sensitivity(NamedTuple):
    """One explained query."""

    item: str
    decisive: str
    """The support without which the predicted class's probability falls most (or rises least)"""
    fall: float
    """How far it falls without that support, -1..1"""
    worst: float
    """Rank correlation of the saliency with that of the real supports, -1..1, in the draw that changes it most"""
    median: float
    best: float


def support_sensitivity(
    scene: Scene, explainer: Explainer, asked: Sequence[Asked], pool: np.ndarray, draws: int = 5, seed: int = 0
) -> list[Sensitivity]:
    """For each query: which support decided, and how the saliency changes when one support of the predicted class is
    swapped for another image of its class, over random draws.

    `pool` holds the item numbers that may come in; those of the episode and their duplicates never do. An episode costs
    its supports + classes x draws refits. Raises ZooError for fewer than one draw, for one support a class, and where
    the pool has no image of a class.
    """
    if draws < 1:
        raise ZooError(f"draws={draws}: give 1 or more")
    return [row for part in asked for row in _of_episode(scene, explainer, part, pool, draws, seed)]


def _of_episode(
    scene: Scene, explainer: Explainer, asked: Asked, pool: np.ndarray, draws: int, seed: int
) -> list[Sensitivity]:
    episode, numbers = asked.episode, asked.episode.query[asked.query]
    if np.bincount(episode.support_labels).min() < 2:
        raise ZooError("support sensitivity leaves supports out one by one: give at least 2 a class (--shot 2)")
    images, masks = scene.images(numbers), scene.masks(numbers)

    def answer(episode: Episode) -> Tensor:
        return scene.scores(scene.classifier(episode), images).softmax(1)

    def saliency(episode: Episode, rows: Tensor, target: Tensor) -> Tensor:
        given = None if masks is None else masks[rows]
        found = explainer.explain_with(scene.classifier(episode), images[rows], target[rows], seed, given)
        return ops.upsample(found.saliency, *images.shape[2:]).flatten(1)

    whole = answer(episode)
    target = whole.argmax(1)
    every = torch.arange(len(images), device=target.device)
    own = whole.gather(1, target[:, None]).squeeze(1)
    falls = torch.stack(
        [own - answer(_without(episode, place))[every, target] for place in range(len(episode.support))], 1
    )
    elsewhere = torch.as_tensor(episode.support_labels, device=target.device) != target[:, None]
    fall, decisive = falls.masked_fill(elsewhere, -torch.inf).max(1)
    real = saliency(episode, every, target)
    alike = torch.zeros(len(images), draws)
    random = np.random.default_rng(seed)
    for label in target.unique().tolist():
        rows = (target == label).nonzero().squeeze(1)
        for draw in range(draws):
            swapped = _swapped(scene, episode, label, pool, random)
            alike[rows.cpu(), draw] = ops.rank_correlation(real[rows], saliency(swapped, rows, target)).cpu()
    names = scene.items.names
    return [
        Sensitivity(names[number], names[episode.support[int(decisive[row])]], float(fall[row]),
                    float(alike[row].min()), float(alike[row].quantile(0.5)), float(alike[row].max()))
        for row, number in enumerate(numbers)
    ]  # fmt: skip


def _without(episode: Episode, place: int) -> Episode:
    return episode._replace(
        support=np.delete(episode.support, place), support_labels=np.delete(episode.support_labels, place)
    )


def _swapped(scene: Scene, episode: Episode, label: int, pool: np.ndarray, random: np.random.Generator) -> Episode:
    """The episode with one support of the class replaced."""
    items, taken = scene.items, np.concatenate([episode.support, episode.query])
    free = pool[~np.isin(items.groups[pool], items.groups[taken]) & (items.labels[pool] == episode.classes[label])]
    if not len(free):
        raise ZooError(f"no spare image of '{items.classes[episode.classes[label]]}' to swap in; give a larger pool")
    support = episode.support.copy()
    support[random.choice(np.flatnonzero(episode.support_labels == label))] = random.choice(free)
    return episode._replace(support=support)
