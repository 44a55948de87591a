"""Losses and matching of cell models beside those of transformers and torchvision, masks and views beside hand-made
ones."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from drawn import TinyStages, field, fields
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, generalized_box_iou_loss, masks_to_boxes

from zoo.cell_augment import augment
from zoo.cell_layers import known
from zoo.cell_losses import (
    Costs,
    attribute_loss,
    centre_loss,
    corners,
    dice_loss,
    focal_loss,
    label_loss,
    match,
    query_loss,
    region_loss,
    relative,
)
from zoo.cell_masks import apart, cleaned, clipped, discs, tight
from zoo.cell_model import FieldKind
from zoo.cell_models.hemax import HemaX
from zoo.cell_models.watershed import _overlap
from zoo.cells import Cells, none


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_boxes(k: int, seed: int) -> Tensor:
    """Centre x, centre y, width, height in parts of the field, (k, 4)."""
    random = torch.Generator().manual_seed(seed)
    middle, size = torch.rand(2, k, 2, generator=random)
    return torch.cat([0.2 + 0.6 * middle, 0.05 + 0.3 * size], 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_assignment_is_that_of_transformers(seed: int) -> None:
    from transformers.loss.loss_for_object_detection import HungarianMatcher

    scores, boxes = drawn(3, 10, 6, seed=seed).float(), torch.stack([some_boxes(10, seed + at) for at in range(3)])
    counts = (4, 0, 12)
    labels = [torch.arange(count) % 5 for count in counts]
    truth = [some_boxes(count, 50 + seed + at) for at, count in enumerate(counts)]
    targets = [{"class_labels": one, "boxes": two} for one, two in zip(labels, truth, strict=True)]
    theirs = HungarianMatcher(1, 5, 2)({"logits": scores, "pred_boxes": boxes}, targets)
    for at, (query, cell) in enumerate(theirs):
        ours = match(scores[at], boxes[at], labels[at], truth[at], Costs())
        assert torch.equal(ours[0], query)
        assert torch.equal(ours[1], cell)


def test_losses_are_those_of_transformers() -> None:
    from transformers.loss.loss_for_object_detection import (
        HungarianMatcher,
        ImageLoss,
        generalized_box_iou,
        sigmoid_focal_loss,
    )
    from transformers.loss.loss_for_object_detection import dice_loss as their_dice_loss

    scores, boxes = drawn(2, 10, 6).float(), torch.stack([some_boxes(10, at) for at in range(2)])
    labels = [torch.tensor([0, 4, 2]), torch.tensor([1])]
    truth = [some_boxes(3, 7), some_boxes(1, 8)]
    targets = [{"class_labels": one, "boxes": two} for one, two in zip(labels, truth, strict=True)]
    theirs = ImageLoss(HungarianMatcher(1, 5, 2), 5, 0.1, ["labels", "boxes"])(
        {"logits": scores, "pred_boxes": boxes}, targets
    )
    pairs = [match(*one, Costs()) for one in zip(scores, boxes, labels, truth, strict=True)]
    wanted = torch.full((2, 10), 5)
    for row, (query, cell), label in zip(wanted, pairs, labels, strict=True):
        row[query] = label[cell]
    assert float(query_loss(scores, wanted, 0.1)) == pytest.approx(float(theirs["loss_ce"]), rel=1e-5)
    found = torch.cat([one[query] for one, (query, _) in zip(boxes, pairs, strict=True)])
    real = torch.cat([one[cell] for one, (_, cell) in zip(truth, pairs, strict=True)])
    assert float((found - real).abs().sum() / 4) == pytest.approx(float(theirs["loss_bbox"]), rel=1e-5)
    overlap = generalized_box_iou_loss(corners(found), corners(real), reduction="sum") / 4
    assert float(overlap) == pytest.approx(float(theirs["loss_giou"]), rel=1e-5)
    pairwise = generalized_box_iou(corners(found), corners(real))
    torch.testing.assert_close(1 - torch.diag(pairwise), generalized_box_iou_loss(corners(found), corners(real)))
    masks, places = drawn(4, 9, 7).float(), (drawn(4, 9, 7, seed=1) > 0).float()
    flat, flat_truth = masks.flatten(1), places.flatten(1)
    their_dice = float(their_dice_loss(flat, flat_truth, 4))
    assert float(dice_loss(masks, places).sum() / 4) == pytest.approx(their_dice, rel=1e-5)
    their_focal = float(sigmoid_focal_loss(flat, flat_truth, 4))
    assert float(focal_loss(masks, places).sum() / 4) == pytest.approx(their_focal, rel=1e-5)


def test_the_whole_loss_of_hemax_is_that_of_transformers_weighted_as_in_the_paper() -> None:
    """One layer and no attributes: 1 class + 5 L1 + 2 GIoU + focal + Dice, the masks' two channels averaged."""
    from transformers.loss.loss_for_object_detection import HungarianMatcher, ImageLoss

    model = HemaX(dim=32, heads=8, layers=1, feedforward=32, dropout=0, queries=4)
    network = model.network(FieldKind(3, (), 64, 96, True, 2), TinyStages(), 0).eval()
    images, truth = fields(range(2))
    truth = [one._replace(attributes=one.attributes[:, :0]) for one in truth]
    targets, channels = [], []
    for one in truth:
        assert one.masks is not None
        boxes = relative(torch.from_numpy(one.boxes), 64, 96)
        place = torch.from_numpy(one.masks)
        targets.append({"class_labels": torch.from_numpy(one.labels), "boxes": boxes})
        channels.append([(place == 2), (place == 1)])
    with torch.no_grad():
        ours = float(model.loss(network, images, truth))
        out = network(images)
        every = torch.arange(4)
        masks = torch.stack([_masks(network, out, torch.full_like(every, at), every) for at in range(2)])
    criterion = ImageLoss(HungarianMatcher(1, 5, 2), 3, 0.1, ["labels", "boxes", "masks"])
    total, parts = 0.0, {}
    for channel in range(2):
        given = {"logits": out.scores[0], "pred_boxes": out.boxes[0], "pred_masks": masks[:, :, channel]}
        with_masks = [{**one, "masks": two[channel]} for one, two in zip(targets, channels, strict=True)]
        parts = criterion(given, with_masks)
        total += float(parts["loss_mask"] + parts["loss_dice"]) / 2
    total += float(parts["loss_ce"] + 5 * parts["loss_bbox"] + 2 * parts["loss_giou"])
    assert ours == pytest.approx(total, rel=1e-5)


