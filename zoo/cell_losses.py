"""Losses and matching that cell models share. Scores are before softmax or sigmoid; k is the number of cells."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss


def label_loss(scores: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the cells whose class is known; 0 where none is.

    scores (k, classes), labels (k,) long with -1 where unknown."""
    rows = labels >= 0
    total = F.cross_entropy(scores[rows], labels[rows], reduction="sum", label_smoothing=smoothing)
    return total / rows.sum().clamp_min(1)


def attribute_loss(scores: Sequence[Tensor], words: Tensor, smoothing: float = 0.0) -> Tensor:
    """Sum over the attributes of the mean cross-entropy of the cells whose word is known.

    scores [(k, number of words)], words (k, attributes) long with -1 where unknown. 0 where nothing is known."""
    parts = [label_loss(one, words[:, at], smoothing) for at, one in enumerate(scores)]
    return torch.stack(parts).sum() if parts else torch.zeros((), device=words.device)


def dice_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """1 - Dice of each mask with one pixel added above and below, as in DETR (Carion et al., ECCV 2020, appendix A.4).

    scores and truth (k, ...), truth in 0..1 -> (k,)."""
    found, truth = scores.sigmoid().flatten(1), truth.flatten(1)
    return 1 - (2 * (found * truth).sum(1) + 1) / (found.sum(1) + truth.sum(1) + 1)


def focal_loss(scores: Tensor, truth: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Mean focal loss of each mask (Lin et al., ICCV 2017): (k, ...), truth in 0..1 -> (k,)."""
    return sigmoid_focal_loss(scores, truth, alpha, gamma, reduction="none").flatten(1).mean(1)


def centre_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """Focal loss that forgives pixels near a centre (Law & Deng, CornerNet, ECCV 2018, equation 1), over the number of
    centres. scores and truth (b, h, w); truth is 1 at centres, falling to 0 around them."""
    chance, centre = scores.sigmoid(), truth == 1
    right = (1 - chance).square() * F.logsigmoid(scores)
    wrong = chance.square() * F.logsigmoid(-scores) * (1 - truth).pow(4)
    return -torch.where(centre, right, wrong).sum() / centre.sum().clamp_min(1)


def region_loss(scores: Tensor, place: Tensor) -> Tensor:
    """Cross-entropy of every pixel, and 1 - Dice of the whole cell and of its nucleus over the batch.

    scores (b, 3, H, W) of background, cytoplasm, nucleus; place (b, H, W) long 0..2 -> number."""
    chance = scores.softmax(1)
    loss = F.cross_entropy(scores, place)
    for found, truth in ((1 - chance[:, 0], place >= 1), (chance[:, 2], place == 2)):
        overlap = (found * truth).sum()
        loss = loss + 1 - (2 * overlap + 1) / (found.sum() + truth.sum() + 1)
    return loss


def query_loss(scores: Tensor, wanted: Tensor, nothing: float) -> Tensor:
    """Cross-entropy of all queries' classes, the last of which is no object and weighs `nothing`.

    scores (b, q, classes + 1), wanted (b, q) long, -1 where a query stands for a cell of unknown class."""
    weight = torch.ones(scores.shape[-1], device=scores.device)
    weight[-1] = nothing
    total = F.cross_entropy(scores.transpose(1, 2), wanted, weight, ignore_index=-1, reduction="sum")
    return total / torch.where(wanted >= 0, weight[wanted], 0).sum().clamp_min(1e-6)


class Costs(NamedTuple):
    """Weights of what a pair of query and cell costs."""

    label: float = 1
    box: float = 5
    overlap: float = 2


@torch.no_grad()
def match(scores: Tensor, boxes: Tensor, labels: Tensor, truth: Tensor, costs: Costs) -> tuple[Tensor, Tensor]:
    """Which query stands for which true cell: the cheapest one-to-one assignment (Carion et al., section 3.1).

    scores (q, classes + 1); boxes (q, 4) and truth (k, 4) as centre x, centre y, width, height in parts of the field;
    labels (k,), -1 where a class is unknown and costs nothing -> numbers of queries and of cells, both (min(q, k),)
    long, queries ascending."""
    from scipy.optimize import linear_sum_assignment

    label = -scores.softmax(-1)[:, labels] * (labels >= 0)
    distance = torch.cdist(boxes, truth, p=1)
    overlap = -generalized_box_iou(corners(boxes), corners(truth))
    cost = costs.label * label + costs.box * distance + costs.overlap * overlap
    # Scores of a diverging network may be NaN; training says so after the step, the assignment would say it obscurely.
    rows, columns = linear_sum_assignment(cost.nan_to_num(1e6, 1e6, -1e6).cpu().numpy())
    return torch.from_numpy(rows).to(labels.device), torch.from_numpy(columns).to(labels.device)


def corners(boxes: Tensor) -> Tensor:
    """Centre x, centre y, width, height -> left, top, right, bottom."""
    return box_convert(boxes, "cxcywh", "xyxy")


def relative(boxes: Tensor, height: int, width: int) -> Tensor:
    """Left, top, right, bottom in pixels -> centre x, centre y, width, height in parts of the field."""
    return box_convert(boxes / boxes.new_tensor([width, height, width, height]), "xyxy", "cxcywh")
