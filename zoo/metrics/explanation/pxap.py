"""PxAP: average precision of the pixels, ranked by saliency, against the real mask; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class PixelAveragePrecision(ExplanationMetric):
    """Choe et al., CVPR 2020, arXiv 2001.07437, section 3: sum over thresholds of precision x gain in recall, a
    threshold at every value that occurs, so that no threshold needs choosing. Theirs pools the pixels of all images;
    here it is one number an image, as the intervals want. 0 where the image has no cell; a map of one value scores the
    cell's share of the image.

    Raises ZooError without masks.
    """

    about: ClassVar[Literal["localisation"]] = "localisation"
    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.masks is None:
            raise ZooError("pxap needs cell masks: use a dataset that has them (`zoo list datasets`)")
        values, order = explained.saliency.flatten(1).sort(dim=1, descending=True)
        hits = explained.masks.flatten(1).gather(1, order).double().cumsum(1)
        last = torch.ones_like(values, dtype=torch.bool)
        last[:, :-1] = values[:, 1:] != values[:, :-1]  # equal pixels pass a threshold together
        reached = torch.where(last, hits, 0).cummax(1).values
        gained = reached.diff(dim=1, prepend=torch.zeros_like(reached[:, :1]))
        precision = hits / torch.arange(1, hits.shape[1] + 1, device=hits.device)
        return ((gained * precision).sum(1) / hits[:, -1].clamp_min(1)).float()
