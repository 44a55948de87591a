"""Layers that cell models share: any backbone's maps at the strides they ask for, and true cells as tensors."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.cells import Cells
from zoo.types import Backbone
from zoo.weights import folded, unfold

_PROBE = 64


class Pyramid(nn.Module):
    """Maps of a backbone at given strides, (b, channels[i], ceil(H / stride), ceil(W / stride)), fine to coarse.

    Where the backbone has no map of a stride, the nearest one that it has is scaled: so that Conv4, which ends at 16,
    and a vision transformer, which has one stride only, serve as well.
    """

    def __init__(self, backbone: Backbone, strides: Sequence[int]) -> None:
        super().__init__()
        training = backbone.training
        with torch.no_grad():
            maps = backbone.eval().pyramid(torch.zeros(1, 3, _PROBE, _PROBE, device=_device(backbone)))
        backbone.train(training)
        have = [_PROBE / level.shape[-1] for level in maps]
        self.strides = tuple(strides)
        # Of two equally near the coarser one, which knows more; of one stride the last.
        self.places = [
            min(range(len(have)), key=lambda at: (max(have[at] / stride, stride / have[at]), -at)) for stride in strides
        ]
        self.channels = [maps[place].shape[1] for place in self.places]

    def forward(self, backbone: Backbone, images: Tensor) -> list[Tensor]:
        maps, height, width = backbone.pyramid(images), *images.shape[-2:]
        return [
            scaled(maps[place].float(), -(-height // stride), -(-width // stride))
            for place, stride in zip(self.places, self.strides, strict=True)
        ]


class AttributeHead(nn.Module):
    """One linear layer for all words of all attributes."""

    def __init__(self, dim: int, words: Sequence[int]) -> None:
        super().__init__()
        self.words = list(words)
        self.layer = nn.Linear(dim, sum(words)) if words else None

    def forward(self, features: Tensor) -> list[Tensor]:
        """(..., d) -> scores of each attribute's words, [(..., words)]."""
        return [] if self.layer is None else list(self.layer(features).float().split(self.words, -1))


class Known(NamedTuple):
    """The true cells of one field as tensors."""

    labels: Tensor
    """(k,) long"""
    boxes: Tensor
    """(k, 4) float32, as in `Cells`"""
    masks: Tensor | None
    """(k, H, W) uint8"""
    attributes: Tensor
    """(k, attributes) long"""


def freeze(backbone: Backbone, levels: int) -> None:
    """Learn nothing in what leads to the first `levels` maps of the backbone's pyramid. The last map, which may be the
    only one, is always learned."""
    learned = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    training = backbone.training
    with torch.enable_grad():
        maps = backbone.eval().pyramid(torch.zeros(1, 3, _PROBE, _PROBE, device=_device(backbone)))
        last = min(levels, len(maps) - 1)
        reached = torch.autograd.grad(maps[last - 1].sum(), learned, allow_unused=True) if last > 0 else []
    backbone.train(training)
    for parameter, gradient in zip(learned, reached, strict=False):
        if gradient is not None:
            parameter.requires_grad_(False)


def known(cells: Cells, device: torch.device, most: int | None = None) -> Known:
    """The cells on a device; where there are more than `most`, the largest boxes, in their order."""
    boxes = torch.as_tensor(cells.boxes).float()
    rows = torch.arange(len(boxes))
    if most is not None and len(boxes) > most:
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        rows = area.argsort(descending=True, stable=True)[:most].sort().values
    kept = rows.numpy()
    masks = None if cells.masks is None else torch.from_numpy(cells.masks[kept]).to(device)
    labels, attributes = (torch.as_tensor(part[kept]).long().to(device) for part in (cells.labels, cells.attributes))
    return Known(labels, boxes[rows].to(device), masks, attributes)


def scaled(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps (b, c, h, w) at another size: averaged where they shrink, bilinear where they grow."""
    if maps.shape[-2:] == (height, width):
        return maps
    if maps.shape[-2] >= height and maps.shape[-1] >= width:
        return F.adaptive_avg_pool2d(maps, (height, width))
    return F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)


def words(scores: Sequence[Tensor], cells: int) -> Tensor:
    """The likeliest word of each attribute, (k, attributes) long, of the scores [(k, words)] of k cells."""
    if not scores:
        return torch.zeros(cells, 0, dtype=torch.long)
    return torch.stack([one.argmax(-1) for one in scores], 1)


def unfold_backbone(network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]], batches: int = 8) -> None:
    """Give a backbone with folded BatchNorm the statistics of the first batches: see `zoo.weights.unfold`."""
    backbone = network.backbone
    assert isinstance(backbone, Backbone)
    if folded(backbone):
        unfold(backbone, [images for images, _ in (batch for batch, _ in zip(fields, range(batches), strict=False))])


def _device(module: nn.Module) -> torch.device:
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
