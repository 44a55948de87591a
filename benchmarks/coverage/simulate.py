"""Simulated banks with a known truth: does the 95 % interval hold it, and do the tests keep their level?

    python benchmarks/coverage/simulate.py            2,000 simulations of each setting, one core, some minutes
    python benchmarks/coverage/simulate.py 200

A query is right where a normal variable exceeds a threshold. The variable is the sum of effects of the training seed,
the support draw (episode), the image, and of the query itself, with shares that add to 1; so the accuracy over all
seeds, draws and images is known exactly, whatever was drawn: it is the normal distribution at the threshold. The
figures, draws, intervals and tests are those of `zoo.board`.
"""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from zoo.board import paired, resampling, statistics
from zoo.board.resampling import Answers


class Setting(NamedTuple):
    """How banks are made."""

    name: str
    truth: float
    """Accuracy in the population"""
    episodes: int
    images: int
    queries: int
    """Of each episode; all images where it is their number"""
    episode: float
    """Share of the variance that belongs to the support draw"""
    image: float
    seed: float = 0
    seeds: int = 1
    duplicates: int = 0
    """So many images have a duplicate among the others"""
    classes: int = 2
    nested: bool = False
    """Every image in one episode only"""


SETTINGS = (
    Setting("all images in every draw", 0.9, 30, 100, 100, 0.05, 0.5),
    Setting("images matter alone", 0.9, 30, 100, 100, 0, 0.9),
    Setting("draws matter most", 0.75, 30, 100, 100, 0.3, 0.1),
    Setting("episodes of some of the images", 0.9, 60, 240, 40, 0.05, 0.4),
    Setting("images of one episode only", 0.85, 40, 600, 15, 0.1, 0.3, nested=True),
    Setting("a third has a duplicate", 0.85, 30, 100, 100, 0.05, 0.6, duplicates=33),
    Setting("three training seeds", 0.85, 30, 100, 100, 0.05, 0.4, seed=0.005, seeds=3),
    Setting("three seeds that matter most", 0.85, 30, 100, 100, 0.02, 0.1, seed=0.1, seeds=3),
    Setting("two seeds", 0.85, 30, 100, 100, 0.05, 0.4, seed=0.01, seeds=2),
)
NULLS = (SETTINGS[0], SETTINGS[3], SETTINGS[5], SETTINGS[7])


class Bank(NamedTuple):
    """The queries of a simulated bank: (n,) each."""

    episode: np.ndarray
    image: np.ndarray
    group: np.ndarray
    truth: np.ndarray


def bank(made: Setting, random: np.random.Generator) -> Bank:
    """A bank of fresh images; the first ones are duplicates of the last."""
    if made.nested:
        image = np.arange(made.images)
    elif made.queries == made.images:
        image = np.tile(np.arange(made.images), made.episodes)
    else:
        drawn = [random.permutation(made.images)[: made.queries] for _ in range(made.episodes)]
        image = np.concatenate(drawn)
    group = np.arange(made.images)
    group[: made.duplicates] = group[made.images - made.duplicates :]
    group = group[image]
    # The class is the group's, so that duplicates agree.
    return Bank(np.repeat(np.arange(made.episodes), made.queries), image, group, group % made.classes)


def row(made: Setting, of: Bank, images: np.ndarray, random: np.random.Generator) -> list[resampling.Resampled]:
    """The mean class accuracy of one row, for each of its training seeds, under the resamples.

    images: (images,) standard normal effects of the groups, which rows may share.
    """
    episodes, found = random.standard_normal(made.episodes), []
    rest = np.sqrt(1 - made.episode - made.image - made.seed)
    for _ in range(made.seeds):
        latent = np.sqrt(made.seed) * random.standard_normal() + np.sqrt(made.episode) * episodes[of.episode]
        latent = latent + np.sqrt(made.image) * images[of.group] + rest * random.standard_normal(len(of.episode))
        right = latent < special.ndtri(made.truth)
        predicted = np.where(right, of.truth, (of.truth + 1) % made.classes)
        answers = Answers(of.episode, np.unique(of.group, return_inverse=True)[1], of.truth, predicted)
        found.append(resampling.figures(answers, made.classes)["mean_class_accuracy"])
    return found