def _masks(network: Any, *which: Any) -> Tensor:
    return network.masks(*which)


def test_unknown_classes_and_words_are_left_out() -> None:
    scores, labels = drawn(5, 3), torch.tensor([0, -1, 2, 1, -1])
    rows = labels >= 0
    assert float(label_loss(scores, labels)) == pytest.approx(float(F.cross_entropy(scores[rows], labels[rows])))
    smooth = F.cross_entropy(scores[rows], labels[rows], label_smoothing=0.1)
    assert float(label_loss(scores, labels, 0.1)) == pytest.approx(float(smooth))
    other = drawn(5, 2, seed=1)
    words = torch.stack([labels, torch.full_like(labels, -1)], 1)
    assert float(attribute_loss([scores, other], words)) == pytest.approx(float(label_loss(scores, labels)))
    assert float(attribute_loss([], words[:, :0])) == 0
    assert float(label_loss(scores, torch.full((5,), -1))) == 0
    whole = torch.tensor([[0, 3, -1]])
    queries = drawn(1, 3, 4)
    known_part = F.cross_entropy(queries[0, :2], whole[0, :2], torch.tensor([1, 1, 1, 0.1], dtype=torch.float64))
    assert float(query_loss(queries.float(), whole, 0.1)) == pytest.approx(float(known_part), rel=1e-5)


def test_a_match_with_cells_of_unknown_class_goes_by_their_boxes() -> None:
    boxes = some_boxes(3, 0)
    query, cell = match(drawn(3, 4).float() * 9, boxes, torch.full((3,), -1), boxes[[2, 0, 1]], Costs())
    assert query.tolist() == [0, 1, 2]
    assert cell.tolist() == [1, 2, 0]


def test_a_match_of_scores_that_are_no_numbers_still_pairs_everything() -> None:
    query, cell = match(torch.full((4, 3), math.nan), some_boxes(4, 0), torch.tensor([0, 1]), some_boxes(2, 1), Costs())
    assert len(query) == len(cell) == 2


def test_the_loss_of_centres_by_hand() -> None:
    """One centre at chance 0.8, a neighbour worth 0.5 at 0.3, elsewhere 0.1."""
    chance = torch.full((1, 2, 2), 0.1, dtype=torch.float64)
    chance[0, 0] = torch.tensor([0.8, 0.3])
    truth = torch.zeros(1, 2, 2, dtype=torch.float64)
    truth[0, 0] = torch.tensor([1.0, 0.5])
    by_hand = 0.2**2 * math.log(0.8) + 0.3**2 * 0.5**4 * math.log(0.7) + 2 * 0.1**2 * math.log(0.9)
    assert float(centre_loss(chance.logit(), truth)) == pytest.approx(-by_hand)
    assert float(centre_loss(chance.logit(), torch.zeros_like(truth))) > 0


def test_the_loss_of_regions_by_hand() -> None:
    scores = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64)).T.reshape(1, 3, 1, 2)
    place = torch.tensor([[[0, 2]]])
    cell = 1 - (2 * 0.9 + 1) / (0.3 + 0.9 + 1 + 1)
    nucleus = 1 - (2 * 0.8 + 1) / (0.1 + 0.8 + 1 + 1)
    assert float(region_loss(scores, place)) == pytest.approx(-math.log(0.7 * 0.8) / 2 + cell + nucleus)


