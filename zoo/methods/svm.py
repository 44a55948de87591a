"""Linear support vector machine: one class against the rest, squared hinge loss, refitted for every episode."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.ops import one_hot, unit
from zoo.types import Method, Support


@dataclass(frozen=True)
class SVM(Method):
    """scikit-learn's `LinearSVC` on unit embeddings: min |w|^2 / 2 + c sum max(0, 1 - y (w . x))^2, where x has a
    constant 1 for the intercept. Chapelle, Training a Support Vector Machine in the Primal, 2007: Newton's step solves
    a linear system of the supports inside the margin, and a handful of steps end at the exact minimum. The step's
    length is the best of seven (ours), so that episodes are fitted together without a line search."""

    paper: ClassVar[str] = "Cortes & Vapnik, Support-Vector Networks, Machine Learning 20, 1995"
    isometric: ClassVar[bool] = True
    c: float = 1.0
    """Inverse of the penalty's strength, as in scikit-learn."""
    steps: int = 20
    """Newton steps; about five are needed."""

    def __post_init__(self) -> None:
        if self.c <= 0:
            raise ZooError(f"svm: c={self.c:g}: give a number above 0")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        x, side = _extended(unit(support.features)), 2 * one_hot(support.labels, len(support.classes)).T - 1
        kernel, eye = x @ x.T, torch.eye(len(x), device=x.device)
        lengths = torch.tensor([2.0**-power for power in range(7)], device=x.device).view(-1, 1, 1)
        beta = torch.zeros_like(side)  # (way, k): w = beta @ x

        def cost(beta: Tensor) -> Tensor:
            value = beta @ kernel
            hinge = (1 - side * value).clamp_min(0)
            return (beta * value).sum(-1) / 2 + self.c * hinge.square().sum(-1)

        for _ in range(self.steps):
            inside = (side * (beta @ kernel) < 1).float().unsqueeze(-1)  # (way, k, 1)
            newton = torch.linalg.solve(eye / (2 * self.c) + inside * kernel, inside.squeeze(-1) * side)
            tried = beta + lengths * (newton - beta)  # (7, way, k)
            best = cost(tried).argmin(0)
            beta = tried.gather(0, best.view(1, -1, 1).expand(1, *beta.shape)).squeeze(0)
        return (beta @ x,)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return _extended(unit(features)) @ params[0].T


def _extended(features: Tensor) -> Tensor:
    """With a constant 1 as the last feature."""
    return torch.cat([features, torch.ones_like(features[..., :1])], -1)
