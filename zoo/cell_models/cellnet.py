"""Our own: a fully convolutional network that finds centres, colours pixels, lets them vote, and looks at each cell."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou, generalized_box_iou_loss, nms, roi_align

from zoo.cell_layers import AttributeHead, Known, Pyramid, freeze, known, scaled, unfold_backbone, words
from zoo.cell_losses import attribute_loss, centre_loss, label_loss, region_loss
from zoo.cell_masks import cleaned, clipped, discs, tight
from zoo.cell_model import CellModel, FieldKind
from zoo.cells import Cells, none
from zoo.types import Backbone

_STRIDE = 4
"""Pixels between the places where centres are looked for."""
_REACH = 32.0
"""Pixels that a vote or the side of a box of 1 stands for."""
_CANDIDATES = 100


@dataclass(frozen=True)
class CellNet(CellModel):
    """Centres and boxes as in CenterNet (Zhou et al., 2019, arXiv 1904.07850); pixels vote for their cell's centre as
    in Panoptic-DeepLab (Cheng et al., CVPR 2020). Class and attributes are read from a cut-out of the maps, in which
    the nucleus and the cytoplasm that were found are two of the channels."""

    epochs: int = 12
    """Rounds through the training fields; 0 = prepared only."""
    width: int = 64
    """Channels of the decoder."""
    frozen: int = 2
    """Levels of a pretrained backbone, the finest first, that stay as they were: they are the slowest to train and
    know edges and colours already; 0 = none. Of a backbone with random weights none does"""
    explains: bool = True
    """false: neither attributes nor masks are learned, boxes and classes alone; masks are then ellipses and attributes
    the first word, to see what explaining costs"""
    threshold: float = 0.3
    """Least certainty of a centre that counts as a cell."""

    def network(self, kind: FieldKind, backbone: Backbone, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if kind.pretrained:
                freeze(backbone, self.frozen)
            return _Network(kind, backbone, self.width, self.explains and kind.masks)

    def prepare(self, network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]]) -> None:
        """BatchNorm's statistics where they are folded; and whether boxes are drawn tightly around masks."""
        assert isinstance(network, _Network)
        first = list(islice(fields, 8))
        unfold_backbone(network, first)
        drawn = [(cells.boxes, tight(cells.masks)) for _, batch in first for cells in batch if cells.masks is not None]
        fits = [box_iou(torch.as_tensor(given), torch.as_tensor(own)).diag() for given, own in drawn if len(given)]
        network.tight.fill_(bool(fits) and float(torch.cat(fits).mean()) > 0.95)

    def loss(self, network: nn.Module, images: Tensor, truth: Sequence[Cells]) -> Tensor:
        assert isinstance(network, _Network)
        cells = [known(one, images.device) for one in truth]
        maps = network(images)
        loss = _placed(maps, cells)
        if maps.region is not None and all(one.masks is not None for one in cells):
            loss = loss + _drawn(maps, cells, images.shape[-2:])
        if not any(len(one.labels) for one in cells):
            return loss
        labels, words_known = (torch.cat([getattr(one, part) for one in cells]) for part in ("labels", "attributes"))
        scores, attributes = network.look(maps, [_jittered(one.boxes) for one in cells])
        loss = loss + label_loss(scores, labels, 0.05)
        return loss + attribute_loss(attributes, words_known) if self.explains else loss

    @torch.no_grad()
    def find(self, network: nn.Module, images: Tensor) -> list[Cells]:
        assert isinstance(network, _Network)
        maps = network(images)
        height, width = images.shape[-2:]
        places = [self._centres(chance, boxes, network.most) for chance, boxes in zip(*maps.candidates(), strict=True)]
        found = []
        scores, attributes = network.look(maps, [boxes for boxes, _ in places])
        counts = [len(boxes) for boxes, _ in places]
        said = words(attributes, len(scores)) if self.explains else torch.zeros(len(scores), len(attributes)).long()
        parts = zip(places, scores.argmax(1).split(counts), said.split(counts), strict=True)
        for at, ((boxes, chances), labels, spoken) in enumerate(parts):
            cells = none(len(attributes), height, width)
            if len(boxes):
                edges = clipped(boxes.cpu().numpy(), height, width)
                masks = discs(edges, height, width) if maps.region is None else _masks(maps, at, boxes, height, width)
                cells = Cells(labels.cpu().numpy(), edges, masks, spoken.cpu().numpy(), chances.cpu().numpy())
                cells = _whole(cells, bool(network.tight) and maps.region is not None)
            found.append(cells)
        return found

    def _centres(self, chance: Tensor, boxes: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Boxes (k, 4) and certainties (k,) of the peaks of one field, the surest first: chance (h, w) and the box of
        each place (4, h, w). Never more than twice as many as any training field had, nor more than one where no
        training field had two."""
        peak = chance * (chance == F.max_pool2d(chance[None], 3, 1, 1)[0])
        top = peak.flatten().topk(min(_CANDIDATES, peak.numel()))
        sure = top.values >= self.threshold
        values, at = top.values[sure], top.indices[sure]
        corners = boxes.flatten(1)[:, at].T
        left = nms(corners, values, 0.5)[: most if most < 2 else 2 * most]
        return corners[left], values[left]


class _Maps:
    """What the network says of every place of the fields."""

    def __init__(self, heads: Tensor, region: Tensor | None, fine: Tensor, middle: Tensor, deep: Tensor) -> None:
        self.centre, self.sides, self.votes = heads[:, 0], heads[:, 1:5], heads[:, 5:7]
        self.region = region
        """(b, 3, h, w) scores of background, cytoplasm, nucleus, at stride 2"""
        self.fine, self.middle, self.deep = fine, middle, deep

    def boxes(self) -> Tensor:
        """The box that each place has, (b, 4, h, w), in pixels."""
        y, x = _grid(self.centre, _STRIDE)
        reach = F.softplus(self.sides) * _REACH
        return torch.stack([x - reach[:, 0], y - reach[:, 1], x + reach[:, 2], y + reach[:, 3]], 1)

    def candidates(self) -> tuple[Tensor, Tensor]:
        return self.centre.sigmoid(), self.boxes()


class _Network(nn.Module):
    tight: Tensor

    def __init__(self, kind: FieldKind, backbone: Backbone, width: int, masks: bool) -> None:
        super().__init__()
        self.backbone, self.most = backbone, max(kind.most, 1)
        self.pyramid = Pyramid(backbone, (2, 4, 8, 16, 32))
        fine = max(width // 2, 8)
        channels = self.pyramid.channels
        self.lateral = nn.ModuleList(nn.Conv2d(before, width, 1) for before in channels[1:])
        self.smooth = nn.ModuleList(_block(width, width) for _ in channels[2:])
        self.finest, self.narrow = nn.Conv2d(channels[0], fine, 1), nn.Conv2d(width, fine, 1)
        self.sharp = _block(fine, fine)
        self.places = nn.Sequential(_block(width, width), nn.Conv2d(width, 7 if masks else 5, 1))
        self.region = nn.Conv2d(fine, 3, 3, padding=1) if masks else None
        nn.init.constant_(self.places[-1].bias[:1], -4.0)  # type: ignore[index]  # nearly nothing is a centre
        self.look_fine = _cell_block(fine + (3 if masks else 0), fine, 2)
        self.look_middle = _cell_block(fine + width, 2 * width, 2)
        # Two of them, so that the nucleus is seen as a whole.
        self.look_deep = nn.Sequential(_cell_block(3 * width, 3 * width, 1), _cell_block(3 * width, 3 * width, 1))
        self.summary = nn.Sequential(nn.Linear(6 * width + 2, 4 * width), nn.ReLU(), nn.Dropout(0.2))
        self.label, self.said = nn.Linear(4 * width, kind.classes), AttributeHead(4 * width, kind.attributes)
        self.register_buffer("tight", torch.tensor(False))

    def forward(self, images: Tensor) -> _Maps:
        first, *levels = self.pyramid(self.backbone, images)
        levels = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        x = levels[-1]
        deep = levels[-2]
        for smooth, level in zip(self.smooth, reversed(levels[:-1]), strict=True):
            x = smooth(level + scaled(x, *level.shape[-2:]))
        sharp = self.sharp(self.finest(first) + scaled(self.narrow(x), *first.shape[-2:]))
        region = None if self.region is None else self.region(sharp).float()
        return _Maps(self.places(x).float(), region, sharp.float(), x.float(), deep.float())

    def look(self, maps: _Maps, boxes: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Scores of the classes (k, classes) and of each attribute's words, of all boxes of all fields in turn."""
        seen = [_wider(one) for one in boxes]
        fine = maps.fine if maps.region is None else torch.cat([maps.fine, maps.region.detach().softmax(1)], 1)
        x = self.look_fine(roi_align(fine, seen, 28, 1 / 2, 1, True))
        x = self.look_middle(torch.cat([x, roi_align(maps.middle, seen, 14, 1 / 4, 1, True)], 1))
        x = self.look_deep(torch.cat([x, roi_align(maps.deep, seen, 7, 1 / 16, 1, True)], 1))
        every = torch.cat(boxes)
        size = ((every[:, 2:] - every[:, :2]).clamp_min(1) / 64).log()
        summary = self.summary(torch.cat([x.mean((2, 3)), x.amax((2, 3)), size], 1))
        return self.label(summary).float(), self.said(summary)


def _block(before: int, after: int) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _cell_block(before: int, after: int, stride: int) -> nn.Sequential:
    """Groups rather than batches are normalised: there may be one cell, or forty."""
    conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(math.gcd(8, after), after), nn.ReLU(inplace=True))


