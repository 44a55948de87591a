"""Integrated gradients: the gradient along the way from an empty image, times the way."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import BATCH, Baseline, ScoreExplainer, Scoring, attributed, baseline


@dataclass(frozen=True)
class IntegratedGradients(ScoreExplainer):
    """Sundararajan et al., 2017, equation 1, by Gauss-Legendre quadrature: the positive part of the sum over the three
    colours. Before that, all pixels together add up to the score less the baseline's."""

    paper: ClassVar[str] = "Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017, arXiv 1703.01365"
    needs: ClassVar[Literal["pixels"]] = "pixels"
    costly: ClassVar[bool] = True
    steps: int = 32
    """Points of the quadrature, each a pass forwards and back."""
    baseline: Baseline = "mean"
    """Where the way begins: the image's mean colour, its blurred copy, or black, as published."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        explain, start = attr.IntegratedGradients(scoring).attribute, baseline(images, self.baseline)
        return attributed(explain, images, start, target, n_steps=self.steps, internal_batch_size=BATCH).sum(1).relu()
