"""Occlusion: how far the score falls while a square moves over the image."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import BATCH, Baseline, ScoreExplainer, Scoring, attributed, baseline


@dataclass(frozen=True)
class Occlusion(ScoreExplainer):
    """Zeiler & Fergus, 2014, section 4.2: each pixel's mean fall over the squares that cover it, its positive part."""

    paper: ClassVar[str] = "Zeiler & Fergus, Visualizing and Understanding, ECCV 2014, arXiv 1311.2901"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True
    cells: int = 12
    """Steps of the square along a side; it is two steps wide."""
    baseline: Baseline = "mean"
    """What the square shows: the image's mean colour, its blurred copy, or black."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        down, right = (max(side // self.cells, 1) for side in images.shape[2:])
        window, step = (3, 2 * down, 2 * right), (3, down, right)
        found = attributed(
            attr.Occlusion(scoring).attribute, images, window, step, baseline(images, self.baseline), target,
            perturbations_per_eval=max(BATCH // len(images), 1),
        )  # fmt: skip
        return found.mean(1).relu()  # the square hides all colours at once, and each is given the whole fall
