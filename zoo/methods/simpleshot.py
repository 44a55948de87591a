"""SimpleShot: nearest class mean after (centring and) normalising to unit length."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from zoo.ops import class_means, squared_distances, unit
from zoo.types import Method, Support


class _Mean(nn.Module):
    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)


class _Params(NamedTuple):
    prototypes: Tensor
    centre: Tensor
    """(d,) what is taken from every embedding first; 0 but for CL2N"""


@dataclass(frozen=True)
class SimpleShot(Method):
    """UN: features as they are; L2N: unit length; CL2N: unit length after the mean embedding of the training images,
    whose labels nobody looks at, is taken away. Without training images CL2N is L2N."""

    paper: ClassVar[str] = "Wang et al., SimpleShot, 2019, arXiv 1911.04623"
    isometric: ClassVar[bool] = True
    transform: Literal["L2N", "UN", "CL2N"] = "L2N"
    """Of every embedding, before class means are taken."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Between the query and the class mean."""

    @property
    def reads_training(self) -> bool:
        return self.transform == "CL2N"

    def from_training(self, features: Tensor) -> nn.Module | None:
        return _Mean(features.mean(0)) if self.reads_training else None

    def compared(self, features: Tensor) -> Tensor:
        return features if self.transform == "UN" else unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        first = support.features[0]
        centre = state.mean.to(first) if isinstance(state, _Mean) else first.new_zeros(first.shape)
        means = class_means(self.compared(support.features - centre), support.labels, len(support.classes))
        return _Params(means, centre)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        features = features - params.centre
        if self.distance == "cosine":
            return unit(features) @ unit(params.prototypes).T
        return -squared_distances(self.compared(features), params.prototypes)
