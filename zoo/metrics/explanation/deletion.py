"""Deletion: area under the target's probability while the most salient pixels are taken away; lower is better."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zoo.ops import perturbation_curve
from zoo.types import Explained, ExplanationMetric


@dataclass(frozen=True)
class Deletion(ExplanationMetric):
    """Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421. Pixels turn into the mean colour of the training images,
    the most salient first, in equal fractions 0, 1/steps ... 1; area by the trapezoid rule, 0..1."""

    higher_is_better: ClassVar[bool] = False
    steps: int = 10
    """Equal fractions of the pixels that change at a time."""

    def measure(self, explained: Explained) -> Tensor:
        fill = explained.fill.to(explained.images)[:, None, None].expand_as(explained.images)
        curve = perturbation_curve(
            explained.images, fill, explained.saliency, self.steps, explained.probability, explained.target
        )
        return torch.trapezoid(curve, dx=1 / self.steps)
