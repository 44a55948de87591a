"""TIM: prototypes moved until the queries' predictions are sure, each by itself, and varied, taken together."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.ops import Pulling, by_cosine, by_product, class_means, moved_prototypes, one_hot, unit
from zoo.types import Support, Transductive


@dataclass(frozen=True)
class TIM(Transductive):
    """Transductive information maximisation by gradient descent (TIM-GD): Adam on the prototypes of unit embeddings,
    down weight x cross-entropy of the supports - H(mean posterior of the queries) + conditional x mean H(posterior),
    with posterior = softmax(-temperature / 2 x squared distance). The backbone stays as it is, as in the paper."""

    paper: ClassVar[str] = "Boudiaf et al., Transductive Information Maximization, NeurIPS 2020, arXiv 2008.11297"
    assumes_balance: ClassVar[bool] = True
    steps: int = 1000
    """Steps of Adam an episode."""
    rate: float = 1e-4
    """Learning rate."""
    temperature: float = 15.0
    """Sharpness of the posterior."""
    weight: float = 0.1
    """Of the supports' cross-entropy."""
    marginal: float = 1.0
    """Weight of the entropy of the queries' mean posterior, which is made large."""
    conditional: float = 0.1
    """Weight of the mean entropy of each query's posterior, which is made small."""
    similarity: Literal["euclidean", "cosine"] = "euclidean"
    """cosine: posterior = softmax(temperature x cosine), as some write it."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> tuple[Tensor]:
        return self.fit_among(torch.cat([support.features, query]), None, support.labels, len(support.classes))

    def fit_among(self, items: Tensor, seen: Tensor | None, labels: Tensor, way: int) -> tuple[Tensor]:
        x, k, truth = unit(items), len(labels), one_hot(labels, way).T
        start = class_means(x[:k] if seen is None else x[seen[:k]], labels, way)

        def slope(posterior: Tensor) -> Tensor:
            varied, sure = posterior.mean(1, keepdim=True).log(), (posterior + 1e-12).log()
            return (self.marginal * varied - self.conditional * sure) / posterior.shape[1]

        def scores(prototypes: Tensor) -> Pulling:
            return self._from(prototypes, x)

        return (moved_prototypes(start, scores, truth, self.weight, slope, self.steps, self.rate, seen),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return self._from(params[0], unit(features))[0].T

    def _from(self, prototypes: Tensor, features: Tensor) -> Pulling:
        by = by_cosine if self.similarity == "cosine" else by_product
        return by(prototypes, features, self.temperature)
