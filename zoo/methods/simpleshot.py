"""SimpleShot: nearest class mean after (centring and) normalising to unit length."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from zoo.ops import class_means, squared_distances, unit
from zoo.types import Method, Support


class _Params(NamedTuple):
    prototypes: Tensor


@dataclass(frozen=True)
class SimpleShot(Method):
    """UN: features as they are; L2N: unit length. CL2N, which needs the mean of a base split, is not offered."""

    paper: ClassVar[str] = "Wang et al., SimpleShot, 2019, arXiv 1911.04623"
    isometric: ClassVar[bool] = True
    transform: Literal["L2N", "UN"] = "L2N"
    """Of every embedding, before class means are taken."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Between the query and the class mean."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features) if self.transform == "L2N" else features

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        return _Params(class_means(self.compared(support.features), support.labels, len(support.classes)))

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        if self.distance == "cosine":
            return unit(features) @ unit(params.prototypes).T
        return -squared_distances(self.compared(features), params.prototypes)
