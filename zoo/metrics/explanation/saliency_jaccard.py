"""Saliency Jaccard: overlap of the most salient pixels with the real mask; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.ops import above_quantile, jaccard


@dataclass(frozen=True)
class SaliencyJaccard(ExplanationMetric):
    """|A and B| / |A or B| of the pixels above a quantile of the image's own saliency and the cell. The quantile is
    `Explained.threshold`, chosen on validation items alone (Choe et al., CVPR 2020, arXiv 2001.07437) by
    `zoo.ops.best_threshold`. 0 where the image has no cell.

    Raises ZooError without masks or threshold.
    """

    about: ClassVar[Literal["localisation"]] = "localisation"
    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True
    needs_threshold: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.masks is None or explained.threshold is None:
            raise ZooError("saliency_jaccard needs cell masks: use a dataset that has them (`zoo list datasets`)")
        return jaccard(above_quantile(explained.saliency, explained.threshold), explained.masks)
