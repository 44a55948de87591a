"""FEAT: the prototypes of an episode look at each other, and a learned attention adapts them to the episode."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.ops import class_means, squared_distances
from zoo.types import Support


class _Attention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.out, self.norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
        for part in (self.query, self.key, self.value, self.out):
            nn.init.xavier_normal_(part.weight)

    def forward(self, members: Tensor) -> Tensor:
        """A set for a set, (..., n, d) -> (..., n, d): equation 6, without the dropout."""
        likeness = self.query(members) @ self.key(members).mT / members.shape[-1] ** 0.5
        return self.norm(members + self.out(likeness.softmax(-1) @ self.value(members)))


@dataclass(frozen=True)
class FEAT(Episodic):
    """Ye et al., CVPR 2020: score = -mean squared difference to the adapted prototype, times `sharpness`. In training
    the mean of each class's whole adapted set must tell the classes apart as well (equation 8)."""

    paper: ClassVar[str] = "Ye et al., Few-Shot Learning via Set-to-Set Functions, CVPR 2020, arXiv 1812.03664"
    sharpness: float = 10.0
    """Of the softmax; 10 is the paper's temperature of 64 at its 640 dimensions."""
    balance: float = 0.1
    """Weight of the contrastive regulariser."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return _Attention(dim)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        assert state is not None
        classes, number = labels.unique_consecutive(return_inverse=True)
        centres = state(features.unflatten(0, (len(classes), -1))).mean(1)
        regulariser = F.cross_entropy(self.scores((centres,), features), number)
        return super().loss(state, features, labels) + self.balance * regulariser

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        assert state is not None
        return (state(class_means(support.features, support.labels, len(support.classes))),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return -self.sharpness / features.shape[-1] * squared_distances(features, params[0])
