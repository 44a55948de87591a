"""Pair insertion: area under the similarity to each support while the most salient pixels return; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import pair_area


@dataclass(frozen=True)
class PairInsertion(ExplanationMetric):
    """`insertion` of a similarity instead of a probability, after Hu et al., X-MIR, WACV 2022, doi
    10.1109/WACV51458.2022.00161: cosine similarity of query and support, in the features that the method compares, mean
    over the supports of the target class; -1..1. Each support has its own map where the explainer gives one.

    Raises ZooError without a similarity.
    """

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    steps: int = 10
    """Equal fractions of the pixels that change at a time."""

    def measure(self, explained: Explained) -> Tensor:
        return pair_area(explained, self.steps, "blur", "image")
