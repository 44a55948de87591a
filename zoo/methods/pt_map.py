"""PT-MAP: Gaussian-like features, and prototypes that share the queries out evenly by optimal transport."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
        way, x, y = len(support.classes), self.compared(support.features), self.compared(query)
        mean = y.mean(0) * self.centred
        z = torch.cat([unit(x - x.mean(0) * self.centred), unit(y - mean)])
        # Prototypes are means of z by shares, so that inner products say all, which are worth it where images are few.
        gram = z @ z.T if len(z) < z.shape[1] else None
        member = one_hot(support.labels, way).T
        share, volume = F.pad(member / member.sum(1, keepdim=True), (0, len(y))), member[:, :1] * 0 + 1
        for step in range(self.steps + 1):
            inner = share @ z @ z.T if gram is None else share @ gram
            close = self.sharpness * (2 * inner[:, len(x) :] - (share * inner).sum(1, keepdim=True))
            near = (close - close.amax(0)).exp().clamp_min(1e-30)  # the long side last: twice as fast and more
            for _ in range(self.sinkhorn):
                volume = len(y) / way / (near @ (volume.T @ near).reciprocal().T)
            if step < self.steps:
                found = torch.cat([member, near * volume / (volume.T @ near)], 1)
                share = share + self.rate * (found / found.sum(1, keepdim=True) - share)
        return _Params(share @ z, volume.squeeze(1), mean)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        x = unit(self.compared(features) - params.mean)
        return params.volume.log() - self.sharpness * squared_distances(x, params.prototypes)
