"""Logistic regression of scikit-learn on the supports' embeddings."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.ops import unit
from zoo.types import Method, Support


class _Params(NamedTuple):
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Logistic(Method):
    """Tian et al., Rethinking Few-shot Image Classification, ECCV 2020: an L2-penalised multinomial logistic
    regression on unit embeddings, refitted for every episode."""

    paper: ClassVar[str] = "Tian et al., Rethinking Few-Shot Image Classification, ECCV 2020, arXiv 2003.11539"
    mappable: ClassVar[bool] = False
    c: float = 1.0
    """Inverse of the penalty's strength, as in scikit-learn."""

    def __post_init__(self) -> None:
        if self.c <= 0:
            raise ZooError(f"logistic: c={self.c:g}: give a number above 0")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        from sklearn.linear_model import LogisticRegression

        head = LogisticRegression(C=self.c, max_iter=1000)
        head.fit(unit(support.features).cpu().numpy(), support.labels.cpu().numpy())
        weight = torch.as_tensor(head.coef_).to(support.features)
        bias = torch.as_tensor(head.intercept_).to(support.features)
        if len(support.classes) == 2:  # scikit-learn keeps one row for two classes
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        return _Params(weight, bias)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return unit(features) @ params.weight.T + params.bias
