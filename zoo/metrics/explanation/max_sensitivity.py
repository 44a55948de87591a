"""Max-sensitivity: the largest relative change of the saliency under tiny changes of the image; lower is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class MaxSensitivity(ExplanationMetric):
    """Yeh et al., NeurIPS 2019, arXiv 1901.09392, definition 4.1, estimated over random draws: max of
    |saliency(image + noise) - saliency(image)| / |saliency(image)|, Euclidean lengths, noise uniform within a radius
    in every pixel and colour, target unchanged; 0 or more. The same noise for every image and explainer; 0 where the
    saliency is all zeros and stays so. A map of zeros that changes counts as 1.

    Raises ZooError where the explainer cannot be asked again.
    """

    about: ClassVar[Literal["robustness"]] = "robustness"
    higher_is_better: ClassVar[bool] = False
    costly: ClassVar[bool] = True
    draws: int = 5
    """Noisy copies of each image."""
    radius: float = 0.02
    """Largest change of a colour value, whose range is 0..1: five grey levels."""

    def measure(self, explained: Explained) -> Tensor:
        if explained.explain is None:
            raise ZooError("max_sensitivity has to explain changed images; use it through `zoo run`")
        random, images = torch.Generator().manual_seed(0), explained.images
        saliency = explained.saliency.flatten(1)
        length = saliency.norm(dim=1)
        worst = torch.zeros_like(length)
        for _ in range(self.draws):
            noise = self.radius * (2 * torch.rand(images.shape[1:], generator=random) - 1)
            again = explained.explain((images + noise.to(images)).clamp(0, 1), explained.target).flatten(1)
            change = (again - saliency).norm(dim=1)
            relative = torch.where(length > 0, change / length.clamp_min(1e-30), (change > 0).to(change))
            worst = torch.maximum(worst, relative)
        return worst.float()
