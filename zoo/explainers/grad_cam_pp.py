"""Grad-CAM++: as Grad-CAM, each place's positive gradient weighted by how much it alone adds to the score."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring


@dataclass(frozen=True)
class GradCAMpp(ScoreExplainer):
    """Chattopadhyay et al., 2018, equation 19 for the exponential of the score: weight = sum over places of
    relu(g) alpha with alpha = g^2 / (2 g^2 + g^3 sum(A)), which is 1 / (2 + g sum(A)) wherever the gradient g is not
    0. Meant for maps A that are nowhere negative. The denominator is kept at 1e-6 or more."""

    paper: ClassVar[str] = "Chattopadhyay et al., Grad-CAM++, WACV 2018, arXiv 1710.11063"
    needs: ClassVar[Literal["gradient"]] = "gradient"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        maps, gradient = scoring.maps_and_gradient(images, target)
        alpha = 1 / (2 + gradient * maps.sum((2, 3), keepdim=True)).clamp_min(1e-6)
        return ((gradient.relu() * alpha).sum((2, 3), keepdim=True) * maps).sum(1).relu()
