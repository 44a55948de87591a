"""LIME: a linear model of the score over superpixels that come and go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import Scoring, SuperpixelExplainer


@dataclass(frozen=True)
class LIME(SuperpixelExplainer):
    """Ribeiro et al., 2016, algorithm 1, with ridge regression in place of their K-Lasso and their kernel of width 0.25
    on the cosine distance between sets of superpixels. The positive coefficient of each pixel's superpixel."""

    paper: ClassVar[str] = "Ribeiro et al., Why Should I Trust You?, KDD 2016, arXiv 1602.04938"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True

    def attribute(self, scoring: Scoring) -> Callable[..., Any]:
        from captum._utils.models.linear_model import SkLearnRidge
        from captum.attr import Lime

        return Lime(scoring, SkLearnRidge(alpha=1.0), similarity_func=_closeness).attribute


def _closeness(image: Tensor, changed: Tensor, kept: Tensor, **_: Any) -> Tensor:
    return torch.exp(-(((1 - kept.float().mean().sqrt()) / 0.25) ** 2) / 2)
