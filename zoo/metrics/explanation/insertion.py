"""Insertion: area under the target's probability while the most salient pixels come back; higher is better."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from zoo.ops import blur, perturbation_curve
from zoo.types import Explained, ExplanationMetric

SIGMA = 0.1
"""Gaussian sigma of the blurred start, as a fraction of the image's side: our choice, wide enough that a stained cell
loses its outline."""


@dataclass(frozen=True)
class Insertion(ExplanationMetric):
    """Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421. The pixels of the image replace those of its blurred copy,
    the most salient first, in equal fractions 0, 1/steps ... 1; area by the trapezoid rule, 0..1."""

    higher_is_better: ClassVar[bool] = True
    steps: int = 10
    """Equal fractions of the pixels that change at a time."""

    def measure(self, explained: Explained) -> Tensor:
        images = explained.images
        blurred = blur(images, SIGMA * images.shape[-1])
        curve = perturbation_curve(
            blurred, images, explained.saliency, self.steps, explained.probability, explained.target
        )
        return torch.trapezoid(curve, dx=1 / self.steps)
