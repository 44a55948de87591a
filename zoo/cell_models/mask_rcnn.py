"""Mask R-CNN of torchvision with masks of nucleus and cell, and heads for attributes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, paste_masks_in_image, project_masks_on_boxes
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, nms
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from zoo.cell_layers import AttributeHead, Known, Pyramid, freeze, known, unfold_backbone, words
from zoo.cell_losses import attribute_loss, label_loss
from zoo.cell_masks import apart, clipped, discs
from zoo.cell_model import CellModel, FieldKind
from zoo.cells import Cells, none
from zoo.types import Backbone

_LEVELS = ["0", "1", "2", "3"]
_MASK = 28
"""Places along each side of a mask, as in the paper."""


@dataclass(frozen=True)
class MaskRCNN(CellModel):
    """On a feature pyramid, with narrower layers than the paper's, since cells are few and alike. Two masks, of the
    whole cell and of its nucleus, stand for a mask a class; attributes are read from the box's features."""

    paper: ClassVar[str] = "He et al., Mask R-CNN, ICCV 2017, arXiv 1703.06870"

    width: int = 64
    """Channels of the pyramid and of the mask head; the paper has 256."""
    hidden: int = 256
    """Width of the box head's layers; the paper has 1024."""
    frozen: int = 2
    """Levels of a pretrained backbone, the finest first, that stay as they were, as torchvision's own do; 0 = none."""
    threshold: float = 0.5
    """Least certainty of a box that counts as a cell."""

    def network(self, kind: FieldKind, backbone: Backbone, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if kind.pretrained:
                freeze(backbone, self.frozen)
            return _Network(kind, backbone, self)

    def prepare(self, network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]]) -> None:
        """BatchNorm's statistics, where they are folded."""
        unfold_backbone(network, fields)

    def loss(self, network: nn.Module, images: Tensor, truth: Sequence[Cells]) -> Tensor:
        assert isinstance(network, _Network)
        cells = [known(one, images.device) for one in truth]
        # A cell is a cell here; which one is told to the heads, where it is known.
        targets = [{"boxes": one.boxes, "labels": torch.ones_like(one.labels)} for one in cells]
        maps = network(images)
        proposals, losses = network.propose(images, maps, targets)
        return torch.stack([*losses.values(), *network.cells.losses(maps, proposals, targets, cells, images)]).sum()

    @torch.no_grad()
    def find(self, network: nn.Module, images: Tensor) -> list[Cells]:
        assert isinstance(network, _Network)
        height, width = images.shape[-2:]
        maps = network(images)
        sizes = [(height, width)] * len(images)
        proposals, _ = network.propose(images, maps, None)
        rows = network.cells.detect(maps, proposals, sizes)
        attributes, masks = network.cells.describe(maps, [boxes for boxes, _, _ in rows], sizes)
        found, start = [], 0
        for boxes, chances, labels in rows:
            part = slice(start, start + len(boxes))
            start += len(boxes)
            if not len(boxes):
                found.append(none(len(attributes), height, width))
                continue
            edges = clipped(boxes.cpu().numpy(), height, width)
            drawn = discs(edges, height, width)
            if masks is not None:
                whole, nucleus = (paste_masks_in_image(mask[part, None], boxes, (height, width)) for mask in masks)
                inside = (whole[:, 0] > 0.5).cpu().numpy()
                drawn = apart(inside + (inside & (nucleus[:, 0] > 0.5).cpu().numpy()))
            spoken = words([one[part] for one in attributes], len(boxes)).cpu().numpy()
            found.append(Cells(labels.cpu().numpy(), edges, drawn, spoken, chances.cpu().numpy()))
        return found


class _Network(nn.Module):
    def __init__(self, kind: FieldKind, backbone: Backbone, model: MaskRCNN) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = Pyramid(backbone, (4, 8, 16, 32))
        self.fpn = FeaturePyramidNetwork(self.pyramid.channels, model.width, LastLevelMaxPool())
        anchors = AnchorGenerator(((16,), (32,), (64,), (128,), (256,)), ((0.5, 1.0, 2.0),) * 5)
        each = anchors.num_anchors_per_location()[0]
        amount = {"training": 1000, "testing": 300}
        self.rpn = RegionProposalNetwork(
            anchors, RPNHead(model.width, each), 0.7, 0.3, 256, 0.5, amount, {"training": 300, "testing": 100}, 0.7
        )  # fmt: skip
        self.cells = _CellHeads(kind, model)

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        levels = self.pyramid(self.backbone, images)
        maps = self.fpn(OrderedDict(zip(_LEVELS, levels, strict=True)))
        return OrderedDict((name, level.float()) for name, level in maps.items())

    def propose(self, images: Tensor, maps: Any, targets: Any) -> tuple[list[Tensor], dict[str, Tensor]]:
        return self.rpn(ImageList(images, [tuple(images.shape[-2:])] * len(images)), maps, targets)  # type: ignore[misc]


