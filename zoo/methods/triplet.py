"""Triplet network: each image nearer to its own class than to any other, by the hardest triplets of a batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from zoo.ops import class_means, distances, squared_distances, unit
from zoo.sampling import balanced
from zoo.types import Learned, Support


@dataclass(frozen=True)
class Triplet(Learned):
    """Schroff et al., CVPR 2015: unit embeddings, loss max(margin + D(anchor, positive) - D(anchor, negative), 0).
    Hermans et al., arXiv 1703.07737, equation 5: every image is an anchor, with the farthest of its class and the
    nearest of another in its batch; D is not squared. Score = -squared distance to the mean of the class's supports."""

    paper: ClassVar[str] = "Schroff et al., FaceNet, CVPR 2015, arXiv 1503.03832; Hermans et al., 2017, 1703.07737"
    margin: float = 0.2
    """By how much a negative must be farther than a positive; unit embeddings are at most 2 apart."""

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        yield from balanced(labels, self.batch, random)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        features = unit(features)
        distance, same = distances(features, features), labels[:, None] == labels
        positive = distance.masked_fill(~same, 0).amax(1)
        negative = distance.masked_fill(same, 1e4).amin(1)
        return (self.margin + positive - negative).clamp_min(0).mean()

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        return (class_means(unit(support.features), support.labels, len(support.classes)),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return -squared_distances(unit(features), params[0])
