"""BD-CSPN: prototypes rectified with the queries, shifted onto the supports and labelled by the first prototypes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.ops import class_means, one_hot, unit
from zoo.types import Support, Transductive


@dataclass(frozen=True)
class BDCSPN(Transductive):
    """Bias-diminished cosine prototypes. Queries are moved so that their mean is the supports' (the bias between the
    sets), labelled with the nearest prototype by cosine, and every prototype becomes the mean of its supports and
    queries, weighted by exp(sharpness x cosine) (the bias within the class). Score = cosine of the query, unmoved, to
    the new prototype. All queries are used, not the surest few; as in easyfsl."""

    paper: ClassVar[str] = "Liu et al., Prototype Rectification for Few-Shot Learning, ECCV 2020, arXiv 1911.10713"
    isometric: ClassVar[bool] = True
    sharpness: float = 10.0
    """Factor on the cosine in the weights."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> tuple[Tensor]:
        way = len(support.classes)
        x, moved = unit(support.features), unit(query)
        moved = moved + x.mean(0) - moved.mean(0)
        first = unit(class_means(x, support.labels, way))
        everything = torch.cat([x, moved])
        cosine = unit(everything) @ first.T
        label = torch.cat([support.labels, cosine[len(x) :].argmax(-1)])
        share = one_hot(label, way) * (self.sharpness * (cosine - 1)).exp()
        return (unit((share / share.sum(0)).T @ everything),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return unit(features) @ params[0].T
