"""Ridge classifier: least squares to +1 and -1 with an L2 penalty, solved in closed form for every episode."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.ops import one_hot, unit
from zoo.types import Method, Support


class _Params(NamedTuple):
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Ridge(Method):
    """Ridge regression of the class indicators on unit embeddings, with a free intercept, as scikit-learn's
    `RidgeClassifier`. Solved among the k supports (Woodbury), which is what makes it cheap inside an episode."""

    paper: ClassVar[str] = "Hoerl & Kennard, Ridge Regression, Technometrics 12(1), 1970; few-shot: arXiv 1805.08136"
    isometric: ClassVar[bool] = True
    alpha: float = 1.0
    """Weight of the penalty, as in scikit-learn."""

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ZooError(f"ridge: alpha={self.alpha:g}: give a number above 0")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        x, target = unit(support.features), 2 * one_hot(support.labels, len(support.classes)) - 1
        mean, level = x.mean(0), target.mean(0)
        centred = x - mean
        penalty = self.alpha * torch.eye(len(x), device=x.device)
        weight = torch.linalg.solve(centred @ centred.T + penalty, target - level).T @ centred
        return _Params(weight, level - weight @ mean)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return unit(features) @ params.weight.T + params.bias
