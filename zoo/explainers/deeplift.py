"""DeepLIFT: how each pixel's difference from an empty image contributes to the difference in score."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from zoo.attribution import Baseline, ScoreExplainer, Scoring, activations, attributed, baseline
from zoo.types import Backbone


@dataclass(frozen=True)
class DeepLIFT(ScoreExplainer):
    """Shrikumar et al., 2017, the rescale rule of section 3.5.2: the positive part of the sum over the three colours.
    The head, which is no layer, is passed by its gradient."""

    paper: ClassVar[str] = "Shrikumar et al., Learning Important Features, ICML 2017, arXiv 1704.02685"
    needs: ClassVar[Literal["pixels"]] = "pixels"
    baseline: Baseline = "mean"
    """The empty image: its mean colour, its blurred copy, or black."""

    def refuses(self, backbone: Backbone) -> str | None:
        from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

        if backbone.views > 1:
            return "it compares two runs of each layer, and here a layer runs several times"
        strange = sorted(kind.__name__ for kind in activations(backbone) - {*SUPPORTED_NON_LINEAR, nn.ReLU6})
        return f"its rule is not defined for {', '.join(strange)}" if strange else None

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        explain = attr.DeepLift(scoring.rewritten()).attribute
        return attributed(explain, images, baseline(images, self.baseline), target).sum(1).relu()
