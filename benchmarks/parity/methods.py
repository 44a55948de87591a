"""Every few-shot method beside an independent implementation, on the same made-up episodes.

`python benchmarks/parity/methods.py` writes leaderboard/parity_methods.md; tests/test_parity.py holds each row to its
promise. A new row is one entry of COMPARISONS, and where it needs one a function in references.py.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import references as by
import torch
import trained
from torch import Tensor, nn

from zoo import registry
from zoo.board.markdown import table
from zoo.pipeline.evaluate import fitted
from zoo.types import Support

SHAPES = ((5, 3, 12), (2, 1, 12), (8, 5, 100))
"""Way, shot and dimensions of the episodes."""


class Comparison(NamedTuple):
    """One row: predictions of a method, and of its reference."""

    method: str
    settings: dict[str, str]
    reference: str
    compared: str
    """What was made alike, if anything had to be"""
    theirs: by.Predict
    differs: str = ""
    """Why the predictions need not agree; empty where the formula is the same"""
    state: Callable[[int], nn.Module | None] = lambda _: None
    """Learned parts of our method, where it has any, by the dimensions it sees"""
    least_shot: int = 1
    """Fewest supports per class that the reference accepts"""


def agreement(row: Comparison, episodes: int) -> float:
    """Share of queries with the same prediction, over that many episodes of each shape."""
    method, same = registry.method(row.method, row.settings), []
    for support, query in made_up(episodes, row.least_shot):
        theirs = row.theirs(support, query)
        if method.input == "maps":
            support, query = support._replace(features=trained.maps(support.features)), trained.maps(query)
        with torch.no_grad():
            ours = method.scores(fitted(method, row.state(query.shape[1]), support, query), query).argmax(1)
        same.append((ours == theirs)[theirs >= 0])
    return float(torch.cat(same).float().mean())


def made_up(count: int, least_shot: int = 1) -> Iterator[tuple[Support, Tensor]]:
    """Overlapping Gaussian classes, 80 queries an episode, as many of each class."""
    random = torch.Generator().manual_seed(0)
    for way, shot, d in SHAPES:
        labels = torch.arange(way).repeat_interleave(max(shot, least_shot))
        for _ in range(count):
            centres = torch.randn(way, d, generator=random) * (12 / d) ** 0.5 * 1.5
            support = centres[labels] + torch.randn(len(labels), d, generator=random)
            query = centres[torch.arange(80) % way] + torch.randn(80, d, generator=random)
            yield Support(support, labels, torch.arange(way)), query


def page(episodes: int = 20) -> str:
    """The table, in Markdown."""
    lines = [
        [f"`{' '.join([row.method, *(f'{key}={value}' for key, value in row.settings.items())])}`", row.reference,
         row.compared, f"{100 * agreement(row, episodes):.2f} %", row.differs or "same formula"]
        for row in COMPARISONS
    ]  # fmt: skip
    shapes = ", ".join(f"{way}-way {shot}-shot in {d} dimensions" for way, shot, d in SHAPES)
    return "\n".join([
        "<!-- Written by `python benchmarks/parity/methods.py`; edit that file, not this one. -->", "",
        "# Methods beside their references", "",
        f"Share of queries that get the same predicted class, {episodes} made-up episodes each of {shapes}.", "",
        *table(["method", "reference", "what is compared", "agreement", "why"], lines), "",
    ])  # fmt: skip


def _mean(d: int) -> torch.Tensor:
    """A made-up mean embedding of training images."""
    return torch.linspace(-1, 1, d)


_ADAM = {"steps": "50", "rate": "0.001"}
COMPARISONS = [
    Comparison("prototypical", {}, "easyfsl `PrototypicalNetworks`", "as they come",
               by.easyfsl("PrototypicalNetworks")),
    Comparison("simpleshot", {"distance": "cosine"}, "easyfsl `SimpleShot`", "its features of unit length",
               by.easyfsl("SimpleShot", feature_normalization=2.0)),
    Comparison("simpleshot", {"transform": "CL2N", "distance": "cosine"}, "easyfsl `SimpleShot`",
               "a given mean, features of unit length after it is taken away",
               lambda support, query: by.easyfsl(
                   "SimpleShot", feature_normalization=2.0, feature_centering=_mean(query.shape[1])
               )(support, query),
               state=lambda d: registry.method("simpleshot", {"transform": "CL2N"}).from_training(_mean(d)[None])),
    Comparison("matching", {}, "easyfsl `MatchingNetworks`",
               "without its two context encoders; queries of unit length, as in the paper", by.matching),
    Comparison("nearest_support", {}, "scikit-learn `KNeighborsClassifier(1)`", "as they come", by.neighbours(1)),
    Comparison("knn", {}, "scikit-learn `KNeighborsClassifier(3)`",
               "queries whose votes do not tie: ours then asks who is nearer", by.neighbours(3)),
    Comparison("logistic", {}, "scikit-learn `LogisticRegression`", "unit embeddings", by.logistic(1)),
    Comparison("logistic", {"c": "10"}, "scikit-learn `LogisticRegression`", "unit embeddings", by.logistic(10)),
    Comparison("ridge", {}, "scikit-learn `RidgeClassifier`", "unit embeddings", by.sklearn(by.ridge)),
    Comparison("svm", {}, "scikit-learn `LinearSVC`", "unit embeddings", by.sklearn(by.svm)),
    Comparison("lda", {}, "scikit-learn `LinearDiscriminantAnalysis(\"lsqr\")`",
               "unit embeddings, two shots and more: it refuses one", by.sklearn(by.lda), least_shot=2),
    Comparison("finetune", {}, "torch: `Linear`, `SGD`, autograd", "unit embeddings, started from zero", by.layer),
    Comparison("label_propagation", {}, "scikit-learn `LabelSpreading`", "unit embeddings, iterated to the end",
               by.spreading),
    Comparison("tim", {**_ADAM, "similarity": "cosine", "temperature": "10", "weight": "1"}, "easyfsl `TIM`",
               "unit embeddings, its settings, a higher rate",
               by.easyfsl("TIM", by.unit, fine_tuning_lr=1e-3)),
    Comparison("tim", _ADAM, "the paper's loss through torch's autograd and Adam", "50 steps",
               by.descent(by.tim, 15, 50)),
    Comparison("alpha_tim", _ADAM, "the paper's loss through torch's autograd and Adam", "50 steps",
               by.descent(by.alpha_tim, 15, 50)),
    Comparison("transductive_finetune", {"rate": "0.01"}, "easyfsl `TransductiveFinetuning`", "a higher rate",
               by.easyfsl("TransductiveFinetuning", fine_tuning_lr=0.01)),
    Comparison("bd_cspn", {"sharpness": "1"}, "easyfsl `BDCSPN`", "unit embeddings", by.easyfsl("BDCSPN", by.unit)),
    Comparison("laplacian_shot", {}, "easyfsl `LaplacianShot`", "unit embeddings, its rectifying left out",
               by.laplacian),
    Comparison("laplacian_shot", {}, "easyfsl `LaplacianShot`", "unit embeddings",
               by.easyfsl("LaplacianShot", by.unit),
               "it rectifies prototypes as BD-CSPN does first; ours does what the paper's equations say"),
    Comparison("pt_map", {"centred": "false", "steps": "10"}, "easyfsl `PTMAP`",
               "given features that its power transform brings to unit length; its plans scaled to the end", by.pt_map),
    Comparison("pt_map", {"steps": "10"}, "the paper's algorithm in numpy", "each plan scaled to the end",
               by.transport(centred=True)),
]  # fmt: skip


if __name__ == "__main__":
    file = Path(__file__).resolve().parents[2] / "leaderboard" / "parity_methods.md"
    partial = file.with_suffix(".part")
    partial.write_text(page(), "utf-8")
    partial.replace(file)
    sys.stdout.write(f"{file.relative_to(file.parents[1])}\n")
