"""Kernel SHAP: Shapley values of superpixels, from a weighted linear model of the score."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import BATCH, Baseline, ScoreExplainer, Scoring, attributed, baseline, generator, superpixels


@dataclass(frozen=True)
class KernelSHAP(ScoreExplainer):
    """Lundberg & Lee, 2017, theorem 2, on as many coalitions as there are draws. The positive value of each pixel's
    superpixel."""

    paper: ClassVar[str] = "Lundberg & Lee, Unified Approach to Interpreting Model Predictions, 2017, arXiv 1705.07874"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True
    segments: int = 48
    """About how many superpixels an image has."""
    draws: int = 256
    """Coalitions of superpixels, each a pass."""
    baseline: Baseline = "mean"
    """What shows where one is missing: the image's mean colour, its blurred copy, or black."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum.attr import KernelShap

        found = []
        for image, label in zip(images.split(1), target.split(1), strict=True):
            with torch.random.fork_rng(devices=[]):  # captum draws from the global numbers: lend it our own
                torch.manual_seed(generator(image[0], seed).initial_seed())
                found += attributed(
                    KernelShap(scoring).attribute, image, baseline(image, self.baseline), label, n_samples=self.draws,
                    feature_mask=superpixels(image[0], self.segments), perturbations_per_eval=BATCH,
                )  # fmt: skip
        return torch.stack(found)[:, 0].relu()
