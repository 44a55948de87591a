"""HemaX: a DETR with ten queries, a mask head of two channels (nucleus, cytoplasm) and a head for attributes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss
from transformers import DetrConfig
from transformers.models.detr.modeling_detr import (
    DetrDecoder,
    DetrEncoder,
    DetrMaskHeadSmallConv,
    DetrMHAttentionMap,
    DetrSinePositionEmbedding,
)

from zoo.cell_layers import AttributeHead, Known, Pyramid, freeze, known, unfold_backbone, words
from zoo.cell_losses import Costs, attribute_loss, corners, dice_loss, focal_loss, match, query_loss, relative
from zoo.cell_masks import apart, clipped, discs, inside
from zoo.cell_model import CellModel, FieldKind
from zoo.cells import Cells
from zoo.errors import ZooError
from zoo.types import Backbone

_NO_OBJECT = 0.1
"""Weight of queries that stand for nothing in the loss of the class."""


@dataclass(frozen=True)
class HemaX(CellModel):
    """Architecture, losses and their weights as in the paper's released training code; the transformer is that of
    Carion et al., ECCV 2020, from `transformers`. A field with more cells than queries is trained on its largest ones.

    What the paper leaves open is ours: losses after every layer of the decoder, each mask's loss is the mean of its two
    channels, nucleus before cytoplasm where both channels claim a pixel, the surer cell where two cells do, and no mask
    goes on beyond its box: the head, which sees the whole field, marks the cells of other queries as well."""

    paper: ClassVar[str] = "Pal et al., HemaX and LeukoX, ISBI 2024, doi 10.1109/ISBI56570.2024.10635140"

    epochs: int = 200
    """Rounds through the training fields; 0 = prepared only."""
    batch: int = 32
    """Fields a step."""
    rate: float = 1e-4
    """Highest learning rate of the one-cycle schedule."""
    decay: float = 1e-4
    """Weight decay of AdamW."""
    backbone_rate: float = 0.1
    """Learning rate of the backbone, as a part of `rate`; 0 = the backbone stays as it is."""
    clip: float = 0.1
    """Longest gradient, longer ones are scaled down to it; 0 = as they are."""
    stride: int = 32
    """Pixels between the places that the transformer reads: 32 as in the paper, 16 for small fields."""
    queries: int = 10
    """Most cells that can be found in a field."""
    layers: int = 6
    """Layers of the encoder, and of the decoder."""
    dim: int = 256
    """Channels of the transformer, a multiple of 16."""
    feedforward: int = 2048
    """Width inside a layer."""
    heads: int = 8
    """Heads of the attention, a multiple of 8 that divides `dim`."""
    dropout: float = 0.1
    frozen: bool = True
    """BatchNorm of the backbone stays as it is, and so do its two finest levels, of a ResNet the stem and the first
    stage; false for one with random weights"""
    quirk: bool = False
    """true: as released, queries that stand for no cell are also taught attributes, namely the last word of each (the
    released code gives them a real word, which one is ours)"""

    def network(self, kind: FieldKind, backbone: Backbone, seed: int) -> nn.Module:
        if self.dim % 16 or self.heads % 8 or self.dim % self.heads:
            raise ZooError(
                f"hemax: dim={self.dim}, heads={self.heads}: give a dim that is a multiple of 16 and of heads, and "
                "heads that are a multiple of 8, as in --set dim=64 --set heads=8"
            )
        if self.stride not in (16, 32):
            raise ZooError(f"hemax: stride={self.stride}: give 16 or 32")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _Network(kind, backbone, self)

    def prepare(self, network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]]) -> None:
        """The start of the projection; and BatchNorm's statistics, where they are folded and to be trained."""
        assert isinstance(network, _Network)
        first = list(islice(fields, 8))
        if not self.frozen:
            unfold_backbone(network, first)
        network.spread([images for images, _ in first])

    def loss(self, network: nn.Module, images: Tensor, truth: Sequence[Cells]) -> Tensor:
        assert isinstance(network, _Network)
        height, width = images.shape[-2:]
        cells = [known(one, images.device, self.queries) for one in truth]
        boxes = [relative(one.boxes, height, width) for one in cells]
        out = network(images)
        count = max(sum(len(one) for one in boxes), 1)
        loss, pairs = images.new_zeros(()), []
        for scores, places in zip(out.scores, out.boxes, strict=True):
            pairs = [
                match(*of_field, Costs())
                for of_field in zip(scores, places, (one.labels for one in cells), boxes, strict=True)
            ]
            loss = loss + query_loss(scores, _wanted(pairs, cells, *scores.shape[1:]), _NO_OBJECT)
            found = torch.cat([place[query] for place, (query, _) in zip(places, pairs, strict=True)])
            wanted = torch.cat([box[cell] for box, (_, cell) in zip(boxes, pairs, strict=True)])
            overlap = generalized_box_iou_loss(corners(found), corners(wanted), reduction="sum")
            loss = loss + (5 * (found - wanted).abs().sum() + 2 * overlap) / count
        # The last layer's pairs stay for what only the last layer is asked.
        loss = loss + self._attributes(out.attributes, pairs, cells)
        if network.mask_head is not None and all(one.masks is not None for one in cells):
            loss = loss + _mask_loss(network, out, pairs, cells, (height, width)) / count
        return loss

    def _attributes(
        self, scores: Sequence[Tensor], pairs: Sequence[tuple[Tensor, Tensor]], cells: Sequence[Known]
    ) -> Tensor:
        """Of matched queries; with the quirk of all."""
        if not self.quirk:
            matched = [torch.cat([one[at, pair[0]] for at, pair in enumerate(pairs)]) for one in scores]
            real = [one.attributes[cell] for one, (_, cell) in zip(cells, pairs, strict=True)]
            return attribute_loss(matched, torch.cat(real))
        last = torch.tensor([one.shape[-1] - 1 for one in scores], device=cells[0].labels.device, dtype=torch.long)
        wanted = last.repeat(len(cells), self.queries, 1)
        for at, ((query, cell), one) in enumerate(zip(pairs, cells, strict=True)):
            wanted[at, query] = one.attributes[cell]
        return attribute_loss([one.flatten(0, 1) for one in scores], wanted.flatten(0, 1))

    @torch.no_grad()
    def find(self, network: nn.Module, images: Tensor) -> list[Cells]:
        assert isinstance(network, _Network)
        height, width = images.shape[-2:]
        out, found = network(images), []
        scale = torch.tensor([width, height, width, height], device=images.device)
        for at, scores in enumerate(out.scores[-1].softmax(-1)):
            sure, label = scores.max(-1)
            query = (label < scores.shape[-1] - 1).nonzero().squeeze(1)
            query = query[sure[query].argsort(descending=True, stable=True)]
            boxes = clipped((corners(out.boxes[-1, at, query]) * scale).cpu().numpy(), height, width)
            masks = network.masks(out, torch.full_like(query, at), query)
            if masks is None:
                drawn = discs(boxes, height, width)
            else:
                nucleus, cytoplasm = (_upsampled(masks, height, width) > 0).cpu().numpy().swapaxes(0, 1)
                drawn = apart(np.where(nucleus, 2, cytoplasm) * inside(boxes, height, width))
            spoken = words([one[at, query] for one in out.attributes], len(query))
            chances = sure[query].cpu().numpy()
            found.append(Cells(label[query].cpu().numpy(), boxes, drawn, spoken.cpu().numpy(), chances))
        return found


