"""Conv4: four blocks of 3x3 convolution, the small network of the few-shot papers."""

from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.types import Backbone
from zoo.weights import load_file


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


class Conv4(Backbone):
    """Vinyals et al., Matching Networks, NeurIPS 2016: 64 channels a block; here a mean over places ends it,
    so that it takes any image size."""

    name = "conv4"
    paper = "Vinyals et al., Matching Networks for One Shot Learning, NeurIPS 2016"
    dim = 64
    mean_pooled = True

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(_block(3, 64), _block(64, 64), _block(64, 64), _block(64, 64))

    @classmethod
    def known(cls) -> list[str]:
        return [cls.name]

    @classmethod
    def create(cls, name: str, weights: Path | None, pretrained: bool, seed: int) -> "Conv4":
        """Random weights unless a file is given: nobody publishes pretrained ones."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = cls()
        if weights is not None:
            load_file(backbone, weights, name)
        return backbone

    def hidden(self, images: Tensor) -> Tensor:
        return self.tail(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        return self.blocks[:-1]((images - 0.5) / 0.25)

    def tail(self, trunk: Tensor) -> Tensor:
        return self.blocks[-1](trunk)

    def embed(self, hidden: Tensor) -> Tensor:
        return hidden.mean((2, 3))

    def grid(self, hidden: Tensor) -> Tensor:
        return hidden

    def pyramid(self, images: Tensor) -> list[Tensor]:
        maps = [(images - 0.5) / 0.25]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[1:]
