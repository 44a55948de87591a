"""Randomised weights: rank correlation of the saliency with that of shuffled backbone weights; lower is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.ops import rank_correlation


@dataclass(frozen=True)
class RandomisedWeights(ExplanationMetric):
    """Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, arXiv 1810.03292, all layers at once: Spearman's
    correlation of the pixels, -1..1. 1: the explainer ignores the weights. 0 where either map has one value.

    Raises ZooError where there is no randomised classifier.
    """

    about: ClassVar[Literal["randomisation"]] = "randomisation"
    higher_is_better: ClassVar[bool] = False
    costly: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.randomised is None:
            raise ZooError("randomised_weights needs a classifier with random weights; use it through `zoo run`")
        return rank_correlation(explained.saliency.flatten(1), explained.randomised("weights").flatten(1))
