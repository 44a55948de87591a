"""Kernel SHAP: Shapley values of superpixels, from a weighted linear model of the score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from zoo.attribution import Scoring, SuperpixelExplainer


@dataclass(frozen=True)
class KernelSHAP(SuperpixelExplainer):
    """Lundberg & Lee, 2017, theorem 2, on as many coalitions as there are draws. The positive value of each pixel's
    superpixel."""

    paper: ClassVar[str] = "Lundberg & Lee, Unified Approach to Interpreting Model Predictions, 2017, arXiv 1705.07874"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True

    def attribute(self, scoring: Scoring) -> Callable[..., Any]:
        from captum.attr import KernelShap

        return KernelShap(scoring).attribute
