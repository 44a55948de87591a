"""HiResCAM: each place of the feature maps times its own gradient, not its average."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring


@dataclass(frozen=True)
class HiResCAM(ScoreExplainer):
    """Draelos & Carin, 2020, and the ReLU of Grad-CAM. The same as Grad-CAM where the embedding is a mean
    over places, whose gradient is the same at each of them."""

    paper: ClassVar[str] = "Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020, arXiv 2011.08891"
    needs: ClassVar[Literal["gradient"]] = "gradient"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        maps, gradient = scoring.maps_and_gradient(images, target)
        return (gradient * maps).sum(1).relu()
