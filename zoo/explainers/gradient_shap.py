"""GradientSHAP: expected gradients between noisy copies of the image and randomly chosen empty images."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring, attributed, baseline, generator


@dataclass(frozen=True)
class GradientSHAP(ScoreExplainer):
    """Lundberg & Lee, 2017, as expected gradients (Erion et al., 2021): for each draw a baseline b (the
    image's mean colour or its blurred copy), a noisy image x and a point between them; the mean of (x - b) times the
    gradient at the point, summed over the three colours, its positive part."""

    paper: ClassVar[str] = "Lundberg & Lee, Unified Approach to Interpreting Model Predictions, 2017, arXiv 1705.07874"
    needs: ClassVar[Literal["pixels"]] = "pixels"
    costly: ClassVar[bool] = True
    draws: int = 32
    """Baselines, noises and points of an image."""
    sigma: float = 0.09
    """Of the noise, where an image spans 0..1."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        found = []
        for image, label in zip(images, target, strict=True):
            random = generator(image, seed)
            empty = torch.cat([baseline(image[None], "mean"), baseline(image[None], "blur")])
            empty = empty[torch.randint(2, (self.draws,), generator=random).to(empty.device)]
            way = torch.rand(self.draws, 1, 1, 1, generator=random).to(image)
            noisy = image + self.sigma * torch.randn(empty.shape, generator=random).to(image)
            point = empty + way * (noisy - empty)
            gradient = attributed(attr.Saliency(scoring).attribute, point, label.expand(self.draws), abs=False)
            found.append(((noisy - empty) * gradient).mean(0).sum(0).relu())
        return torch.stack(found)
