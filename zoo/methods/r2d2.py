"""R2D2: ridge regression onto the class indicators, solved in closed form inside every training episode."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.episodic import Episodic
from zoo.ops import one_hot
from zoo.types import Support


class _Scalars(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_penalty = nn.Parameter(torch.zeros(()))
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.shift = nn.Parameter(torch.zeros(()))


class _Params(NamedTuple):
    weight: Tensor
    scale: Tensor
    shift: Tensor


@dataclass(frozen=True)
class R2D2(Episodic):
    """Bertinetto et al., ICLR 2019, equations 4 to 6: W = X'(XX' + lambda I)^-1 Y by the Woodbury identity, score =
    alpha x W + beta; lambda, alpha and beta are learned. Ours: lambda by its logarithm, so that it stays positive,
    and embeddings over the supports' root mean square length, so that one first lambda suits every backbone."""

    paper: ClassVar[str] = "Bertinetto et al., Meta-learning with Closed-form Solvers, ICLR 2019, arXiv 1805.08136"

    def state(self, dim: int, classes: int) -> nn.Module:
        return _Scalars()

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        assert isinstance(state, _Scalars)
        size = support.features.square().sum(-1).mean().sqrt().clamp_min(1e-12)
        x, truth = support.features / size, one_hot(support.labels, len(support.classes))
        ridge = state.log_penalty.exp() * torch.eye(len(x), device=x.device)
        weight = x.T @ torch.linalg.solve(x @ x.T + ridge, truth)
        return _Params(weight / size, state.scale, state.shift)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return params.scale * features @ params.weight + params.shift
