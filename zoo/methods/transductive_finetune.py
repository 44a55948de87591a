"""Transductive fine-tuning: supports classified right, and queries classified surely, by moved prototypes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.ops import Pulling, by_distance, class_means, moved_prototypes, one_hot
from zoo.types import Support, Transductive


@dataclass(frozen=True)
class TransductiveFinetune(Transductive):
    """Dhillon et al., equation 8: Adam down the cross-entropy of the supports + the mean entropy of the queries'
    posteriors. The paper moves the whole network; here, as in easyfsl, the backbone stays as it is and the class
    prototypes move, with posterior = softmax(-temperature x Euclidean distance). Steps and rate are the paper's, which
    are meant for a network: at its small rate the prototypes hardly move, so give a larger one."""

    paper: ClassVar[str] = "Dhillon et al., A Baseline for Few-Shot Image Classification, ICLR 2020, arXiv 1909.02729"
    steps: int = 25
    """Steps of Adam an episode."""
    rate: float = 5e-5
    """Learning rate."""
    temperature: float = 1.0
    """Sharpness of the posterior."""

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> tuple[Tensor]:
        x, truth = torch.cat([support.features, query]), one_hot(support.labels, len(support.classes)).T
        start = class_means(support.features, support.labels, len(support.classes))

        def slope(posterior: Tensor) -> Tensor:
            return -(posterior + 1e-12).log() / len(query)

        def scores(w: Tensor) -> Pulling:
            return by_distance(w, x, self.temperature)

        return (moved_prototypes(start, scores, truth, 1.0, slope, self.steps, self.rate),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return by_distance(params[0], features, self.temperature)[0].T
