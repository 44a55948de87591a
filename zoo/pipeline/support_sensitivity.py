"""How much an answer and its explanation hang on single support images."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from zoo import ops
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.explaining import Classifier, Explainer
from zoo.pipeline.explain import Asked
from zoo.pipeline.progress import Advance, bar
from zoo.pipeline.scene import Scene
from zoo.record import Episode

DRAWS = 5
"""How often one support is swapped for each query."""


@dataclass(frozen=True)
class Sensitivity:
    """One explained query."""

    item: str
    truth: str
    predicted: str
    probability: float
    """Of the predicted class, 0..1"""
    decisive: str
    """The support without which the predicted class's probability falls most (or rises least)"""
    fall: float
    """How far it falls without that support, -1..1"""
    without: str
    """The class that is predicted without that support"""
    worst: float
    """Rank correlation of the saliency with that of the real supports, -1..1, in the draw that changes it most"""
    median: float
    best: float
    swapped_out: str
    """The support that this draw replaces"""
    swapped_in: str
    saliency: np.ndarray = field(repr=False, compare=False)
    """(h, w), of the predicted class with the real supports"""
    worst_saliency: np.ndarray = field(repr=False, compare=False)
    """(h, w), the same in the draw that changes it most"""


def support_sensitivity(
    scene: Scene, explainer: Explainer, asked: Sequence[Asked], pool: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> list[Sensitivity]:
    """For each query: which support decided, and how the saliency changes when one support of the predicted class is
    swapped for another image of its class, over random draws.

    `pool` holds the item numbers that may come in; those of the episode and their duplicates never do. An episode costs
    its supports + classes x draws refits. Raises ZooError for fewer than one draw, for one support a class, and where
    the pool has no image of a class.
    """
    if draws < 1:
        raise ZooError(f"draws={draws}: give 1 or more")
    refits = sum(len(part.episode.support) + draws * len(part.episode.classes) for part in asked)
    with bar("refitting without supports and with others", refits) as advance:
        return [row for part in asked for row in _of_episode(scene, explainer, part, pool, draws, seed, advance)]


def spare(items: Items, episode: Episode, label: int, pool: np.ndarray) -> np.ndarray:
    """Those of `pool` (m,) that may stand in for a support of the episode's class `label`. Raises ZooError where there
    are none."""
    taken = items.groups[np.concatenate([episode.support, episode.query])]
    free = pool[(items.labels[pool] == episode.classes[label]) & ~np.isin(items.groups[pool], taken)]
    if not len(free):
        name = items.classes[episode.classes[label]]
        raise ZooError(f"{items.dataset}: no spare image of '{name}' to swap in; every one that might be a support is "
                       "in the episode or a duplicate of one; choose a dataset with more test images")  # fmt: skip
    return free


def _of_episode(
    scene: Scene, explainer: Explainer, asked: Asked, pool: np.ndarray, draws: int, seed: int, advance: Advance
) -> list[Sensitivity]:
    episode, numbers = asked.episode, asked.episode.query[asked.query]
    if np.bincount(episode.support_labels).min() < 2:
        raise ZooError("support sensitivity leaves supports out one by one: give at least 2 a class (--shot 2)")
    images, masks = scene.images(numbers), scene.masks(numbers)

    def refitted(episode: Episode) -> Classifier:
        advance()
        # By a copy of the scene: the scene itself keeps every backbone that an adapting method makes.
        return replace(scene).classifier(episode)

    def saliency(classifier: Classifier, rows: Tensor) -> Tensor:
        given = None if masks is None else masks[rows]
        return explainer.explain_with(classifier, images[rows], target[rows], seed, given).saliency

    def flat(maps: Tensor) -> Tensor:
        return ops.upsample(maps, *images.shape[2:]).flatten(1)

    classifier = scene.classifier(episode)
    whole = scene.scores(classifier, images).softmax(1)
    own, target = whole.max(1)
    every = torch.arange(len(images), device=target.device)
    places = range(len(episode.support))
    left = torch.stack(
        [scene.scores(refitted(_without(episode, place)), images).softmax(1) for place in places], 1
    )  # (n, supports, way)
    elsewhere = torch.as_tensor(episode.support_labels, device=target.device) != target[:, None]
    fall, decisive = (own[:, None] - left[every, :, target]).masked_fill(elsewhere, -torch.inf).max(1)
    without = left[every, decisive].argmax(1)
    real = saliency(classifier, every)
    moved, alike = real.new_zeros(draws, *real.shape), torch.zeros(len(images), draws)
    random, swaps = np.random.default_rng(seed), {}
    for label in target.unique().tolist():
        rows = (target == label).nonzero().squeeze(1)
        for draw in range(draws):
            swaps[label, draw] = swapped = _swapped(scene.items, episode, label, pool, random)
            moved[draw, rows] = saliency(refitted(swapped), rows)
            alike[rows.cpu(), draw] = ops.rank_correlation(flat(real[rows]), flat(moved[draw, rows])).cpu()
    advance(draws * len(episode.classes) - len(swaps))
    names, classes = scene.items.names, [scene.items.classes[number] for number in episode.classes]
    found = []
    for row, number in enumerate(numbers):
        predicted, worst = int(target[row]), int(alike[row].numpy().argmin())
        swapped = swaps[predicted, worst].support
        (place,) = np.flatnonzero(swapped != episode.support)
        found.append(Sensitivity(
            item=names[number], truth=scene.items.classes[scene.items.labels[number]], predicted=classes[predicted],
            probability=float(own[row]), decisive=names[episode.support[int(decisive[row])]], fall=float(fall[row]),
            without=classes[int(without[row])], worst=float(alike[row].min()), median=float(alike[row].quantile(0.5)),
            best=float(alike[row].max()), swapped_out=names[episode.support[place]], swapped_in=names[swapped[place]],
            saliency=real[row].cpu().numpy(), worst_saliency=moved[worst, row].cpu().numpy(),
        ))  # fmt: skip
    return found


def _without(episode: Episode, place: int) -> Episode:
    return episode._replace(
        support=np.delete(episode.support, place), support_labels=np.delete(episode.support_labels, place)
    )


def _swapped(items: Items, episode: Episode, label: int, pool: np.ndarray, random: np.random.Generator) -> Episode:
    """The episode with one support of the class replaced."""
    free, support = spare(items, episode, label, pool), episode.support.copy()
    support[random.choice(np.flatnonzero(episode.support_labels == label))] = random.choice(free)
    return episode._replace(support=support)