def test_boxes_of_masks_are_those_of_torchvision_and_the_overlap_too() -> None:
    masks = torch.rand(5, 20, 30, generator=torch.Generator().manual_seed(0)) > 0.99
    masks[:, 4, 5] = True
    ours = tight(masks.numpy())
    np.testing.assert_array_equal(ours, masks_to_boxes(masks).numpy() + np.array([0, 0, 1, 1]))
    assert not tight(np.zeros((1, 4, 4), np.uint8)).any()
    boxes = corners(some_boxes(6, 3)) * 100
    theirs = box_iou(boxes, boxes)
    for at, one in enumerate(boxes.numpy()):
        assert [_overlap(one, two) for two in boxes.numpy()] == pytest.approx(theirs[at].tolist(), rel=1e-4)


def test_ellipses_fill_their_boxes_and_the_first_keeps_what_two_share() -> None:
    masks = discs(np.array([[2, 2, 22, 14], [12, 2, 32, 14]], np.float32), 16, 40)
    assert masks[0].sum() == pytest.approx(math.pi * 10 * 6, rel=0.03)
    np.testing.assert_array_equal(tight(masks)[0], [2, 2, 22, 14])
    assert ((masks > 0).sum(0) <= 1).all()
    assert masks[1].sum() < masks[0].sum()
    both = np.stack([masks[0], np.full_like(masks[0], 2)])
    np.testing.assert_array_equal(apart(both)[1] == 0, masks[0] == 1)


def test_a_mask_keeps_its_largest_part_and_loses_its_holes() -> None:
    mask = np.zeros((9, 12), np.uint8)
    mask[1:6, 1:6], mask[2:5, 2:5], mask[3, 3] = 1, 2, 0
    mask[7, 9:12] = 2
    wanted = mask.copy()
    wanted[3, 3], wanted[7] = 1, 0
    np.testing.assert_array_equal(cleaned(mask), wanted)
    assert not cleaned(np.zeros((3, 3), np.uint8)).any()
    np.testing.assert_array_equal(clipped(np.array([[-3, 2, 50, 9.0]]), 8, 40), [[0, 2, 40, 8]])


def test_the_largest_cells_are_kept_in_their_order() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 9, 9], [0, 0, 5, 5], [0, 0, 5, 5]], np.float32)
    cells = Cells(np.arange(4), boxes, None, np.zeros((4, 1), np.int64), np.ones(4, np.float32))
    assert known(cells, torch.device("cpu"), 2).labels.tolist() == [1, 2]
    assert known(cells, torch.device("cpu"), 9).labels.tolist() == [0, 1, 2, 3]
    assert known(cells, torch.device("cpu")).masks is None


@pytest.mark.parametrize(("height", "width"), [(48, 48), (48, 64)])
def test_views_move_cells_with_their_field(height: int, width: int) -> None:
    """What the masks say of the colours stays true, boxes stay tight, nothing given is changed, seeds repeat."""
    image, cells = field(3, 1, height, width)
    images = torch.from_numpy(np.stack([image] * 40)).permute(0, 3, 1, 2).float()
    truth = [cells] * 40
    views, moved = augment(images, truth, torch.Generator().manual_seed(0))
    again, _ = augment(images, truth, torch.Generator().manual_seed(0))
    assert torch.equal(views, again)
    assert views.shape == images.shape
    assert float(views.min()) >= 0
    assert float(views.max()) <= 1
    assert cells.masks is not None
    places = set()
    for view, one in zip(views, moved, strict=True):
        assert one.masks is not None
        np.testing.assert_array_equal(one.boxes, tight(one.masks))
        assert [int((one.masks == value).sum()) for value in (1, 2)] == [
            int((cells.masks == value).sum()) for value in (1, 2)
        ]
        green = view[1].numpy()
        assert green[one.masks[0] == 2].max() < green[one.masks[0] == 1].mean() < green[one.masks[0] == 0].mean()
        places.add(tuple(one.boxes[0]))
        assert one.labels is cells.labels
    assert len(places) == (8 if height == width else 4)
    assert torch.equal(images[0], images[1])


def test_views_of_boxes_without_masks_and_of_empty_fields() -> None:
    image, cells = field(3, 1, 40, 60)
    images = torch.from_numpy(np.stack([image] * 8)).permute(0, 3, 1, 2).float()
    with_masks = augment(images, [cells] * 8, torch.Generator().manual_seed(1))[1]
    without = augment(images, [cells._replace(masks=None)] * 8, torch.Generator().manual_seed(1))[1]
    for one, two in zip(with_masks, without, strict=True):
        np.testing.assert_array_equal(one.boxes, two.boxes)
        assert two.masks is None
    empty = augment(images, [none(2, 40, 60)] * 8, torch.Generator().manual_seed(1))[1]
    assert all(one.boxes.shape == (0, 4) and one.masks is not None and one.masks.shape == (0, 40, 60) for one in empty)