class _CellHeads(RoIHeads):
    """torchvision's heads of boxes, with two masks a cell and its attributes beside them."""

    def __init__(self, kind: FieldKind, model: MaskRCNN) -> None:
        super().__init__(
            MultiScaleRoIAlign(_LEVELS, 7, 2), TwoMLPHead(model.width * 49, model.hidden),
            FastRCNNPredictor(model.hidden, kind.classes + 1),
            0.5, 0.5, 64, 0.25, None, model.threshold, 0.5, max(2 * kind.most, 1),
        )  # fmt: skip
        self.said = AttributeHead(model.hidden, kind.attributes)
        self.drawn = None
        if kind.masks:
            self.mask_pool = MultiScaleRoIAlign(_LEVELS, _MASK // 2, 2)
            self.drawn = nn.Sequential(
                MaskRCNNHeads(model.width, (model.width,) * 3, 1), MaskRCNNPredictor(model.width, model.width, 2)
            )  # fmt: skip

    def losses(
        self, maps: Any, proposals: list[Tensor], targets: list[dict], cells: Sequence[Known], images: Tensor
    ) -> list[Tensor]:
        """Of class, box, attributes and masks, for proposals that are sampled around the true cells."""
        sizes = [tuple(images.shape[-2:])] * len(images)
        proposals, owner, labels, deltas = self.select_training_samples(proposals, targets)  # type: ignore[arg-type,assignment]
        features = self.box_head(self.box_roi_pool(maps, proposals, sizes))
        scores, moves = self.box_predictor(features)
        real = [(label > 0).nonzero().squeeze(1) for label in labels]
        mine = [one[rows] for one, rows in zip(owner, real, strict=True)]
        for label, rows, one, cell in zip(labels, real, cells, mine, strict=True):
            label[rows] = torch.where(one.labels[cell] < 0, -1, one.labels[cell] + 1)
        wanted = torch.cat(labels)
        # Each class has a box of its own: of an unknown one it is the likeliest's that learns.
        likeliest = torch.where(wanted < 0, scores[:, 1:].argmax(1) + 1, wanted)
        losses = [label_loss(scores, wanted), fastrcnn_loss(scores, moves, [likeliest], deltas)[1]]
        spoken = [one.attributes[cell] for one, cell in zip(cells, mine, strict=True)]
        losses.append(attribute_loss(self.said(features[wanted != 0]), torch.cat(spoken)))
        boxes = [box[rows] for box, rows in zip(proposals, real, strict=True)]
        masks = [one.masks for one in cells if one.masks is not None]
        if self.drawn is not None and sum(map(len, boxes)) and len(masks) == len(cells):
            found = self.drawn(self.mask_pool(maps, boxes, sizes))
            for channel, least in enumerate((1, 2)):
                three = zip(masks, boxes, mine, strict=True)
                truth = [project_masks_on_boxes((mask >= least).float(), box, cell, _MASK) for mask, box, cell in three]
                losses.append(F.binary_cross_entropy_with_logits(found[:, channel], torch.cat(truth)))
        return losses

    def detect(self, maps: Any, proposals: list[Tensor], sizes: list) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Boxes, certainties and classes of each field; a place has one class, the surest."""
        scores, moves = self.box_predictor(self.box_head(self.box_roi_pool(maps, proposals, sizes)))
        rows = []
        for boxes, chances, labels in zip(*self.postprocess_detections(scores, moves, proposals, sizes), strict=True):
            kept = nms(boxes, chances, self.nms_thresh)
            rows.append((boxes[kept], chances[kept], labels[kept] - 1))
        return rows

    def describe(self, maps: Any, boxes: list[Tensor], sizes: list) -> tuple[list[Tensor], tuple[Tensor, ...] | None]:
        """Scores of the attributes' words [(k, words)], and how likely each place of each box (k, 28, 28) is of the
        cell, and of its nucleus."""
        if not sum(map(len, boxes)):
            return [torch.zeros(0, count) for count in self.said.words], None
        spoken = self.said(self.box_head(self.box_roi_pool(maps, boxes, sizes)))
        if self.drawn is None:
            return spoken, None
        return spoken, self.drawn(self.mask_pool(maps, boxes, sizes)).sigmoid().unbind(1)
