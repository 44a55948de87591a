"""Pointing game: 1 where the most salient pixel lies on the real mask, else 0; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import pixel_order


@dataclass(frozen=True)
class PointingGame(ExplanationMetric):
    """Zhang et al., Excitation Backprop, ECCV 2016, arXiv 1608.00507; theirs forgives 15 pixels, here the pixel must
    lie on the mask itself. Equal maxima: the first in the fixed order of `zoo.perturbation.pixel_order`.

    Raises ZooError without masks.
    """

    about: ClassVar[Literal["localisation"]] = "localisation"
    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.masks is None:
            raise ZooError("pointing_game needs cell masks: use a dataset that has them (`zoo list datasets`)")
        first = pixel_order(explained.saliency)[:, :1]
        return explained.masks.flatten(1).gather(1, first).squeeze(1).float()
