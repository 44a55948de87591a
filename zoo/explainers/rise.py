"""RISE: the score of the image seen through random masks, summed over the masks."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import Baseline, ScoreExplainer, Scoring, baseline
from zoo.ops import upsample


@dataclass(frozen=True)
class RISE(ScoreExplainer):
    """Petsiuk et al., 2018, less the mean score, which only adds noise to it: the covariance of score and
    mask, its positive part. The masks follow from the seed, the same for every image."""

    paper: ClassVar[str] = "Petsiuk et al., RISE, BMVC 2018, arXiv 1806.07421"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True
    masks: int = 256
    """Each a pass; half of a mask's cells show the image."""
    cells: int = 7
    """Of a mask, along a side."""
    baseline: Baseline = "mean"
    """What hidden places show: the image's mean colour, its blurred copy, or black, as published."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        masks = _masks(self.masks, self.cells, images.shape[2:], seed).to(images)
        found = []
        for image, empty, label in zip(images, baseline(images, self.baseline), target, strict=True):
            seen = (empty + part.unsqueeze(1) * (image - empty) for part in masks.split(64))
            values = torch.cat([scoring.values(part, label.expand(len(part))) for part in seen])
            found.append(torch.einsum("m,mhw->hw", values - values.mean(), masks) / len(masks))
        return torch.stack(found).relu()


def _masks(count: int, cells: int, sides: torch.Size, seed: int) -> Tensor:
    height, width = sides
    random = torch.Generator().manual_seed(seed)
    down, right = -(-height // cells), -(-width // cells)
    grid = (torch.rand(count, cells + 1, cells + 1, generator=random) < 0.5).float()
    large = upsample(grid, (cells + 1) * down, (cells + 1) * right)
    shifts = zip(*(torch.randint(step, (count,), generator=random).tolist() for step in (down, right)), strict=True)
    return torch.stack([one[y : y + height, x : x + width] for one, (y, x) in zip(large, shifts, strict=True)])
