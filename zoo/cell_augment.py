"""Random views of fields with all that is known of their cells."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.cells import Cells


def augment(images: Tensor, truth: Sequence[Cells], random: torch.Generator) -> tuple[Tensor, list[Cells]]:
    """Mirror left and right, mirror up and down, turn by 90 degrees (square fields only, so that a batch keeps its
    size), and vary brightness, contrast and the three colour gains, each by up to 10 %, gains by up to 5 %.

    (b, 3, H, W) in 0..1 and the cells of each field -> the same, new; what is given stays as it is.
    """
    square = images.shape[-1] == images.shape[-2]
    fields, cells = [], []
    for image, known in zip(images, truth, strict=True):
        mirror, flip, turn = (torch.rand(3, generator=random) < 0.5).tolist()
        image, known = _turned(image, known, mirror, flip, turn and square)
        fields.append(image)
        cells.append(known)
    images = torch.stack(fields)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand((len(images), channels, 1, 1), generator=random)
        return (low + (high - low) * values).to(images.device)

    mean = images.mean((2, 3), keepdim=True)
    images = mean + (images - mean) * uniform(0.9, 1.1)
    return (images * uniform(0.9, 1.1) * uniform(0.95, 1.05, 3)).clamp(0, 1), cells


def _turned(image: Tensor, cells: Cells, mirror: bool, flip: bool, turn: bool) -> tuple[Tensor, Cells]:
    """A field (3, H, W) mirrored left-right, flipped up-down, and reflected at its diagonal, in this order."""
    height, width = image.shape[-2:]
    left, top, right, bottom = np.array(cells.boxes, np.float32).reshape(-1, 4).T
    masks = cells.masks
    if mirror:
        image, left, right = image.flip(-1), width - right, width - left
        masks = None if masks is None else masks[..., ::-1]
    if flip:
        image, top, bottom = image.flip(-2), height - bottom, height - top
        masks = None if masks is None else masks[..., ::-1, :]
    if turn:
        image, left, top, right, bottom = image.transpose(-1, -2), top, left, bottom, right
        masks = None if masks is None else masks.swapaxes(-1, -2)
    boxes = np.stack([left, top, right, bottom], 1)
    return image, cells._replace(boxes=boxes, masks=None if masks is None else masks.copy())
