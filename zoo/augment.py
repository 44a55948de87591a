"""Random views of training images: a cell has no up, and every smear is stained a little differently."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, random: torch.Generator, among: int | None = None, rows: Tensor | None = None) -> Tensor:
    """Rotate by any angle, mirror, zoom by up to 10 %, shift by up to 5 %, and vary brightness, contrast and the
    three colour gains by up to 10 %. (n, 3, H, W) in 0..1 -> the same; borders are mirrored.

    Where the images are the `rows` (n,) of a batch `among` so many, they become what they would become in it.
    """
    n = len(images)
    drawn = n if among is None else among

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        values = torch.rand((drawn, *shape), generator=random)
        return (low + (high - low) * (values if rows is None else values[rows])).to(images.device)

    angle, zoom = uniform(-math.pi, math.pi), uniform(0.9, 1.1)
    mirror = uniform(-1, 1).sign()
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    shift = uniform(-0.05, 0.05, 2)
    matrix = torch.stack([cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]], 1)
    grid = F.affine_grid(matrix.view(n, 2, 3), list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    mean = images.mean((2, 3), keepdim=True)
    images = mean + (images - mean) * uniform(0.9, 1.1, 1, 1, 1)
    return (images * uniform(0.9, 1.1, 1, 1, 1) * uniform(0.95, 1.05, 3, 1, 1)).clamp(0, 1)
