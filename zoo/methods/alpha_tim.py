"""alpha-TIM: TIM with alpha-entropies, which do not insist on equally many queries of each class."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.ops import Pulling, by_product, class_means, moved_prototypes, one_hot, unit
from zoo.types import Support, Transductive


@dataclass(frozen=True)
class AlphaTIM(Transductive):
    """Adam on the prototypes of unit embeddings, down cross-entropy of the supports - H(mean posterior of the
    queries) + mean H(posterior), where H(p) = (1 - sum p^alpha) / (alpha - 1) is Tsallis' entropy and posterior =
    softmax(-temperature / 2 x squared distance). All three terms weigh the same, as in the paper."""

    paper: ClassVar[str] = "Veilleux et al., Realistic Evaluation of Transductive FSL, NeurIPS 2021, arXiv 2204.11181"
    steps: int = 1000
    """Steps of Adam an episode."""
    rate: float = 1e-4
    """Learning rate."""
    temperature: float = 15.0
    """Sharpness of the posterior."""
    alpha: float = 5.0
    """Order of the entropies, not 1 (which is TIM); the paper tunes it: 2 for one shot, 7 for five and more."""

    def __post_init__(self) -> None:
        if self.alpha in (0, 1):
            raise ZooError(f"alpha_tim: alpha={self.alpha:g}: give another number (`tim` is the case of 1)")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> tuple[Tensor]:
        return self.fit_among(torch.cat([support.features, query]), None, support.labels, len(support.classes))

    def fit_among(self, items: Tensor, seen: Tensor | None, labels: Tensor, way: int) -> tuple[Tensor]:
        x, k, truth = unit(items), len(labels), one_hot(labels, way).T
        start = class_means(x[:k] if seen is None else x[seen[:k]], labels, way)
        power = self.alpha - 1

        def slope(posterior: Tensor) -> Tensor:
            varied, sure = posterior.mean(1, keepdim=True) ** power, (posterior + 1e-12) ** power
            return self.alpha / power * (varied - sure) / posterior.shape[1]

        def scores(prototypes: Tensor) -> Pulling:
            return self._from(prototypes, x)

        return (moved_prototypes(start, scores, truth, 1.0, slope, self.steps, self.rate, seen),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return self._from(params[0], unit(features))[0].T

    def _from(self, prototypes: Tensor, features: Tensor) -> Pulling:
        return by_product(prototypes, features, self.temperature)
