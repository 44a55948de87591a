"""Relation network: a small network judges how well a query's maps go with the mean maps of each class."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.ops import class_means, one_hot
from zoo.types import Support


class _Relation(nn.Module):
    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * dim, channels, 3, padding=1)
        pooled = nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveMaxPool2d(5)
        second = nn.Conv2d(channels, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveMaxPool2d(1)
        self.rest = nn.Sequential(*pooled, *second, nn.Flatten(), nn.Linear(channels, 8), nn.ReLU(), nn.Linear(8, 1))


class _Params(NamedTuple):
    of_classes: Tensor
    relation: _Relation


@dataclass(frozen=True)
class Relation(Episodic):
    """Sung et al., CVPR 2018: the concatenated maps of class and query pass two convolution blocks and two linear
    layers; the sigmoid of the score is drawn to 1 for the right class and 0 for the others by the squared error.
    Ours: the mean over supports where the paper adds them up, and pooling that takes a grid of any size."""

    paper: ClassVar[str] = "Sung et al., Learning to Compare: Relation Network, CVPR 2018, arXiv 1711.06025"
    input: ClassVar[Literal["embedding", "maps"]] = "maps"
    channels: int = 64
    """Channels of the two convolutions."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return _Relation(dim, self.channels)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        support, query, truth = self.parts(features, labels)
        found = self.scores(self.fit(state, support), query).sigmoid()
        return F.mse_loss(found, one_hot(truth, len(support.classes)))

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        assert isinstance(state, _Relation)
        means = class_means(support.features.float().flatten(1), support.labels, len(support.classes))
        maps, half = means.unflatten(1, support.features.shape[1:]), support.features.shape[1]
        return _Params(F.conv2d(maps, state.first.weight[:, :half], state.first.bias, padding=1), state)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        """The convolution of a concatenation is the sum of two, so each query is convolved once, not once a class."""
        weight, found = params.relation.first.weight[:, features.shape[1] :], []
        for some in features.split(256):  # maps are large
            pairs = F.conv2d(some.float(), weight, padding=1).unsqueeze(1) + params.of_classes
            found.append(params.relation.rest(pairs.flatten(0, 1)).unflatten(0, pairs.shape[:2]).squeeze(-1))
        return torch.cat(found)
