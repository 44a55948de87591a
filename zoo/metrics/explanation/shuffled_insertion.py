"""Shuffled insertion: insertion by a saliency made with shuffled backbone weights; should be no higher than floors."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import area


@dataclass(frozen=True)
class ShuffledInsertion(ExplanationMetric):
    """Insertion (Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421), 0..1, of the trained classifier, in the order of
    the saliency that the explainer gives with all weights of the backbone in random places (Adebayo et al., Sanity
    Checks for Saliency Maps, NeurIPS 2018, arXiv 1810.03292). Higher than a floor's insertion: the explainer finds
    what the classifier looks at without its weights. For a floor it is its insertion.

    Raises ZooError where there is no randomised classifier.
    """

    about: ClassVar[Literal["randomisation"]] = "randomisation"
    shuffles: ClassVar[str] = "insertion"
    higher_is_better: ClassVar[bool] = False
    steps: int = 10
    """Equal fractions of the pixels that change at a time."""

    def measure(self, explained: Explained) -> Tensor:
        if explained.randomised is None:
            raise ZooError("shuffled_insertion needs a classifier with random weights; use it through `zoo run`")
        return area(explained, self.steps, "blur", "image", saliency=explained.randomised("weights"))
