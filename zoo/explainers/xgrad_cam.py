"""XGrad-CAM: feature maps weighted by their gradient, averaged by where each map is active."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring


@dataclass(frozen=True)
class XGradCAM(ScoreExplainer):
    """Fu et al., 2020: weight = sum over places of g A / sum(A). A map whose sum is 0 gets weight 0.
    The same as Grad-CAM where the embedding is a mean over places."""

    paper: ClassVar[str] = "Fu et al., Axiom-based Grad-CAM, BMVC 2020, arXiv 2008.02312"
    needs: ClassVar[Literal["gradient"]] = "gradient"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        maps, gradient = scoring.maps_and_gradient(images, target)
        total = maps.sum((2, 3), keepdim=True)
        weights = (gradient * maps).sum((2, 3), keepdim=True) / total.where(total.abs() > 1e-7, float("inf"))
        return (weights * maps).sum(1).relu()
