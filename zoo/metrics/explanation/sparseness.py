"""Sparseness: Gini index of the saliency, 0 = even, towards 1 = all in few pixels; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class Sparseness(ExplanationMetric):
    """Chalasani et al., ICML 2020, arXiv 1810.06583: Gini index of |saliency|. It says how concise an explanation is,
    nothing of whether it is right. 0 for a map of zeros."""

    about: ClassVar[Literal["complexity"]] = "complexity"
    higher_is_better: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        values = explained.saliency.flatten(1).double().abs().sort(dim=1).values
        n, total = values.shape[1], values.sum(1)
        place = 2 * torch.arange(1, n + 1, device=values.device) - n - 1
        return torch.where(total > 0, (place * values).sum(1) / (n * total), 0).float()
