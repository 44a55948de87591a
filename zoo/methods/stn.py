"""Siamese twin network: contrastive training, a query goes to the class whose supports are nearest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo.ops import distances, one_hot, unit
from zoo.sampling import balanced, partners
from zoo.types import Learned, Support


class _Params(NamedTuple):
    support: Tensor
    member: Tensor


@dataclass(frozen=True)
class STN(Learned):
    """Tummala & Suresh, Med Biol Eng Comput 61(6), 2023. Loss of Hadsell et al., CVPR 2006: D^2 for a pair of
    one class, max(margin - D, 0)^2 for one of two. What the paper leaves open is our choice: L2 distance of
    unit embeddings, class score = -mean (or -min) distance to the class's supports."""

    paper: ClassVar[str] = "Tummala & Suresh, Explainable Siamese twin network, 2023, doi 10.1007/s11517-023-02804-3"
    pairs: Literal["batch", "paper"] = "batch"
    """batch: all pairs of class-balanced batches, each image embedded once; paper: every image with one sampled
    partner an epoch, half of them of its own class, so that 20 epochs are the paper's 20 pairs an image."""
    margin: float = 1.0
    rule: Literal["mean", "min"] = "mean"

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        if self.pairs == "batch":
            yield from balanced(labels, self.batch, random)
            return
        partner = partners(labels, random)
        for anchors in balanced(labels, self.batch // 2, random):
            yield np.concatenate([anchors, partner[anchors]])

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        features = unit(features)
        if self.pairs == "paper":
            first, second = features.chunk(2)
            distance = ((first - second).square().sum(-1) + 1e-12).sqrt()
            same = torch.eq(*labels.chunk(2))
        else:
            distance = distances(features, features)
            same = labels[:, None] == labels
            upper = torch.ones_like(same).triu(1)
            distance, same = distance[upper], same[upper]
        alike, different = distance[same].square(), (self.margin - distance[~same]).clamp_min(0).square()
        # Each kind of pair weighs half, as in the paper's even pairs: a batch has far more different ones.
        return (alike.sum() / max(len(alike), 1) + different.sum() / max(len(different), 1)) / 2

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        return _Params(unit(support.features), one_hot(support.labels, len(support.classes)))

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        distance = distances(unit(features), params.support)
        if self.rule == "min":
            return -(distance.unsqueeze(-1) + 1e4 * (1 - params.member)).amin(-2)
        return -(distance @ params.member) / params.member.sum(0)
