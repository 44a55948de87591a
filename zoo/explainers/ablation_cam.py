"""Ablation-CAM: feature maps weighted by how far the score falls without each of them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import ScoreExplainer, Scoring


@dataclass(frozen=True)
class AblationCAM(ScoreExplainer):
    """Desai & Ramaswamy, 2020: weight = y - y_k with map k set to 0. Their division by y, one number
    an image, is left out: it changes no order, and turns everything round where a score is negative, as distances are.
    Only `embed` and the head run again."""

    paper: ClassVar[str] = "Desai & Ramaswamy, Ablation-CAM, WACV 2020, doi 10.1109/WACV45572.2020.9093360"
    needs: ClassVar[Literal["scores"]] = "scores"
    channels: int = 64
    """Only the strongest maps, by their mean magnitude; the others get weight 0."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        hidden, grid = scoring.backbone.hidden(images), scoring.backbone.grid
        maps = grid(hidden).float()
        strongest = maps.abs().mean((2, 3)).topk(min(self.channels, maps.shape[1])).indices
        whole = scoring.from_hidden(hidden).gather(1, target[:, None])
        weights = torch.zeros_like(maps[:, :, 0, 0])
        for row, (one, channels) in enumerate(zip(hidden, strongest, strict=True)):
            without = one.repeat(len(channels), *[1] * one.dim())
            grid(without)[torch.arange(len(channels)), channels] = 0  # the grid is a view of the hidden tensor
            fall = whole[row] - scoring.from_hidden(without)[:, target[row]]
            weights[row, channels] = fall
        return torch.einsum("nc,nchw->nhw", weights, maps).relu()
