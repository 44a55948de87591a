"""Comprehensiveness: how far the target's probability falls without the most salient pixels; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import SHARES, curve, pixel_rank, whole


@dataclass(frozen=True)
class Comprehensiveness(ExplanationMetric):
    """DeYoung et al., ERASER, ACL 2020, arXiv 1911.03429, section 4, for pixels: p(image) - p(image with the top share
    in the mean colour of the training images), averaged over the top 1, 5, 10, 20 and 50 %; -1..1."""

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        rank = pixel_rank(explained.saliency)
        counts = [round(share * rank[0].numel()) for share in SHARES]
        return whole(explained) - curve(explained, rank, counts, "image", "fill").mean(1)
