"""Grad-CAM: feature maps weighted by the gradient of the target's score, averaged over places."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring


@dataclass(frozen=True)
class GradCAM(ScoreExplainer):
    """Selvaraju et al., 2017, equations 1 and 2, at the last tensor that still has places; the gradient goes through
    `embed` alone. All zeros where every place speaks against the target, as published: with `of=score` common for
    distances, where a longer embedding is farther from every class: an offset that no softmax sees, and that
    `of=margin` cancels. Margin was the better on validation queries of PBC."""

    paper: ClassVar[str] = "Selvaraju et al., Grad-CAM, ICCV 2017, arXiv 1610.02391"
    needs: ClassVar[Literal["gradient"]] = "gradient"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        maps, gradient = scoring.maps_and_gradient(images, target)
        return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu()
