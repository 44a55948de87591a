"""Label propagation: labels spread from the supports over a graph of all the episode's images."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.ops import one_hot, same_image, squared_distances, unit
from zoo.types import Support, Transductive


class _Params(NamedTuple):
    nodes: Tensor
    """(k + q, d) supports and queries, of unit length"""
    is_query: Tensor
    """(k + q,) bool"""
    labels: Tensor
    """(k + q, way) the spread labels over the root of the node's degree"""


@dataclass(frozen=True)
class LabelPropagation(Transductive):
    """Zhou et al., Learning with Local and Global Consistency: F = (I - alpha S)^-1 Y, where S is the affinity
    exp(-gamma x squared distance) between unit embeddings over the roots of both degrees, and nothing is its own
    neighbour; scikit-learn's `LabelSpreading`, solved exactly. It makes a query's row the affinity-weighted sum of the
    others' rows, each over the root of its degree, and by that an image that is no query is judged too."""

    paper: ClassVar[str] = "Zhou et al., NIPS 2003; few-shot: Liu et al., ICLR 2019, arXiv 1805.10002"
    isometric: ClassVar[bool] = True
    gamma: float = 20.0
    """Steepness of the affinity, as in scikit-learn."""
    alpha: float = 0.5
    """Share that a node takes from its neighbours, above 0 and below 1."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ZooError(f"label_propagation: alpha={self.alpha:g}: give a number above 0 and below 1")

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> _Params:
        nodes, k = unit(torch.cat([support.features, query])), len(support.labels)
        kind = torch.arange(len(nodes), device=nodes.device) >= k
        apart = squared_distances(nodes, nodes)
        own = same_image(apart) & (kind.unsqueeze(-1) == kind)
        affinity = (-self.gamma * apart).exp().masked_fill(own, 0)
        root = affinity.sum(-1).clamp_min(1e-30).sqrt()
        spread = torch.eye(len(nodes), device=nodes.device) - self.alpha * affinity / root / root.unsqueeze(-1)
        member = one_hot(support.labels, len(support.classes))
        given = torch.cat([member, member.new_zeros(len(query), member.shape[-1])])
        return _Params(nodes, kind, torch.linalg.solve(spread, given).clamp_min(1e-30) / root.unsqueeze(-1))

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        apart = squared_distances(unit(features), params.nodes)
        reach = (-self.gamma * apart).masked_fill(same_image(apart) & params.is_query, -1e9)
        most = reach.amax(-1, keepdim=True)  # one product: (q, nodes, way) numbers would not fit with many queries
        return ((reach - most).exp() @ params.labels).clamp_min(1e-38).log() + most
