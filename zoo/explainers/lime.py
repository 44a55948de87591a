"""LIME: a linear model of the score over superpixels that come and go."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import BATCH, Baseline, ScoreExplainer, Scoring, attributed, baseline, generator, superpixels


@dataclass(frozen=True)
class LIME(ScoreExplainer):
    """Ribeiro et al., 2016, algorithm 1, with ridge regression in place of their K-Lasso and their kernel of width 0.25
    on the cosine distance between sets of superpixels. The positive coefficient of each pixel's superpixel."""

    paper: ClassVar[str] = "Ribeiro et al., Why Should I Trust You?, KDD 2016, arXiv 1602.04938"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True
    segments: int = 48
    """About how many superpixels an image has."""
    draws: int = 256
    """Images with some of them missing, each a pass."""
    baseline: Baseline = "mean"
    """What shows where one is missing: the image's mean colour, its blurred copy, or black."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum._utils.models.linear_model import SkLearnRidge
        from captum.attr import Lime

        found = []
        for image, label in zip(images.split(1), target.split(1), strict=True):
            explain = Lime(scoring, SkLearnRidge(alpha=1.0), similarity_func=_closeness)
            with torch.random.fork_rng(devices=[]):  # captum draws from the global numbers: lend it our own
                torch.manual_seed(generator(image[0], seed).initial_seed())
                found += attributed(
                    explain.attribute, image, baseline(image, self.baseline), label, n_samples=self.draws,
                    feature_mask=superpixels(image[0], self.segments), perturbations_per_eval=BATCH,
                )  # fmt: skip
        return torch.stack(found)[:, 0].relu()


def _closeness(image: Tensor, changed: Tensor, kept: Tensor, **_: Any) -> Tensor:
    return torch.exp(-(((1 - kept.float().mean().sqrt()) / 0.25) ** 2) / 2)
