"""Linear heads on one embedding of the whole picture: class and attributes of its one cell, whose place is given."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from zoo.attribute_heads import regress, squeeze
from zoo.cell_layers import AttributeHead, freeze, known, unfold_backbone, words
from zoo.cell_losses import attribute_loss
from zoo.cell_model import CellModel, FieldKind
from zoo.cells import Cells
from zoo.types import Backbone


@dataclass(frozen=True)
class AttributeHeads(CellModel):
    """A linear layer for the words of each attribute on the backbone's embedding, and one for the class. It never looks
    for a cell: every picture holds one that fills it, of several true cells the largest. With `epochs=0` the backbone
    stays as it is, and the heads are logistic regressions at their minimum."""

    paper: ClassVar[str] = "Tsutsui, Pang, Wen, WBCAtt, NeurIPS 2023, arXiv 2306.13531"
    epochs: int = 20
    batch: int = 64
    c: float = 0.003
    """With `epochs=0`, the inverse of the penalty's strength, as in scikit-learn."""
    frozen: int = 2
    """Levels of a pretrained backbone, the finest first, that stay as they were; 0 = none."""
    smoothing: float = 0.0
    """Of the words in the loss, as people disagree on them: this part of the truth is spread over all words."""

    def network(self, kind: FieldKind, backbone: Backbone, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if kind.pretrained:
                freeze(backbone, self.frozen)
            return _Network(backbone, (kind.classes, *kind.attributes))

    def prepare(self, network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]]) -> None:
        """BatchNorm's statistics where they are folded; with `epochs=0` the heads."""
        assert isinstance(network, _Network)
        if self.epochs:
            unfold_backbone(network, list(islice(fields, 8)))
            return
        embeddings, truth = [], []
        with torch.no_grad():
            for images, cells in fields:
                embeddings.append(network.embedded(images).cpu())
                truth.append(_words(cells, images.device).cpu())
        said = torch.cat(truth)
        rows = (said >= 0).any(1)
        if not rows.any():
            return
        x, project, shift = squeeze(torch.cat(embeddings)[rows].numpy().astype(np.float64))
        weight, bias = regress(x, said[rows].numpy(), network.head.words, self.c)
        layer = network.head.layer
        assert layer is not None
        layer.weight.data.copy_(torch.from_numpy((project @ weight).T))
        layer.bias.data.copy_(torch.from_numpy(bias + shift @ weight))

    def loss(self, network: nn.Module, images: Tensor, truth: Sequence[Cells]) -> Tensor:
        assert isinstance(network, _Network)
        return attribute_loss(network(images), _words(truth, images.device), self.smoothing)

    @torch.no_grad()
    def find(self, network: nn.Module, images: Tensor) -> list[Cells]:
        assert isinstance(network, _Network)
        scores, (height, width) = network(images), images.shape[-2:]
        said, sure = words(scores, len(images)).cpu().numpy(), scores[0].softmax(1).amax(1).cpu().numpy()
        whole = np.array([[0, 0, width, height]], np.float32)
        return [
            Cells(row[:1], whole, np.ones((1, height, width), np.uint8), row[None, 1:], chance[None].astype(np.float32))
            for row, chance in zip(said, sure, strict=True)
        ]


class _Network(nn.Module):
    def __init__(self, backbone: Backbone, sizes: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = AttributeHead(backbone.dim, sizes)

    def embedded(self, images: Tensor) -> Tensor:
        """(b, d); in float32 unless it is being trained."""
        exact = contextlib.nullcontext() if self.training else torch.autocast(images.device.type, enabled=False)
        with exact:
            return self.backbone.embed(self.backbone.hidden(images)).float()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Scores of the classes, then of each attribute's words, [(b, words)]."""
        embedded = self.embedded(images)
        with torch.autocast(images.device.type, enabled=False):
            return self.head(embedded)


def _words(truth: Sequence[Cells], device: torch.device) -> Tensor:
    """(b, 1 + attributes) class and words of each field's largest cell; -1 where not known, or where there is none."""
    rows = []
    for cells in truth:
        one = known(cells, device, 1)
        own = torch.cat([one.labels[:, None], one.attributes], 1)
        rows.append(own if len(own) else torch.full((1, own.shape[1]), -1, device=device))
    return torch.cat(rows)
