"""Multinomial logistic regression on the supports' embeddings, exact and for many episodes together."""

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
class Logistic(Method):
    """Tian et al., Rethinking Few-shot Image Classification, ECCV 2020: an L2-penalised multinomial logistic
    regression on unit embeddings, refitted for every episode; the minimum is scikit-learn's. Found by the bound of
    Boehning & Lindsay, 1988: each step is a ridge regression whose k x k matrix never changes, sped up by Nesterov's
    momentum, which starts again whenever it points uphill (O'Donoghue & Candes, 2015)."""

    paper: ClassVar[str] = "Tian et al., Rethinking Few-Shot Image Classification, ECCV 2020, arXiv 2003.11539"
    isometric: ClassVar[bool] = True
    c: float = 1.0
    """Inverse of the penalty's strength, as in scikit-learn."""

    def __post_init__(self) -> None:
        if self.c <= 0:
            raise ZooError(f"logistic: c={self.c:g}: give a number above 0")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        x, truth = unit(support.features), one_hot(support.labels, len(support.classes)).T
        mean = x.mean(0)
        kernel = (x - mean) @ (x - mean).T
        # For two classes scikit-learn penalises one weight vector, the difference of ours: half as much.
        penalty = (2 if len(support.classes) == 2 else 1) / self.c
        inverse = torch.linalg.inv(kernel + 2 * penalty * torch.eye(len(x), device=x.device))
        solved = inverse - inverse.mean(0)  # of centred targets
        hat = solved @ kernel + 1 / len(x)  # targets (way, k) -> scores of the ridge regression with intercept
        scores, ahead, age, target = truth * 0, truth * 0, mean[0] * 0 + 1, truth
        for _ in range(round(30 * max(self.c, 1) ** 0.5)):  # as many as the momentum needs for float32's last digits
            target = ahead - 2 * (ahead.softmax(0) - truth)
            new = target @ hat
            age = torch.where(((ahead - new) * (new - scores)).sum() > 0, 1.0, age)  # uphill
            older = (1 + (1 + 4 * age.square()).sqrt()) / 2
            ahead, scores, age = new + (age - 1) / older * (new - scores), new, older
        weight = target @ solved @ (x - mean)
        return _Params(weight, target.mean(1) - weight @ mean)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return unit(features) @ params.weight.T + params.bias
