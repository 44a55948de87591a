"""LaplacianShot: the nearest prototype, where neighbouring queries pull each other into the same class."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.ops import class_means, same_image, squared_distances, unit
from zoo.types import Support, Transductive


class _Params(NamedTuple):
    prototypes: Tensor
    query: Tensor
    """(q, d) of unit length"""
    assignment: Tensor
    """(way, q) soft assignments before the last update"""


@dataclass(frozen=True)
class LaplacianShot(Transductive):
    """Equation 7, iterated: assignment = softmax(-squared distance to the prototypes + pull x the summed assignments
    of the nearest other queries), on unit embeddings. An image that is no query takes its neighbours' assignments in
    the same way. The prototypes are the plain class means; rectifying them first is what `bd_cspn` does."""

    paper: ClassVar[str] = "Ziko et al., Laplacian Regularized Few-Shot Learning, ICML 2020, arXiv 2006.15486"
    isometric: ClassVar[bool] = True
    steps: int = 20
    """Updates of the assignments."""
    neighbours: int = 2
    """Other queries that pull at each; the authors' code says 3 and counts the query itself."""
    pull: float = 0.7
    """Weight of the neighbours, lambda in the paper."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> _Params:
        x, y = unit(support.features), unit(query)
        prototypes = class_means(x, support.labels, len(support.classes))
        alone, near = -squared_distances(prototypes, y), self._near(y, y)
        assignment = alone.softmax(0)
        for _ in range(self.steps - 1):
            assignment = (alone + self.pull * assignment[:, near].sum(-1)).softmax(0)
        return _Params(prototypes, y, assignment)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        x = unit(features)
        pulled = params.assignment[:, self._near(x, params.query)].sum(-1)
        return self.pull * pulled.T - squared_distances(x, params.prototypes)

    def _near(self, features: Tensor, query: Tensor) -> Tensor:
        """Numbers of the nearest queries of each feature, itself left out: (n, neighbours)."""
        apart = squared_distances(features, query)
        apart = apart.masked_fill(same_image(apart), torch.inf)
        return apart.topk(min(self.neighbours, len(query) - 1), largest=False).indices
