"""MetaOptNet: a linear support vector machine, solved differentiably inside every training episode."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.episodic import Episodic
from zoo.ops import one_hot
from zoo.types import Support


@dataclass(frozen=True)
class MetaOptNet(Episodic):
    """Lee et al., CVPR 2019, equations 4 to 8: the multi-class machine of Crammer & Singer without bias, in its dual;
    score = learned scale x inner product with the class's weights. The gradient goes through the solver's steps."""

    paper: ClassVar[str] = "Lee et al., Meta-Learning with Differentiable Convex Optimization, CVPR 2019, 1904.03758"
    c: float = 0.1
    """Price of a support inside the margin."""
    iterations: int = 50
    """Steps of the dual's solver."""
    scale: float = 1.0
    """Where the learned scale starts, and about where it stays: PBC with ImageNet weights wants 10, drawn cells 1."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return nn.ParameterList([torch.tensor(self.scale)])

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor, Tensor]:
        assert isinstance(state, nn.ParameterList)
        x, truth = support.features, one_hot(support.labels, len(support.classes))
        return self._dual(x @ x.T, truth).T @ x, state[0]

    def scores(self, params: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        return params[1] * features @ params[0].T

    def _dual(self, kernel: Tensor, truth: Tensor) -> Tensor:
        """The a (k, way) with least tr(a' K a) / 2 - sum(a * truth) whose rows sum to 0 with a <= c * truth, by
        over-relaxed ADMM. Its step is the kernel's mean eigenvalue without the mean, which converges at any scale."""
        step = (kernel.diagonal().mean() - kernel.mean()).clamp_min(1e-6 * kernel.diagonal().mean() + 1e-12).detach()
        inverse = torch.linalg.inv(kernel + step * torch.eye(len(kernel), device=kernel.device))
        inside = price = torch.zeros_like(truth)
        for _ in range(self.iterations):
            free = inverse @ (truth + step * (inside - price))
            free = 1.6 * free - 0.6 * inside + price
            inside = self.c * truth - _onto_simplex(self.c * truth - free, self.c)
            price = free - inside
        return inside


def _onto_simplex(points: Tensor, total: float) -> Tensor:
    """The nearest rows that are nowhere negative and sum to `total`."""
    high = points.sort(-1, descending=True).values
    level = (high.cumsum(-1) - total) / torch.arange(1, points.shape[-1] + 1, device=points.device)
    return (points - level.gather(-1, (high > level).sum(-1, keepdim=True) - 1)).clamp_min(0)
