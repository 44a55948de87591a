"""Pseudo Jaccard: saliency Jaccard with Otsu masks where there are no real ones; higher is better, never ranked."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.ops import above_quantile, jaccard, otsu_masks


@dataclass(frozen=True)
class PseudoJaccard(ExplanationMetric):
    """As `saliency_jaccard`, on the pixels whose green value lies below Otsu's threshold: mostly the nucleus. Nobody
    has drawn these masks, so the numbers show where the stain is, not where the cell is: explainers that read the same
    (`otsu`, `sobel`, `oracle`) are left out, and nothing is ranked by it. The quantile is `Explained.pseudo_threshold`,
    chosen on validation items alone.

    Raises ZooError without that threshold.
    """

    about: ClassVar[Literal["localisation"]] = "localisation"
    higher_is_better: ClassVar[bool] = True
    needs_threshold: ClassVar[bool] = True
    leaves_out: ClassVar[tuple[str, ...]] = ("otsu", "sobel", "oracle")
    ranked: ClassVar[bool] = False

    def measure(self, explained: Explained) -> Tensor:
        if explained.pseudo_threshold is None:
            raise ZooError("pseudo_jaccard needs a threshold from validation items; use it through `zoo run`")
        masks = explained.once("otsu masks", lambda: otsu_masks(explained.images), large=True)
        return jaccard(above_quantile(explained.saliency, explained.pseudo_threshold), masks)
