"""Top-k intersection: share of the most salient pixels that lie on the real mask; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import pixel_order


@dataclass(frozen=True)
class TopKIntersection(ExplanationMetric):
    """Theiner et al., Interpretable Semantic Photo Geolocation, WACV 2022, arXiv 2104.14995. Equal values in the fixed
    order of `zoo.perturbation.pixel_order`. 0 where the image has no cell.

    Raises ZooError without masks.
    """

    about: ClassVar[Literal["localisation"]] = "localisation"
    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True
    share: float = 0.02
    """Of the image's pixels that are looked at: 1000 of 224 x 224, the published k; at least one pixel."""

    def measure(self, explained: Explained) -> Tensor:
        if explained.masks is None:
            raise ZooError("top_k_intersection needs cell masks: use a dataset that has them (`zoo list datasets`)")
        pixels = explained.saliency[0].numel()
        top = pixel_order(explained.saliency)[:, : min(max(1, round(self.share * pixels)), pixels)]
        return explained.masks.flatten(1).gather(1, top).float().mean(1)
