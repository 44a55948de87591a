"""Siamese twin network: contrastive training, a query goes to the class whose supports are nearest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from zoo.ops import distances, one_hot, unit
from zoo.sampling import balanced, partners
from zoo.types import Learned, Support


@dataclass(frozen=True)
class STN(Learned):
    """Loss of Hadsell et al., CVPR 2006: D^2 for a pair of one class, max(margin - D, 0)^2 for one of two. What the
    paper leaves open is ours: L2 distance of unit embeddings, score = -mean (or -min) distance to the supports."""

    paper: ClassVar[str] = "Tummala & Suresh, Explainable Siamese twin network, 2023, doi 10.1007/s11517-023-02804-3"
    judges: ClassVar[tuple[str, ...]] = ("rule",)
    pairs: Literal["batch", "paper"] = "batch"
    """batch: all pairs of balanced batches; paper: one sampled partner an image and epoch, 20 pairs in 20 epochs"""
    margin: float = 1.0
    """Distance beyond which a pair of two classes costs nothing; unit embeddings are at most 2 apart."""
    rule: Literal["mean", "min"] = "mean"
    """A class's distance: the mean over its supports, or the nearest."""

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        paired = self.pairs == "paper"
        partner = partners(labels, random)
        for anchors in balanced(labels, max(self.batch // 2, 1) if paired else self.batch, random):
            yield np.concatenate([anchors, partner[anchors]]) if paired else anchors

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        features = unit(features)
        if self.pairs == "paper":
            distance = torch.sub(*features.chunk(2)).square().sum(-1).add(1e-12).sqrt()
            same = torch.eq(*labels.chunk(2))
        else:
            upper = torch.ones(len(labels), len(labels), device=labels.device).triu(1).bool()
            distance, same = distances(features, features)[upper], (labels[:, None] == labels)[upper]
        alike, different = distance[same].square(), (self.margin - distance[~same]).clamp_min(0).square()
        # Each kind of pair weighs half, as in the paper's even pairs: a batch has far more different ones.
        return (alike.sum() / max(len(alike), 1) + different.sum() / max(len(different), 1)) / 2

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor, Tensor]:
        return unit(support.features), one_hot(support.labels, len(support.classes))

    def scores(self, params: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        support, member = params
        distance = distances(unit(features), support)
        if self.rule == "min":
            return -(distance.unsqueeze(-1) + 1e4 * (1 - member)).amin(-2)
        return -(distance @ member) / member.sum(0)
