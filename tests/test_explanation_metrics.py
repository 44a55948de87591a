"""Explanation metrics on images of a few pixels, and against a plain loop."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from marked import LEFT_FIRST, WHITE, colourful, explained, lit
from scipy.ndimage import gaussian_filter
from tiny import images

from zoo import ops, registry
from zoo.errors import ZooError
from zoo.explaining import Drops
from zoo.metrics.explanation.deletion import Deletion
from zoo.metrics.explanation.insertion import Insertion
from zoo.metrics.explanation.pointing_game import PointingGame
from zoo.metrics.explanation.saliency_jaccard import SaliencyJaccard
from zoo.perturbation import SIGMA, pixel_order


def test_deletion_by_hand():
    # Target 0, left pixels go first: 1, 1/2, 0, 0, 0 -> area (1/2 + 1/2 + 0)/4 = (1/2 + 1/2 + 0 + 0 + 0)/4
    # Target 1, the same order:       1, 1, 1, 1/2, 0 -> (1/2 + 1 + 1 + 1/2 + 0)/4
    area = Deletion(steps=4).measure(explained(WHITE, LEFT_FIRST, lit))
    assert area.tolist() == [(0.5 + 0.5) / 4, (0.5 + 1 + 1 + 0.5) / 4]


def test_insertion_by_hand():
    # An image of one colour is its own blur, so a probability of 1/4 stays: area 1/4
    area = Insertion(steps=4).measure(explained(WHITE, LEFT_FIRST, lambda x, t: torch.full((len(x),), 0.25)))
    assert area.tolist() == [0.25, 0.25]


def test_insertion_brings_the_most_salient_back_first():
    # Of an image with one white pixel only that pixel is ever 1; it comes back in the first of four steps, or the last
    pictures = torch.zeros(2, 3, 2, 2)
    pictures[0, :, 0, 0] = pictures[1, :, 1, 1] = 1
    found = Insertion(steps=4).measure(explained(pictures, LEFT_FIRST, lit))
    half = 0.5  # one of the two pixels of the target's half
    assert found.tolist() == [half * (0.5 + 1 + 1 + 1) / 4, half * 0.5 / 4]


@pytest.mark.parametrize("steps", [1, 7, 10])
def test_curves_equal_a_plain_loop(steps):
    pictures, saliency = images(13), images(13, seed=5)[:, 0]  # 13 x 11 images: more than one chunk
    fill = torch.tensor([0.1, 0.2, 0.3])
    given = explained(pictures, saliency, colourful, fill=(0.1, 0.2, 0.3))
    deleted, inserted = Deletion(steps).measure(given), Insertion(steps).measure(given)
    for i in range(13):
        blurred = torch.from_numpy(gaussian_filter(pictures[i].numpy(), (0, 1.6, 1.6), mode="constant", truncate=9))
        blurred /= torch.from_numpy(gaussian_filter(torch.ones(3, 16, 16).numpy(), (0, 1.6, 1.6), mode="constant",
                                                    truncate=9))  # fmt: skip
        ranked = sorted(range(256), key=lambda pixel: -float(saliency[i].flatten()[pixel]))
        for start, end, found in (
            (pictures[i], fill.view(3, 1, 1).expand(3, 16, 16), deleted[i]),
            (blurred, pictures[i], inserted[i]),
        ):
            heights = []
            for step in range(steps + 1):
                picture = start.clone()
                for pixel in ranked[: round(step / steps * 256)]:
                    picture[:, pixel // 16, pixel % 16] = end[:, pixel // 16, pixel % 16]
                heights.append(float(colourful(picture[None], given.target[i])))
            area = sum((a + b) / 2 for a, b in pairwise(heights)) / steps
            assert float(found) == pytest.approx(area, abs=1e-5)
    assert pytest.approx(1.6) == SIGMA * 16


def test_forward_passes_are_batched_and_the_ends_shared():
    sizes = []

    def probability(pictures, target):
        sizes.append(len(pictures))
        return lit(pictures, target)

    given = explained(images(20), images(20)[:, 0], probability)
    first = Deletion().measure(given)
    # 20 images at 9 fractions and both ends, 32 at a time
    assert sorted(sizes) == [28, 32, 32, 32, 32, 32, 32]
    sizes.clear()
    assert torch.equal(Deletion().measure(replace(given, saliency=given.saliency)), first)
    assert sorted(sizes) == [20, 32, 32, 32, 32, 32], "the ends of another explainer's curves are known"
    sizes.clear()
    Insertion().measure(given)
    assert sorted(sizes) == [8, 32, 32, 32, 32, 32, 32], "the whole image is known, the blurred one is not"


def test_ties_are_scattered_and_fixed():
    even = pixel_order(torch.zeros(2, 32, 32))
    assert torch.equal(even[0], even[1])
    assert even[0].sort().values.tolist() == list(range(1024))
    rows = (even[0, :512] // 32).float()
    assert abs(float(rows.mean()) - 15.5) < 1.5  # row-major order would give 7.5
    top = torch.zeros(1, 32, 32)
    top[0, 20, 30] = 1
    assert int(pixel_order(top)[0, 0]) == 20 * 32 + 30


def test_too_few_steps():
    with pytest.raises(ZooError, match="steps=0"):
        Deletion(steps=0).measure(explained(WHITE, LEFT_FIRST, lit))


MASKS = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]]).bool()


def test_jaccard_by_hand():
    # Above the median: pixels 4 and 3, the left column; the mask is the top row: 1 of 3. No cell: 0.
    given = explained(WHITE, LEFT_FIRST, masks=MASKS, threshold=0.5)
    torch.testing.assert_close(SaliencyJaccard().measure(given), torch.tensor([1 / 3, 0.0]))


def test_an_even_map_marks_nothing():
    assert not ops.above_quantile(torch.ones(1, 4, 4), 0.3).any()


def test_best_threshold():
    # The cell is the 5 brightest of 20 pixels: the quantile 0.75 marks just these
    saliency = torch.arange(20.0).view(1, 4, 5)
    assert ops.best_threshold(saliency, saliency >= 15) == 0.75
    # Two cells of 5 and 15 pixels: any quantile in between is a compromise; the mean of the two decides
    both = torch.cat([saliency, saliency])
    masks = torch.cat([saliency >= 15, saliency >= 5])
    share = {q: (min(n, 5) / max(n, 5) + min(n, 15) / max(n, 15)) / 2 for q in range(1, 20) for n in [20 - q]}
    assert ops.best_threshold(both, masks) == max(share, key=lambda q: share[q]) / 20


def test_pointing_game_by_hand():
    # The maximum is the top left pixel: on the first mask; the second image has no cell
    assert PointingGame().measure(explained(WHITE, LEFT_FIRST, masks=MASKS)).tolist() == [1, 0]
    assert PointingGame().measure(explained(WHITE, -LEFT_FIRST, masks=MASKS)).tolist() == [0, 0]


SIGNED = {  # metrics whose numbers may be below 0
    "abpc", "sufficiency", "comprehensiveness", "faithfulness_correlation", "road", "mprt", "pair_deletion",
    "pair_insertion", "randomised_weights", "randomised_labels", "attribute_drop", "attribute_class_drop",
    "saliency_agreement",
}  # fmt: skip


def dropped(given):
    return Drops(given.images.mean((1, 2, 3)), given.images[:, 0].amax((1, 2)) - 0.5)


def whole():
    """Five images with all that any metric may ask for; every function sees the content of an image alone."""

    def explain(pictures, target):
        return pictures.mean(1).square()

    def likeness(pictures, target):
        return torch.stack([pictures.mean((1, 2, 3)), pictures[:, 0].amax((1, 2))], 1)

    given = explained(
        images(5), images(5, seed=2)[:, 0], colourful, images(5, seed=4)[:, 0] > 0.5, 0.5, pseudo_threshold=0.4,
        explain=explain, likeness=likeness,
    )  # fmt: skip
    given = replace(given, drops=lambda: dropped(given), reference=lambda: given.images[:, 1])
    return replace(given, randomised=lambda what: explain(given.images, given.target))


@pytest.mark.parametrize("name", registry.own("metrics/explanation"))
def test_contract(name):
    metric = registry.explanation_metric(name)
    assert registry.summary("metrics/explanation", name).endswith(".")
    given = whole()
    values = metric.measure(given)
    assert values.shape == (5,)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert len(values.unique()) > 1
    if name not in {"mprt", "max_sensitivity"}:
        assert (values.abs() <= 1).all()
    if name not in SIGNED:
        assert (values >= 0).all()
    alone = []
    for i in range(5):
        rows = {key: getattr(given, key)[i : i + 1] for key in ("images", "saliency", "target", "masks")}
        one = replace(given, **rows, shared={})
        own: dict[str, Any] = {"drops": lambda one=one: dropped(one), "reference": lambda one=one: one.images[:, 1]}
        alone.append(metric.measure(replace(one, randomised=lambda _, one=one: one.images.mean(1).square(), **own)))
    torch.testing.assert_close(torch.cat(alone), values)
    bare = explained(images(1), images(1)[:, 0], colourful)
    needs = {
        "mprt": "random", "randomised_weights": "random", "randomised_labels": "shuffled", "pair_deletion": "support",
        "pair_insertion": "support", "max_sensitivity": "images", "pseudo_jaccard": "threshold",
        "attribute_drop": "attribute heads", "attribute_class_drop": "attribute heads",
        "saliency_agreement": "saliency", "shuffled_deletion": "random", "shuffled_insertion": "random",
    }  # fmt: skip
    if metric.needs_masks or name in needs:
        with pytest.raises(ZooError, match=needs.get(name, "masks")):
            metric.measure(bare)
    else:
        metric.measure(bare)


def test_upsampling_keeps_the_mean_of_a_smooth_map():
    small = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    large = ops.upsample(small, 4, 4)[0]
    # Pixel centres at 1/8, 3/8, 5/8, 7/8 of the side; those of the map at 1/4 and 3/4
    assert large[0].tolist() == [0, 0.25, 0.75, 1]
    assert large[:, 0].tolist() == [0, 0.5, 1.5, 2]