class _Out(NamedTuple):
    scores: Tensor
    """(layers, b, q, classes + 1), the last for no object"""
    boxes: Tensor
    """(layers, b, q, 4): centre x, centre y, width, height in parts of the field"""
    attributes: list[Tensor]
    """[(b, q, words)] of the last layer"""
    attention: Tensor | None
    """(b, q, heads, h, w)"""
    maps: list[Tensor]
    """What the mask head reads: projected maps (b, d, h, w), and the backbone's at a half, a quarter and an eighth of
    the stride"""


class _Network(nn.Module):
    def __init__(self, kind: FieldKind, backbone: Backbone, model: HemaX) -> None:
        super().__init__()
        dim = model.dim
        config = DetrConfig(
            d_model=dim, encoder_layers=model.layers, decoder_layers=model.layers, encoder_ffn_dim=model.feedforward,
            decoder_ffn_dim=model.feedforward, encoder_attention_heads=model.heads,
            decoder_attention_heads=model.heads, dropout=model.dropout, num_queries=model.queries,
        )  # fmt: skip
        self.backbone = backbone
        self.pyramid = Pyramid(backbone, [model.stride // part for part in (8, 4, 2, 1)])
        *finer, coarsest = self.pyramid.channels
        self.project = nn.Conv2d(coarsest, dim, 1)
        self.position = DetrSinePositionEmbedding(dim // 2, normalize=True)
        self.queries = nn.Embedding(model.queries, dim)
        self.encoder, self.decoder = DetrEncoder(config), DetrDecoder(config)
        for parameter in (*self.encoder.parameters(), *self.decoder.parameters()):
            if parameter.dim() > 1:  # as DETR starts; transformers' own start is that of language models
                nn.init.xavier_uniform_(parameter)
        self.label, self.said = nn.Linear(dim, kind.classes + 1), AttributeHead(dim, kind.attributes)
        self.box = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 4)
        )  # fmt: skip
        self.mask_head = self.attend = None
        if kind.masks:
            self.attend = DetrMHAttentionMap(dim, model.heads)
            self.mask_head = DetrMaskHeadSmallConv(dim + model.heads, finer[::-1], dim)
            self.mask_head.output_conv = nn.Conv2d(dim // 16, 2, 3, padding=1)
            for module in self.mask_head.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_uniform_(module.weight, a=1)
        if model.frozen:
            for module in _norms(backbone):
                module.requires_grad_(False)
            freeze(backbone, 2)

    def forward(self, images: Tensor) -> _Out:
        *finer, deep = self.pyramid(self.backbone, images)
        projected = self.project(deep)
        b, _, h, w = projected.shape
        places = torch.ones(b, h, w, dtype=torch.bool, device=images.device)
        where = self.position(projected.shape, images.device, torch.float32, places).flatten(2).transpose(1, 2)
        memory = self.encoder(
            inputs_embeds=projected.flatten(2).transpose(1, 2), spatial_position_embeddings=where
        ).last_hidden_state  # fmt: skip
        asked = self.queries.weight.expand(b, -1, -1)
        x, layers = torch.zeros_like(asked), []
        # Layer by layer: with losses after each, transformers' own loop would normalise twice.
        for layer in self.decoder.layers:
            x = layer(x, None, where, asked, memory)
            layers.append(self.decoder.layernorm(x))
        said = torch.stack(layers).float()
        attention = None if self.attend is None else self.attend(said[-1], memory.transpose(1, 2).reshape(b, -1, h, w))
        scores, boxes = self.label(said).float(), self.box(said).float().sigmoid()
        return _Out(scores, boxes, self.said(said[-1]), attention, [projected, *finer[::-1]])

    @torch.no_grad()
    def spread(self, batches: Sequence[Tensor]) -> None:
        """Scale the projection so that its maps have mean square 1 over these fields. A ResNet's come near it by
        themselves; where a backbone's are much larger than the places' code, the attention never finds any place."""
        squares = [self.project(self.pyramid(self.backbone, images)[-1]).square().mean() for images in batches]
        size = torch.stack(squares).mean().sqrt() if squares else torch.zeros(())
        if size > 0:
            for parameter in self.project.parameters():
                parameter /= size

    def masks(self, out: _Out, field: Tensor, query: Tensor) -> Tensor | None:
        """Scores (k, 2, h, w) of nucleus and cytoplasm, at an eighth of the stride, of these queries of these
        fields, both (k,) long."""
        if self.mask_head is None or out.attention is None:
            return None
        projected, *finer = (level[field] for level in out.maps)
        return self.mask_head(projected, out.attention[field, query][:, None], finer).float()


def _wanted(pairs: Sequence[tuple[Tensor, Tensor]], cells: Sequence[Known], queries: int, nothing: int) -> Tensor:
    """The class of each query's cell, (b, q) long; the last one, no object, of those without."""
    wanted = torch.full((len(cells), queries), nothing - 1, device=cells[0].labels.device)
    for row, (query, cell), one in zip(wanted, pairs, cells, strict=True):
        row[query] = one.labels[cell]
    return wanted


def _mask_loss(
    network: _Network, out: _Out, pairs: Sequence[tuple[Tensor, Tensor]], cells: Sequence[Known], size: Sequence[int]
) -> Tensor:
    """Focal and Dice loss of the matched queries' masks, summed over the cells."""
    field = torch.cat([torch.full_like(query, at) for at, (query, _) in enumerate(pairs)])
    if not len(field):
        return out.scores.new_zeros(())
    found = network.masks(out, field, torch.cat([query for query, _ in pairs]))
    assert found is not None
    drawn = [one.masks[cell] for one, (_, cell) in zip(cells, pairs, strict=True) if one.masks is not None]
    place = torch.cat(drawn)
    truth = torch.stack([place == 2, place == 1], 1).float().flatten(0, 1)
    scores = _upsampled(found, *size).flatten(0, 1)
    return (focal_loss(scores, truth) + dice_loss(scores, truth)).sum() / 2


def _upsampled(masks: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(masks, (height, width), mode="bilinear", align_corners=False)


def _norms(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
