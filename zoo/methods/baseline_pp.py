"""Baseline++: as baseline, with a head that compares by cosine, both in training and in each episode."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.ops import class_means, descend, one_hot, unit
from zoo.sampling import balanced
from zoo.types import Learned, Support


@dataclass(frozen=True)
class BaselinePP(Learned):
    """Chen et al., ICLR 2019: softmax over scaled cosines to one weight vector a class; for an episode these are
    learned anew on the frozen backbone, 100 steps of gradient descent with momentum 0.9. Ours: steps on all supports
    at once, from the means of their unit embeddings, so that nothing is drawn."""

    paper: ClassVar[str] = "Chen et al., A Closer Look at Few-shot Classification, ICLR 2019, arXiv 1904.04232"
    scale: float = 10.0
    """Factor on the cosine before the softmax."""
    head_steps: int = 100
    """Steps of gradient descent on each episode's head."""
    head_rate: float = 0.01
    """Learning rate of the episode's head."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return nn.Linear(dim, classes, bias=False)

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        yield from balanced(labels, self.batch, random)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(state, nn.Linear)
        return F.cross_entropy(self.scores((state.weight,), features), labels)

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        x, truth = unit(support.features), one_hot(support.labels, len(support.classes))

        def gradient(weight: Tensor) -> Tensor:
            length = weight.norm(dim=-1, keepdim=True).clamp_min(1e-6)
            toward = weight / length
            pull = self.scale * ((self.scale * x @ toward.T).softmax(-1) - truth).T @ x / len(x)
            return (pull - (pull * toward).sum(-1, keepdim=True) * toward) / length  # what turns the vector

        start = class_means(x, support.labels, len(support.classes))
        return (descend(start, gradient, self.head_steps, self.head_rate),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return self.scale * unit(features) @ unit(params[0]).T
