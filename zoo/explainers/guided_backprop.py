"""Guided backpropagation: the gradient, passed back only where both it and the ReLU's input are positive."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from zoo.attribution import ScoreExplainer, Scoring, activations, attributed
from zoo.types import Backbone


@dataclass(frozen=True)
class GuidedBackprop(ScoreExplainer):
    """Springenberg et al., 2015, section 3.4: the magnitude, largest of the three colours. Close to an edge detector
    (Adebayo et al., 2018, arXiv 1810.03292): read it beside `sobel`."""

    paper: ClassVar[str] = "Springenberg et al., Striving for Simplicity, ICLR 2015 Workshop, arXiv 1412.6806"
    needs: ClassVar[Literal["pixels"]] = "pixels"

    def refuses(self, backbone: Backbone) -> str | None:
        return None if activations(backbone) & {nn.ReLU, nn.ReLU6} else "its rule is for ReLU, and there is none"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        return attributed(attr.GuidedBackprop(scoring.rewritten()).attribute, images, target).abs().amax(1)
