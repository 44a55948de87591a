"""Floor: how far each pixel's green value lies below Otsu's threshold, that is, how dark its stain is."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class Otsu(Explainer):
    """Otsu's threshold on the green channel, where Romanowsky-stained nuclei are darkest. Soft, not 0 or 1: zero
    above the threshold, the depth below it, so that the darkest pixels come first. An image of one green value
    gets zeros."""

    paper: ClassVar[str] = "Otsu, A threshold selection method, 1979, doi 10.1109/TSMC.1979.4310076"
    needs: ClassVar[Literal["nothing"]] = "nothing"
    floor: ClassVar[bool] = True

    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        from skimage.filters import threshold_otsu

        green = images[:, 1]
        thresholds = [float(threshold_otsu(channel)) for channel in green.cpu().numpy()]
        return Explanation((torch.tensor(thresholds, device=images.device)[:, None, None] - green).relu())
