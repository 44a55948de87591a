"""Matching network: supports vote for their class with softmax attention over cosine similarity."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from zoo.episodic import Episodic
from zoo.ops import one_hot, unit
from zoo.types import Support


class _Params(NamedTuple):
    support: Tensor
    member: Tensor


@dataclass(frozen=True)
class Matching(Episodic):
    """Vinyals et al., NeurIPS 2016, equation 1, without full context embeddings: score = log of the attention on the
    class's supports. The backbone stays as it is given, unless `epochs` says to train it on episodes."""

    paper: ClassVar[str] = "Vinyals et al., Matching Networks for One Shot Learning, NeurIPS 2016, arXiv 1606.04080"
    epochs: int = 0
    """Rounds through the training images, in episodes; 0 = the backbone as it is given."""
    sharpness: float = 1.0
    """Factor on the cosine before the softmax; the paper has none."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        return _Params(unit(support.features), one_hot(support.labels, len(support.classes)))

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        attention = (self.sharpness * unit(features) @ params.support.T).softmax(-1)
        return (attention @ params.member + 1e-12).log()
