"""SmoothGrad: the gradient at each pixel, averaged over noisy copies of the image."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring, attributed, generator


@dataclass(frozen=True)
class SmoothGrad(ScoreExplainer):
    """Smilkov et al., 2017: magnitude of the mean gradient, the largest of the three colours.
    The noise follows from the seed and the image, whatever the batch."""

    paper: ClassVar[str] = "Smilkov et al., SmoothGrad, ICML 2017 Workshop, arXiv 1706.03825"
    needs: ClassVar[Literal["pixels"]] = "pixels"
    costly: ClassVar[bool] = True
    draws: int = 16
    """Noisy copies of an image."""
    sigma: float = 0.15
    """Of the noise, where an image spans 0..1."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        from captum import attr

        found = []
        for image, label in zip(images, target, strict=True):
            noise = torch.randn(self.draws, *image.shape, generator=generator(image, seed)).to(image)
            explain, noisy = attr.Saliency(scoring).attribute, image + self.sigma * noise
            gradient = attributed(explain, noisy, label.expand(self.draws), abs=False)
            found.append(gradient.mean(0).abs().amax(0))
        return torch.stack(found)
