"""Input x gradient: each pixel's value times the gradient of the score there."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring, attributed


@dataclass(frozen=True)
class InputXGradient(ScoreExplainer):
    """Shrikumar et al., 2016: the positive part of the sum over the three colours. A black pixel gets 0, whatever it
    says: dark nuclei are at a disadvantage."""

    paper: ClassVar[str] = "Shrikumar et al., Not Just a Black Box, 2016, arXiv 1605.01713"
    needs: ClassVar[Literal["pixels"]] = "pixels"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        return attributed(attr.InputXGradient(scoring).attribute, images, target).sum(1).relu()
