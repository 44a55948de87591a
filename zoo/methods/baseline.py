"""Baseline: softmax training on the base classes, then a new linear head on the supports of each episode."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.ops import descend, one_hot
from zoo.sampling import balanced
from zoo.types import Learned, Support


class _Params(NamedTuple):
    weight: Tensor
    size: Tensor


@dataclass(frozen=True)
class Baseline(Learned):
    """Chen et al., ICLR 2019: cross-entropy training, then a fresh softmax layer on the frozen backbone, 100 steps
    of gradient descent with momentum 0.9 and weight decay. Ours: steps on all supports at once, from zero, so that
    nothing is drawn; features over the supports' root mean square length, so that one rate suits every backbone."""

    paper: ClassVar[str] = "Chen et al., A Closer Look at Few-shot Classification, ICLR 2019, arXiv 1904.04232"
    head_steps: int = 100
    """Steps of gradient descent on each episode's head."""
    head_rate: float = 1.0
    """Learning rate of the episode's head."""
    head_decay: float = 1e-3
    """Weight decay of the episode's head."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return nn.Linear(dim, classes)

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        yield from balanced(labels, self.batch, random)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        assert state is not None
        return F.cross_entropy(state(features), labels)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        size = support.features.square().sum(-1).mean().sqrt().clamp_min(1e-12)
        x, truth = _with_one(support.features / size), one_hot(support.labels, len(support.classes))

        def gradient(weight: Tensor) -> Tensor:
            return ((x @ weight.T).softmax(-1) - truth).T @ x / len(x) + self.head_decay * weight

        return _Params(descend(truth.T @ x * 0, gradient, self.head_steps, self.head_rate), size)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return _with_one(features / params.size) @ params.weight.T


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1)
