"""Score-CAM: feature maps weighted by the score of the image seen through each of them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import Baseline, ScoreExplainer, Scoring, baseline, lift
from zoo.ops import upsample


@dataclass(frozen=True)
class ScoreCAM(ScoreExplainer):
    """Wang et al., 2020: each map, upsampled and scaled to 0..1, blends the image with the
    baseline; weight = softmax over the maps of what is explained. The baseline's own score cancels in it.
    Maps that add up to nothing positive, as those of transformers may, keep their order, lifted by their minimum."""

    paper: ClassVar[str] = "Wang et al., Score-CAM, CVPR Workshops 2020, arXiv 1910.01279"
    needs: ClassVar[Literal["scores"]] = "scores"
    costly: ClassVar[bool] = True
    channels: int = 64
    """Only the strongest maps, by their mean magnitude; each costs a pass."""
    baseline: Baseline = "mean"
    """What shows where a map is 0: the image's mean colour, its blurred copy, or black, as published."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        maps = scoring.backbone.grid(scoring.backbone.hidden(images)).float()
        strongest = maps.abs().mean((2, 3)).topk(min(self.channels, maps.shape[1])).indices
        found = []
        for image, empty, own, label in zip(
            images, baseline(images, self.baseline), [one[rows] for one, rows in zip(maps, strongest, strict=True)],
            target, strict=True,
        ):  # fmt: skip
            seen = upsample(own, *image.shape[1:])
            low, high = seen.amin((1, 2), True), seen.amax((1, 2), True)
            seen = ((seen - low) / (high - low + 1e-8)).unsqueeze(1)
            weights = scoring.values(empty + seen * (image - empty), label.expand(len(own))).softmax(0)
            found.append(torch.einsum("c,chw->hw", weights, own))
        return lift(torch.stack(found))
