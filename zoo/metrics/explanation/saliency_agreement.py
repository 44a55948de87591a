"""Saliency agreement: rank correlation with the saliency of the method's own scores; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.ops import rank_correlation


@dataclass(frozen=True)
class SaliencyAgreement(ExplanationMetric):
    """Spearman's correlation, pixel by pixel, with SiamCAM of the same query, or with Grad-CAM where the method does
    not compare embeddings with supports; -1..1. It says whether evidence of another kind lies where the method looks.

    Raises ZooError without such a saliency.
    """

    about: ClassVar[Literal["attributes"]] = "attributes"
    higher_is_better: ClassVar[bool] = True
    needs_heads: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.reference is None:
            raise ZooError("saliency_agreement needs the method's saliency: use `zoo run --explainer attributes`")
        reference = explained.once("reference", explained.reference)
        return rank_correlation(explained.saliency.flatten(1), reference.flatten(1))
