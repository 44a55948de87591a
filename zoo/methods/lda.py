"""Linear discriminant analysis with a shrunk covariance, shared by all classes."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.ops import class_means, one_hot, unit
from zoo.types import Method, Support


class _Params(NamedTuple):
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class LDA(Method):
    """Fisher's discriminant on unit embeddings, as scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr")`: the
    covariance within classes is (1 - shrinkage) of the supports' own plus shrinkage of a sphere of the same trace,
    inverted among the k supports (Woodbury). With one support a class there is no spread to measure: the sphere alone,
    which is the nearest class mean. That, and the default, are ours."""

    paper: ClassVar[str] = "Fisher, 1936; shrinkage: Ledoit & Wolf, J Multivariate Anal 88(2), 2004"
    shrinkage: float = 0.5
    """Share of the sphere, above 0 and at most 1."""

    def __post_init__(self) -> None:
        if not 0 < self.shrinkage <= 1:
            raise ZooError(f"lda: shrinkage={self.shrinkage:g}: give a number above 0, 1 or less")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        x, member = unit(support.features), one_hot(support.labels, len(support.classes))
        means = class_means(x, support.labels, len(support.classes))
        within = (x - member @ means) / len(x) ** 0.5
        trace = within.square().sum()
        some = trace > 1e-8
        sphere = torch.where(some, self.shrinkage * trace / x.shape[-1], 1.0)
        share = (1 - self.shrinkage) * some / sphere
        inner = torch.eye(len(x), device=x.device) + share * within @ within.T
        weight = (means - share * torch.linalg.solve(inner, within @ means.T).T @ within) / sphere
        prior = (member.sum(0) / len(x)).log()
        return _Params(weight, prior - (weight * means).sum(-1) / 2)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return unit(features) @ params.weight.T + params.bias
