"""Area between the curves of deleting the least and the most salient pixels first; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import area


@dataclass(frozen=True)
class AreaBetweenCurves(ExplanationMetric):
    """Symmetric relevance gain of Blücher et al., TMLR 2024, arXiv 2401.06654: area with the least salient pixels
    first (LeRF) minus area with the most salient first (MoRF, our `deletion`), -1..1. What deletion does to any image
    at all cancels. Same steps, mean colour and trapezoid rule as `deletion`."""

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    steps: int = 10
    """Equal fractions of the pixels that change at a time."""

    def measure(self, explained: Explained) -> Tensor:
        most_first = area(explained, self.steps, "image", "fill")
        return area(explained, self.steps, "image", "fill", least_first=True) - most_first
