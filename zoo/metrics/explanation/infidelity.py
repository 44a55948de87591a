"""Infidelity: squared error of the saliency as a forecast of what losing a square costs; lower is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import drops, sums


@dataclass(frozen=True)
class Infidelity(ExplanationMetric):
    """Yeh et al., NeurIPS 2019, arXiv 1901.09392, definition 2.1 with square removal: mean over random squares of
    (scale x saliency within the square - fall of the target's probability)^2 when the square turns into the mean
    colour. Saliency counts as a share of the score, as captum takes attributions that are multiplied by the input; as
    it has no unit, the scale is the best one for the image, so that 0..1 is comparable between explainers. The same
    squares for every image and explainer."""

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = False
    draws: int = 50
    """Random squares, their sides an eighth to a half of the image's."""
    scaled: Literal["best", "one"] = "best"
    """best: the scale with the least error, which may be negative; one: saliency as it is."""

    def measure(self, explained: Explained) -> Tensor:
        gone = self.squares(explained)
        forecast, fall = sums(explained.saliency, gone), drops(explained, gone, f"drops of {self}").double()
        if self.scaled == "best":
            square = forecast.square().sum(1, keepdim=True)
            forecast = forecast * (forecast * fall).sum(1, keepdim=True) / square.clamp_min(1e-30)
        return (forecast - fall).square().mean(1).float()

    def squares(self, explained: Explained) -> Tensor:
        """(draws, H, W) bool: the pixels of each square."""
        height, width = explained.saliency.shape[1:]
        size, top, left = torch.rand(3, self.draws, 1, generator=torch.Generator().manual_seed(0))
        size = 1 / 8 + size * 3 / 8

        def inside(side: int, start: Tensor) -> Tensor:
            middle = (torch.arange(side) + 0.5) / side
            start = start * (1 - size)
            return (middle >= start) & (middle < start + size)

        return (inside(height, top).unsqueeze(2) & inside(width, left).unsqueeze(1)).to(explained.images.device)
