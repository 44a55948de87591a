"""Prototypical network head: a query goes to the class with the nearest mean embedding."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from zoo.ops import class_means, squared_distances
from zoo.types import Method, Support


@dataclass(frozen=True)
class Prototypical(Method):
    """Snell, Swersky & Zemel, NeurIPS 2017, equations 1 and 2, on the backbone as it is given:
    score = -squared Euclidean distance to the class prototype."""

    paper: ClassVar[str] = "Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS 2017, arXiv 1703.05175"

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        return (class_means(support.features, support.labels, len(support.classes)),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return -squared_distances(features, params[0])
