"""Floor: a Gaussian at the centre of the image, where cell crops have their cell."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class Centre(Explainer):
    """exp(-r^2 / 2 sigma^2), sigma a quarter of each side. Only the order of its pixels, that of the distance from
    the centre, enters the metrics."""

    paper: ClassVar[str] = "A floor of this project"
    needs: ClassVar[Literal["nothing"]] = "nothing"
    floor: ClassVar[bool] = True

    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        rows, columns = (
            torch.exp(-(((torch.arange(side, device=images.device) + 0.5) / side - 0.5) ** 2) / (2 * 0.25**2))
            for side in images.shape[2:]
        )
        return Explanation((rows[:, None] * columns).repeat(len(images), 1, 1))
