"""Insertion: area under the target's probability while the most salient pixels come back; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import area


@dataclass(frozen=True)
class Insertion(ExplanationMetric):
    """Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421. The pixels of the image replace those of its blurred copy
    (`zoo.perturbation.SIGMA`), the most salient first, in equal fractions 0, 1/steps ... 1; area by the trapezoid
    rule, 0..1."""

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    steps: int = 10
    """Equal fractions of the pixels that change at a time."""

    def measure(self, explained: Explained) -> Tensor:
        return area(explained, self.steps, "blur", "image")