def coverage(made: Setting, simulations: int) -> float:
    """Share of simulations whose interval holds the truth."""
    random, held = np.random.default_rng(0), 0
    for _ in range(simulations):
        found = row(made, bank(made, random), random.standard_normal(made.images), random)
        values, drawn = zip(*found, strict=True)
        figure = statistics.over_seeds(np.array(values), np.stack(drawn))
        held += figure.low <= made.truth <= figure.high
    return held / simulations


def false_positives(made: Setting, rows: int, simulations: int, same_seeds: bool = True) -> float:
    """Share of simulations in which any of `rows` rows of the same accuracy is found to differ from another, after
    Holm; their image effects are half shared. Of two rows that is the level of one test."""
    random, wrong = np.random.default_rng(1), 0
    for _ in range(simulations):
        of, shared = bank(made, random), random.standard_normal(made.images)
        values, drawn = [], []
        for number in range(rows):
            images = np.sqrt(0.5) * shared + np.sqrt(0.5) * random.standard_normal(made.images)
            found = row(made, of, images, random)
            first = 0 if same_seeds else number * made.seeds
            values.append({first + place: float(one.value) for place, one in enumerate(found)})
            drawn.append(np.mean([one.draws for one in found], axis=0))
        freedom = min(made.episodes, len(np.unique(of.group))) - 1
        wrong += bool((paired.tested(values, np.stack(drawn), freedom).holm <= paired.LEVEL).any())
    return wrong / simulations


def explained_false_positives(explainers: int, simulations: int, images: int = 120, queries: int = 200) -> float:
    """The same for explainers whose values have the same mean: queries draw from the images, so that some recur, and
    an explainer's value depends on the image more than on the query. Skewed, as saliency metrics are."""
    random, wrong = np.random.default_rng(2), 0
    for _ in range(simulations):
        image = random.integers(0, images, queries)
        effects = random.exponential(1, (explainers, images)) + random.exponential(1, images)
        values = effects[:, image] + random.exponential(0.5, (explainers, queries))
        wrong += bool((paired.explained_ties(values, image, True).holm <= paired.LEVEL).any())
    return wrong / simulations


def episode_only(made: Setting, simulations: int) -> float:
    """Coverage of the interval over episodes alone, as few-shot papers print it: what the two-way one is there for."""
    random, held = np.random.default_rng(0), 0
    for _ in range(simulations):
        of = bank(made, random)
        latent = np.sqrt(made.episode) * random.standard_normal(made.episodes)[of.episode]
        latent += np.sqrt(made.image) * random.standard_normal(made.images)[of.group]
        latent += np.sqrt(1 - made.episode - made.image) * random.standard_normal(len(of.episode))
        right = (latent < special.ndtri(made.truth)).reshape(made.episodes, -1).mean(1)
        figure = statistics.mean_interval(right)
        held += figure.low <= made.truth <= figure.high
    return held / simulations


def main(simulations: int) -> None:
    """Print every share, with the time it took."""

    def say(what: str, share: Callable[[], float]) -> None:
        began = time.perf_counter()
        print(f"{what:78} {100 * share():6.2f} %  {time.perf_counter() - began:6.0f} s", flush=True)

    print(f"{simulations} simulations each; their own error is {100 * (0.05 * 0.95 / simulations) ** 0.5:.2f} points")
    for made in SETTINGS:
        say(f"interval holds the truth: {made.name}", lambda made=made: coverage(made, simulations))
    say(f"over episodes alone: {SETTINGS[0].name}", lambda: episode_only(SETTINGS[0], simulations))
    for made in NULLS:
        say(f"two equal rows differ: {made.name}", lambda made=made: false_positives(made, 2, simulations))
    apart = SETTINGS[6]
    say(f"two equal rows differ: {apart.name}, not the same", lambda: false_positives(apart, 2, simulations, False))
    say("any of five equal rows differ (Holm)", lambda: false_positives(SETTINGS[0], 5, simulations))
    say("two equal explainers differ", lambda: explained_false_positives(2, simulations))
    say("any of five equal explainers differ (Holm)", lambda: explained_false_positives(5, simulations))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
