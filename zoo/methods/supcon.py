"""Supervised contrastive learning: views of one class attract each other on the sphere, all others repel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from zoo.ops import class_means, unit
from zoo.sampling import balanced
from zoo.types import Learned, Support


@dataclass(frozen=True)
class SupCon(Learned):
    """Khosla et al., NeurIPS 2020, equation 2: two augmented views of every image, a projection head of two layers
    that is dropped after training. Score = cosine of the embedding to the mean of the class's unit supports."""

    paper: ClassVar[str] = "Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362"
    temperature: float = 0.1
    """Divides the cosines of the loss."""
    projection: int = 128
    """Dimensions in which the loss compares."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, self.projection))

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        for items in balanced(labels, max(self.batch // 2, 1), random):
            yield np.concatenate([items, items])  # each is augmented on its own

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        assert state is not None
        projected = unit(state(features))
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        alike = ((labels[:, None] == labels) & ~itself).float()
        log_share = (projected @ projected.T / self.temperature).masked_fill(itself, -1e4).log_softmax(1)
        return -((alike * log_share).sum(1) / alike.sum(1).clamp_min(1)).mean()

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        return (unit(class_means(unit(support.features), support.labels, len(support.classes))),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return unit(features) @ params[0].T
