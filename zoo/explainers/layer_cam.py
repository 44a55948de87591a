"""LayerCAM: each place of the feature maps times the positive part of its own gradient."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring


@dataclass(frozen=True)
class LayerCAM(ScoreExplainer):
    """Jiang et al., 2021, at the last tensor that still has places."""

    paper: ClassVar[str] = "Jiang et al., LayerCAM, IEEE TIP 2021, doi 10.1109/TIP.2021.3089943"
    needs: ClassVar[Literal["gradient"]] = "gradient"

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        maps, gradient = scoring.maps_and_gradient(images, target)
        return (gradient.relu() * maps).sum(1).relu()
