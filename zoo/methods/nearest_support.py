"""Nearest support: a query goes to the class of the one support that is most like it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from zoo.ops import distances, one_hot, unit
from zoo.types import Method, Support


@dataclass(frozen=True)
class NearestSupport(Method):
    """The nearest-neighbour rule of Cover & Hart, 1967: score = -distance to the class's nearest support. Unlike
    `knn` with k = 1 it has a score, and a gradient, for every class."""

    paper: ClassVar[str] = "Cover & Hart, Nearest neighbor pattern classification, IEEE Trans Inf Theory 13(1), 1967"
    isometric: ClassVar[bool] = True
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Between query and support; cosine: the Euclidean distance of unit embeddings, which ranks alike."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features) if self.distance == "cosine" else features

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor, Tensor]:
        return self.compared(support.features), one_hot(support.labels, len(support.classes))

    def scores(self, params: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        support, member = params
        distance = distances(self.compared(features), support)
        return -(distance.unsqueeze(-1) + 1e30 * (1 - member)).amin(-2)
