"""Efficient MPRT: does the saliency become more complex when the backbone's weights are shuffled? Higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class EfficientMPRT(ExplanationMetric):
    """Hedström et al., Sanity Checks Revisited, 2023, arXiv 2401.06465, efficient model parameter randomisation test:
    (entropy of the saliency with all weights random - entropy with the trained ones) / the latter, where entropy is
    that of a histogram of the values in 100 equal bins, in nats. 0 for an explainer that ignores the backbone, and for
    a map of one value, which has no entropy to compare with.

    Raises ZooError where there is no randomised classifier.
    """

    about: ClassVar[Literal["randomisation"]] = "randomisation"
    higher_is_better: ClassVar[bool] = True
    costly: ClassVar[bool] = True
    bins: int = 100
    """Of the histogram, from the lowest to the highest value of each map."""

    def measure(self, explained: Explained) -> Tensor:
        if explained.randomised is None:
            raise ZooError("mprt needs a classifier with random weights; use it through `zoo run`")
        before, after = (self.entropy(maps) for maps in (explained.saliency, explained.randomised("weights")))
        return torch.where(before > 0, (after - before) / before.clamp_min(1e-30), 0).float()

    def entropy(self, saliency: Tensor) -> Tensor:
        """(n, H, W) -> (n,) nats."""
        flat = saliency.flatten(1).double()
        low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
        place = ((flat - low) / (high - low).clamp_min(1e-30) * self.bins).long().clamp_max(self.bins - 1)
        counts = torch.zeros(len(flat), self.bins, dtype=torch.double, device=flat.device)
        share = counts.scatter_add_(1, place, torch.ones_like(flat)) / flat.shape[1]
        return -torch.special.xlogy(share, share).sum(1)
