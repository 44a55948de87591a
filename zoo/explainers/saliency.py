"""Saliency: how strongly the score reacts to each pixel."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring, attributed


@dataclass(frozen=True)
class Saliency(ScoreExplainer):
    """Simonyan et al., 2014, section 3: magnitude of the gradient at the pixel, the largest of its three colours."""

    paper: ClassVar[str] = "Simonyan et al., Deep Inside Convolutional Networks, ICLR 2014 Workshop, arXiv 1312.6034"
    needs: ClassVar[Literal["pixels"]] = "pixels"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        return attributed(attr.Saliency(scoring).attribute, images, target).amax(1)
