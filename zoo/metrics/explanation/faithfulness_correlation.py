"""Faithfulness correlation: does the saliency of random regions follow what their loss costs? Higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import drops, sums


@dataclass(frozen=True)
class FaithfulnessCorrelation(ExplanationMetric):
    """Bhatt et al., IJCAI 2020, arXiv 2005.00631, definition 3: Pearson correlation, over random subsets, of the summed
    saliency and the fall of the target's probability when the subset turns into the mean colour; -1..1. A subset is a
    share of the squares of a grid, not of single pixels, whose loss is noise to a network. The same subsets for every
    image and explainer. 0 where either side never varies."""

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    draws: int = 50
    """Random subsets."""
    grid: int = 14
    """Squares along a side of the image."""
    share: float = 0.1
    """Of the squares, taken away together."""

    def measure(self, explained: Explained) -> Tensor:
        gone = self.subsets(explained)
        fall = drops(explained, gone, f"drops of {self}").double()
        left, right = (values - values.mean(1, keepdim=True) for values in (sums(explained.saliency, gone), fall))
        # rounding alone makes equal sums differ in their last digits
        rounding = 1e-9 * gone[0].sum() * explained.saliency.abs().amax((1, 2))
        varied = (left.abs().amax(1) > rounding) & (right != 0).any(1)
        correlation = (left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1)).clamp_min(1e-30)
        return torch.where(varied, correlation, 0).clamp(-1, 1).float()

    def subsets(self, explained: Explained) -> Tensor:
        """(draws, H, W) bool: the pixels of each subset."""
        height, width = explained.saliency.shape[1:]
        random = torch.Generator().manual_seed(0)
        places = torch.rand(self.draws, self.grid**2, generator=random).argsort(1)
        chosen = (places < max(1, round(self.share * self.grid**2))).view(-1, self.grid, self.grid)
        row, column = (torch.arange(side) * self.grid // side for side in (height, width))
        return chosen[:, row][:, :, column].to(explained.images.device)
