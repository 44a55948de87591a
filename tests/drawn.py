"""Tiny fields for cell models: coloured discs with dark nuclei on a pale ground, all that is known of them, and a
backbone to look at them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from zoo.cell_masks import tight
from zoo.cells import Cells, none
from zoo.types import Backbone

CLASSES, ATTRIBUTES = 3, (2, 3)
_COLOURS = np.array([[0.7, 0.5, 0.8], [0.5, 0.7, 0.8], [0.85, 0.55, 0.55]])


class TinyStages(Backbone):
    """Five stages that halve the size, 8 channels each, with BatchNorm."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            stages = [
                nn.Sequential(nn.Conv2d(before, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
                for before in (3, 8, 8, 8, 8)
            ]
        self.name, self.dim, self.mean_pooled, self.stages = "tiny_stages", 8, True, nn.ModuleList(stages)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        maps = [2 * images - 1]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]

    def hidden(self, images: Tensor) -> Tensor:
        return self.pyramid(images)[-1]

    def embed(self, hidden: Tensor) -> Tensor:
        return hidden.mean((2, 3))

    def grid(self, hidden: Tensor) -> Tensor:
        return hidden


def field(seed: int, cells: int = 2, height: int = 64, width: int = 96) -> tuple[np.ndarray, Cells]:
    """One field (H, W, 3) in 0..1 and its cells, which do not touch: the class is the cytoplasm's colour, the first
    attribute whether the nucleus is small, the second the class again."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] + 0.5
    image = np.full((height, width, 3), 0.92)
    masks, labels, small = [], [], []
    spots: list[tuple[float, float]] = []
    while len(masks) < cells:
        at = (float(random.uniform(14, height - 14)), float(random.uniform(14, width - 14)))
        if any(np.hypot(at[0] - other[0], at[1] - other[1]) < 26 for other in spots):
            continue
        spots.append(at)
        label, little = int(random.integers(CLASSES)), bool(random.integers(2))
        far = np.hypot(y - at[0], x - at[1])
        mask = (far < random.uniform(10, 12)).astype(np.uint8) + (far < (4 if little else 7))
        image[mask == 1] = _COLOURS[label]
        image[mask == 2] = (0.35, 0.15, 0.5)
        masks.append(mask)
        labels.append(label)
        small.append(int(little))
    image = np.clip(image + 0.02 * random.standard_normal(image.shape), 0, 1)
    if not cells:
        return image, none(len(ATTRIBUTES), height, width)
    drawn = np.stack(masks).astype(np.uint8)
    words = np.stack([small, labels], 1).astype(np.int64)
    return image, Cells(np.array(labels), tight(drawn), drawn, words, np.ones(cells, np.float32))


def fields(seeds: Sequence[int], cells: int = 2, height: int = 64, width: int = 96) -> tuple[Tensor, list[Cells]]:
    """Several of them as a batch (b, 3, H, W)."""
    images, truth = zip(*(field(seed, cells, height, width) for seed in seeds), strict=True)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().contiguous(), list(truth)
