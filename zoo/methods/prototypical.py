"""Prototypical network: a query goes to the class with the nearest mean embedding."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.episodic import Episodic
from zoo.ops import class_means, one_hot, squared_distances
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

    def from_products(self, means: Tensor, squares: Tensor, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """The distances multiplied out: |q - p|^2 = qq - 2 qp + pp, where pp is the mean of p with its supports."""
        member = one_hot(labels, means.shape[1])
        own = means[torch.arange(len(means), device=means.device).unsqueeze(1), labels, support]
        length = ((own.unsqueeze(1) @ member) / member.sum(1, keepdim=True)).mT
        cross = means.gather(2, query.unsqueeze(1).expand(-1, means.shape[1], -1))
        return cross.mul_(2).sub_(length).sub_(squares[query].unsqueeze(1)).clamp_max_(0)
