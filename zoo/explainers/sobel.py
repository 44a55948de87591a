"""Floor: strength of the edges, slightly smoothed."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.explaining import Classifier, Explainer, Explanation
from zoo.ops import blur


@dataclass(frozen=True)
class Sobel(Explainer):
    """Length of the 3x3 Sobel gradient of the mean of the three colours, blurred with a sigma of 1/50 of the side.
    It reads the image alone: what an explainer must beat to be more than an edge detector (Adebayo et al., 2018,
    arXiv 1810.03292)."""

    paper: ClassVar[str] = "Sobel & Feldman, An isotropic 3x3 image gradient operator, 1968"
    needs: ClassVar[Literal["nothing"]] = "nothing"
    floor: ClassVar[bool] = True

    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        down = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]], device=images.device)
        grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        gradient = F.conv2d(grey, torch.stack([down, down.T]).unsqueeze(1))
        return Explanation(blur(gradient.norm(dim=1), images.shape[-1] / 50))
