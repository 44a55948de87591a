"""Randomised labels: rank correlation of the saliency with that of shuffled support labels; lower is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.ops import rank_correlation


@dataclass(frozen=True)
class RandomisedLabels(ExplanationMetric):
    """The data randomisation test of Adebayo et al., NeurIPS 2018, arXiv 1810.03292, on the labels that a few-shot
    classifier learns from: those of its supports. Spearman's correlation of the pixels, -1..1. 1: the explainer does
    not care which class it explains. 0 where either map has one value.

    Raises ZooError where there is no randomised classifier.
    """

    about: ClassVar[Literal["randomisation"]] = "randomisation"
    higher_is_better: ClassVar[bool] = False
    costly: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.randomised is None:
            raise ZooError("randomised_labels needs a classifier of shuffled supports; use it through `zoo run`")
        return rank_correlation(explained.saliency.flatten(1), explained.randomised("labels").flatten(1))
