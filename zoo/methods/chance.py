"""Chance: scores that have nothing to do with the image's class, the floor of every board."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from zoo.types import Method, Support


class _Params(NamedTuple):
    directions: Tensor


@dataclass(frozen=True)
class Chance(Method):
    """Scores in -1..1 that jump with the smallest change of the embedding, so that they are pseudo-random and
    still a pure function of the image."""

    paper: ClassVar[str] = "none: the expectation is one in way"
    differentiable: ClassVar[bool] = False
    uses_support: ClassVar[bool] = False

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        d = support.features.shape[-1]
        number = support.classes.to(support.features) + 1
        return _Params((torch.arange(1, d + 1, device=number.device) * number.unsqueeze(-1)).cos())

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return (1e4 * features.double() @ params.directions.double().T).sin().float()
