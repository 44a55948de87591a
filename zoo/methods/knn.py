"""k nearest supports vote; ties go to the class whose voters are nearer."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from zoo.ops import distances, one_hot
from zoo.types import Method, Support


class _Params(NamedTuple):
    support: Tensor
    member: Tensor


@dataclass(frozen=True)
class KNN(Method):
    """Cover & Hart, 1967, with Euclidean distance. Score = votes, minus a tie-break below one vote."""

    paper: ClassVar[str] = "Cover & Hart, Nearest neighbor pattern classification, IEEE Trans Inf Theory 13(1), 1967"
    isometric: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    k: int = 3
    """Supports that vote; all of them where the episode has fewer."""

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        return _Params(support.features, one_hot(support.labels, len(support.classes)))

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        distance = distances(features, params.support)
        near = distance.topk(min(self.k, distance.shape[-1]), largest=False)
        voters = params.member[near.indices]  # (n, k, way)
        nearest = (near.values.unsqueeze(-1) + 1e30 * (1 - voters)).amin(-2).clamp_max(1e29)
        return voters.sum(-2) - 0.5 * nearest / (nearest + 1)
