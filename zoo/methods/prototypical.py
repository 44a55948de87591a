"""Prototypical network: a query goes to the class with the nearest mean embedding."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.ops import class_means, squared_distances
from zoo.types import Support


@dataclass(frozen=True)
class Prototypical(Episodic):
    """Snell, Swersky & Zemel, NeurIPS 2017, equations 1 and 2: score = -squared Euclidean distance to the class
    prototype. The backbone stays as it is given, unless `epochs` says to train it on episodes."""

    paper: ClassVar[str] = "Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS 2017, arXiv 1703.05175"
    epochs: int = 0
    """Rounds through the training images, in episodes; 0 = the backbone as it is given."""

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        return (class_means(support.features, support.labels, len(support.classes)),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return -squared_distances(features, params[0])

    def from_gram(self, gram: Tensor, support: Tensor, labels: Tensor, way: int, query: Tensor) -> Tensor:
        """The distances multiplied out: |q - p|^2 = qq - 2 qp + pp, where qp and pp are means over the supports."""
        e, k = support.shape
        first = torch.searchsorted(labels, torch.arange(way, device=labels.device).repeat(e, 1))
        first = (first + k * torch.arange(e, device=labels.device).unsqueeze(-1)).flatten()
        near = F.embedding_bag(support.flatten(), gram, first, mode="mean").view(e, way, -1)  # items x prototypes
        own = near[torch.arange(e, device=labels.device).unsqueeze(-1), labels, support]
        length = F.embedding_bag(torch.arange(e * k, device=own.device), own.view(-1, 1), first, mode="mean")
        cross = near.gather(2, query.unsqueeze(1).expand(-1, way, -1)).mT
        return (2 * cross - length.view(e, 1, way) - gram.diagonal()[query].unsqueeze(-1)).clamp_max(0)