def _grid(maps: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Pixel coordinates of the middle of every place, (h, 1) and (w,)."""
    height, width = maps.shape[-2:]
    y, x = (torch.arange(side, device=maps.device, dtype=torch.float32) for side in (height, width))
    return (y[:, None] + 0.5) * stride, (x + 0.5) * stride


def _wider(boxes: Tensor, part: float = 0.1) -> Tensor:
    """Boxes with some of what is around them."""
    margin = part * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1)


def _jittered(boxes: Tensor) -> Tensor:
    """True boxes about as wrong as found ones are."""
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + size * (0.1 * torch.rand(boxes.shape) - 0.05).to(boxes.device)


def _placed(maps: _Maps, cells: Sequence[Known]) -> Tensor:
    """Loss of the centres and of the boxes of the places near them."""
    y, x = _grid(maps.centre, _STRIDE)
    near, target = torch.zeros_like(maps.centre), torch.zeros_like(maps.sides)
    for at, one in enumerate(cells):
        for box in one.boxes:
            middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).prod().sqrt()
            sigma = max(0.08 * float(size), 0.6 * _STRIDE)
            around = (-((x - middle[0]).square() + (y - middle[1]).square()) / (2 * sigma**2)).exp()
            # The nearest place is the centre, whatever the rounding.
            around = torch.where(around == around.max(), 1.0, around)
            mine = around > near[at]
            near[at][mine] = around[mine]
            target[at][:, mine] = box[:, None].to(target)
    loss = centre_loss(maps.centre, near)
    rows = (near > 0.3).nonzero(as_tuple=True)
    found, wanted = (boxes.permute(0, 2, 3, 1)[rows] for boxes in (maps.boxes(), target))
    weight = near[rows]
    if not len(wanted):
        return loss + 0 * found.sum()
    wrong = generalized_box_iou_loss(found, wanted) + 0.5 * (found - wanted).abs().mean(1) / _REACH
    return loss + (weight * wrong).sum() / weight.sum()


def _drawn(maps: _Maps, cells: Sequence[Known], size: Sequence[int]) -> Tensor:
    """Loss of the pixels' regions and of their votes."""
    assert maps.region is not None
    place = torch.zeros((len(cells), *size), dtype=torch.long, device=maps.region.device)
    votes, owned = torch.zeros_like(maps.votes), torch.zeros_like(maps.centre, dtype=torch.bool)
    y, x = _grid(maps.centre, _STRIDE)
    for at, one in enumerate(cells):
        assert one.masks is not None
        if not len(one.masks):
            continue
        place[at] = one.masks.amax(0).long()
        small = scaled((one.masks > 0).float()[None], *votes.shape[-2:])[0]
        for mask, box in zip(small > 0.5, one.boxes, strict=True):
            middle = (box[:2] + box[2:]) / 2
            owned[at] |= mask
            toward = torch.stack([(middle[0] - x).expand_as(mask), (middle[1] - y).expand_as(mask)]) / _REACH
            votes[at] = torch.where(mask, toward.to(votes), votes[at])
    scores = F.interpolate(maps.region, tuple(size), mode="bilinear", align_corners=False)
    wrong = (maps.votes - votes).abs().sum(1)[owned]
    return region_loss(scores, place) + wrong.sum() / owned.sum().clamp_min(1)


def _masks(maps: _Maps, at: int, boxes: Tensor, height: int, width: int) -> np.ndarray:
    """Masks (k, H, W) of the cells with these boxes: every stained pixel goes to the cell whose centre is nearest to
    where it votes, if the pixel lies in that cell's box or not far outside."""
    assert maps.region is not None
    region = F.interpolate(maps.region[at : at + 1], (height, width), mode="bilinear", align_corners=False)[0].argmax(0)
    votes = F.interpolate(maps.votes[at : at + 1], (height, width), mode="bilinear", align_corners=False)[0] * _REACH
    y, x = _grid(region, 1)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    far = (x + votes[0] - middle[:, 0, None, None]).square() + (y + votes[1] - middle[:, 1, None, None]).square()
    left, top, right, bottom = _wider(boxes, 0.25).T[:, :, None, None]
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    far = torch.where(inside, far, torch.inf)
    owner = torch.where((region > 0) & inside.any(0), far.argmin(0), -1)
    number = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    masks = torch.where(owner == number, region, 0).to(torch.uint8).cpu().numpy()
    return np.stack([cleaned(mask) for mask in masks])


def _whole(cells: Cells, fit: bool) -> Cells:
    """Only cells that have pixels; with the boxes of their masks where those are what is drawn."""
    assert cells.masks is not None
    rows = cells.masks.any((1, 2))
    boxes = tight(cells.masks) if fit else cells.boxes
    return Cells(cells.labels[rows], boxes[rows], cells.masks[rows], cells.attributes[rows], cells.scores[rows])
