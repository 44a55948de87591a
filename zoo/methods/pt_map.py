"""PT-MAP: Gaussian-like features, and prototypes that share the queries out evenly by optimal transport."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.ops import one_hot, squared_distances, unit
from zoo.types import Support, Transductive


class _Params(NamedTuple):
    prototypes: Tensor
    volume: Tensor  # (way,) column factors of the plan, by which every class receives as many queries
    mean: Tensor  # (d,) of the queries


@dataclass(frozen=True)
class PTMAP(Transductive):
    """Square root (equation 1's power transform), unit length, supports and queries each centred on their own mean;
    then in turn Sinkhorn's plan between queries and prototypes (3) and prototypes moved towards the plan's means (6).
    Score = logarithm of a query's row of the last plan but for a constant. Negative features count as 0."""

    paper: ClassVar[str] = "Hu et al., Leveraging the Feature Distribution, ICANN 2021, arXiv 2006.03806"
    assumes_balance: ClassVar[bool] = True
    steps: int = 20
    """Moves of the prototypes."""
    rate: float = 0.2
    """Share of the way that they move; the paper takes 0.4 for one shot."""
    sharpness: float = 10.0
    """Inverse of the plan's entropy penalty, lambda in the paper."""
    centred: bool = True
    """Whether supports and queries are each centred on their mean."""
    sinkhorn: int = 60
    """Scalings of the plan before each move, from where the last ones left it."""

    def compared(self, features: Tensor) -> Tensor:
        return unit((features.clamp_min(0) + 1e-6).sqrt())

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> _Params:
        x, y, way = self.compared(support.features), self.compared(query), len(support.classes)
        mean, member = y.mean(0) * self.centred, one_hot(support.labels, way).T
        z = torch.cat([unit(x - x.mean(0) * self.centred), unit(y - mean)])
        gram = z @ z.T if len(z) < z.shape[1] else None  # says all of prototypes that are means of z by shares
        plan, share, volume = y.new_zeros(way, len(y)), y.new_zeros(way, len(z)), y.new_ones(way, 1)
        for step in range(self.steps + 1):
            aim = torch.cat([member, plan], 1)
            share = share.lerp(aim / aim.sum(1, keepdim=True), self.rate if step else 1)
            inner = share @ z @ z.T if gram is None else share @ gram
            close = 2 * inner[:, len(x) :] - (share * inner).sum(1, keepdim=True)
            near = (self.sharpness * (close - close.amax(0))).exp().clamp_min(1e-30)  # long side last: twice as fast
            for _ in range(self.sinkhorn):
                volume = len(y) / way / (near @ (volume.T @ near).reciprocal().T)
            plan = near * volume / (volume.T @ near)
        return _Params(share @ z, volume.squeeze(1), mean)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        x = unit(self.compared(features) - params.mean)
        return params.volume.log() - self.sharpness * squared_distances(x, params.prototypes)
