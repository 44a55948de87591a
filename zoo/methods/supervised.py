"""Supervised control: cross-entropy on the training split, no episodes, supports ignored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.sampling import balanced
from zoo.types import Learned, Support


class _Params(NamedTuple):
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Supervised(Learned):
    """What the training labels alone are worth: a softmax layer over all of the dataset's classes, trained on the
    same images as the few-shot rows. It needs no support, so it stands beside them as a control."""

    paper: ClassVar[str] = "none: a plain softmax classifier"
    uses_support: ClassVar[bool] = False

    def state(self, dim: int, classes: int) -> nn.Module:
        return nn.Linear(dim, classes)

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        yield from balanced(labels, self.batch, random)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        assert state is not None
        return F.cross_entropy(state(features), labels)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        assert isinstance(state, nn.Linear)
        return _Params(state.weight[support.classes], state.bias[support.classes])

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return features @ params.weight.T + params.bias
