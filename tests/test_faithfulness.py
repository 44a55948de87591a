"""Metrics of faithfulness: by hand, and against Quantus, captum and pytorch-grad-cam on the same tensors."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from marked import LEFT_FIRST, WHITE, Network, colourful, explained, lit
from tiny import TinyBackbone, images

from zoo.metrics.explanation.abpc import AreaBetweenCurves
from zoo.metrics.explanation.comprehensiveness import Comprehensiveness
from zoo.metrics.explanation.faithfulness_correlation import FaithfulnessCorrelation
from zoo.metrics.explanation.infidelity import Infidelity
from zoo.metrics.explanation.pair_deletion import PairDeletion
from zoo.metrics.explanation.pair_insertion import PairInsertion
from zoo.metrics.explanation.road import NOISE, Road, imputed
from zoo.metrics.explanation.sufficiency import Sufficiency
from zoo.perturbation import curve, pixel_order, pixel_rank


@pytest.fixture(scope="module")
def network():
    return Network(TinyBackbone())


def test_abpc_by_hand():
    # Target 0, left pixels go first: 1, 1/2, 0, 0, 0; last: 1, 1, 1, 1/2, 0. Target 1 the other way round.
    first, last = (0.5 + 0.5) / 4, (0.5 + 1 + 1 + 0.5) / 4
    area = AreaBetweenCurves(steps=4).measure(explained(WHITE, LEFT_FIRST, lit))
    assert area.tolist() == [last - first, first - last]


def test_sufficiency_and_comprehensiveness_by_hand():
    # 10 x 10 pixels, saliency row by row from the top left; probability = share of white pixels
    saliency = -torch.arange(100.0).view(1, 10, 10)
    given = explained(torch.ones(1, 3, 10, 10), saliency, lambda x, t: x[:, 0].mean((1, 2)))
    mean = (0.01 + 0.05 + 0.1 + 0.2 + 0.5) / 5
    assert float(Sufficiency().measure(given)) == pytest.approx(1 - mean)
    assert float(Comprehensiveness().measure(given)) == pytest.approx(mean)
    worthless = explained(torch.ones(1, 3, 10, 10), saliency, lambda x, t: x[:, 0, 5:].mean((1, 2)))
    assert float(Comprehensiveness().measure(worthless)) == 0
    assert float(Sufficiency().measure(worthless)) == pytest.approx(1)


def test_curves_equal_pixel_flipping_of_quantus(network):
    """Quantus flips single colour values: ranked pixel by pixel it flips the same ones in the same steps."""
    import quantus

    black: Any = 0.0
    pictures, saliency, steps = images(3, side=24), images(3, seed=5, side=24)[:, 0], 36
    given = explained(pictures, saliency, network.probability)
    rank = pixel_rank(saliency)
    ours = curve(given, rank, [576 * step // steps for step in range(1, steps + 1)], "image", "fill")
    ranked = (576 - rank).unsqueeze(1) * 3.0 + torch.arange(3.0).view(3, 1, 1)
    theirs = quantus.PixelFlipping(
        features_in_step=3 * 576 // steps, perturb_baseline=black, normalise=False, disable_warnings=True
    )(
        model=network, x_batch=pictures.numpy(), y_batch=given.target.numpy(), a_batch=ranked.numpy(), softmax=False,
        device="cpu",
    )  # fmt: skip
    np.testing.assert_allclose(ours.numpy(), np.array(theirs), atol=1e-5)
    assert ours.std() > 0.02


def test_faithfulness_correlation_by_hand():
    # The probability is the sum of weights of what is left: the fall is the weight of what is gone, exactly linear
    weight = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)) / 64
    pictures = torch.ones(1, 3, 8, 8)

    def probability(x, target):
        return (x[:, 0] * weight).sum((1, 2))

    metric = FaithfulnessCorrelation(grid=8)
    for saliency, right in ((weight, 1), (-3 * weight + 2, -1), (torch.full((1, 8, 8), 0.3), 0)):
        assert float(metric.measure(explained(pictures, saliency, probability))) == pytest.approx(right, abs=1e-4)
    subsets = FaithfulnessCorrelation(grid=4, share=0.25).subsets(explained(images(1), images(1)[:, 0]))
    assert subsets.sum((1, 2)).tolist() == [4 * 16] * 50
    assert (subsets.float().unfold(1, 4, 4).unfold(2, 4, 4).flatten(-2).std(-1) == 0).all(), "squares stay whole"


def test_faithfulness_correlation_equals_quantus(network, monkeypatch):
    """Their subsets are single values of a one-channel explanation; ours on a grid as fine as the image."""
    import quantus

    black: Any = 0.0
    pictures, saliency = images(2), images(2, seed=5)[:, 0]
    given, metric = explained(pictures, saliency, network.probability), FaithfulnessCorrelation(draws=20, grid=16)
    subsets = [np.flatnonzero(np.broadcast_to(gone, (3, 16, 16))) for gone in metric.subsets(given).numpy()]
    turn = iter([subset for subset in subsets for _ in range(2)])
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(turn))
    theirs = quantus.FaithfulnessCorrelation(
        nr_runs=20, subset_size=len(subsets[0]), perturb_baseline=black, normalise=False, return_aggregate=False,
        disable_warnings=True,
    )(
        model=network, x_batch=pictures.numpy(), y_batch=given.target.numpy(), a_batch=saliency[:, None].numpy(),
        softmax=False, device="cpu",
    )  # fmt: skip
    np.testing.assert_allclose(metric.measure(given).numpy(), theirs, atol=1e-4)


def test_infidelity_by_hand():
    weight = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)) / 64

    def probability(x, target):
        return (x[:, 0] * weight).sum((1, 2))

    pictures = torch.ones(1, 3, 8, 8)
    squares = Infidelity().squares(explained(pictures, weight))
    fall = (squares * weight).sum((1, 2))
    for saliency, right in ((weight, 0.0), (-5 * weight, 0.0), (torch.zeros(1, 8, 8), float(fall.square().mean()))):
        found = Infidelity().measure(explained(pictures, saliency, probability))
        assert float(found) == pytest.approx(right, abs=1e-9)
    found = Infidelity(scaled="one").measure(explained(pictures, 3 * weight, probability))
    assert float(found) == pytest.approx(float((2 * fall).square().mean()), rel=1e-4)
    for gone in squares:
        rows, columns = gone.any(1), gone.any(0)
        assert int(gone.sum()) == int(rows.sum()) * int(columns.sum())
        assert 1 <= int(rows.sum()) <= 4


@pytest.mark.parametrize("scaled", ["best", "one"])
def test_infidelity_equals_captum(network, scaled):
    """Captum's own is fed our squares: for attributions that are multiplied by the input a change is an indicator."""
    from captum.metrics import infidelity

    pictures, saliency = images(2), images(2, seed=5)[:, 0] / 50
    given, metric = explained(pictures, saliency, network.probability), Infidelity(draws=12, scaled=scaled)
    squares = iter(metric.squares(given))

    def perturb(inputs):
        gone = next(squares).expand(len(inputs), 3, -1, -1)
        one_channel = gone * torch.tensor([1.0, 0, 0]).view(3, 1, 1)
        return one_channel, inputs * ~gone

    theirs = infidelity(
        lambda x: network.probability(x, given.target), perturb, pictures, saliency[:, None].expand(-1, 3, -1, -1),
        n_perturb_samples=12, max_examples_per_batch=2, normalize=scaled == "best",
    )  # fmt: skip
    torch.testing.assert_close(metric.measure(given), theirs.float(), atol=1e-6, rtol=1e-4)


def test_perturbations_that_ignore_the_saliency_are_shared_between_explainers(network):
    passes = []

    def probability(x, target):
        passes.append(len(x))
        return network.probability(x, target)

    shared: dict[str, torch.Tensor] = {}
    for metric in (FaithfulnessCorrelation(), Infidelity()):
        metric.measure(explained(images(2), images(2, seed=5)[:, 0], probability, shared=shared))
    assert sum(passes) == 2 + 2 * 50 + 2 * 50
    found = [
        metric.measure(explained(images(2), images(2, seed=6)[:, 0], probability, shared=shared))
        for metric in (FaithfulnessCorrelation(), Infidelity())
    ]
    assert sum(passes) == 202
    alone = FaithfulnessCorrelation().measure(explained(images(2), images(2, seed=6)[:, 0], network.probability))
    torch.testing.assert_close(found[0], alone)


def test_imputation_by_hand():
    # One removed pixel in the middle of 3 x 3: the mean of its neighbours, direct ones twice as heavy
    image = np.arange(9.0).reshape(1, 3, 3) ** 2
    gone = np.zeros((3, 3), bool)
    gone[1, 1] = True
    right = ((1 + 9 + 25 + 49) / 6) + (0 + 4 + 36 + 64) / 12
    assert imputed(image, gone)[0, 1, 1] == pytest.approx(right)
    # In the corner three neighbours are left; their weights are rescaled to one
    corner = np.zeros((3, 3), bool)
    corner[0, 0] = True
    assert imputed(image, corner)[0, 0, 0] == pytest.approx((1 / 6 + 9 / 6 + 16 / 12) / (1 / 6 + 1 / 6 + 1 / 12))
    assert np.array_equal(imputed(image, np.zeros((3, 3), bool)), image)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_imputation_equals_pytorch_grad_cam(share):
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    image = images(1, side=24)[0]
    kept = (pixel_order(images(1, seed=3, side=24)[:, 0]).argsort()[0] >= share * 576).view(24, 24)
    theirs = NoisyLinearImputer(noise=0)(image, kept.float())
    np.testing.assert_allclose(imputed(image.numpy(), ~kept.numpy()), theirs.numpy(), atol=1e-5)


def test_road_equals_a_plain_loop(network):
    pictures, saliency = images(2), images(2, seed=5)[:, 0]
    found = Road(steps=4).measure(explained(pictures, saliency, network.probability))
    noise = NOISE * torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    for number in range(2):
        ranked, heights = pixel_order(saliency)[number], {1: [], -1: []}
        for way in (1, -1):
            for count in (64, 128, 192):
                gone = torch.zeros(256, dtype=torch.bool)
                gone[ranked[:count] if way == 1 else ranked[-count:]] = True
                gone = gone.view(16, 16)
                picture = torch.from_numpy(imputed(pictures[number].numpy(), gone.numpy())) + noise * gone
                target = torch.tensor([number % 2])
                heights[way].append(float(network.probability(picture[None], target)))
        right = (np.mean(heights[-1]) - np.mean(heights[1])) / 2
        assert float(found[number]) == pytest.approx(right, abs=1e-6)
    assert Road().measure(explained(pictures, saliency, colourful)).abs().max() <= 0.5


def test_pair_curves_by_hand():
    """Similarity to support 0 = share of white in the left half, to support 1 in the right half."""

    def likeness(pictures, target):
        return torch.stack([lit(pictures, target * 0), lit(pictures, target * 0 + 1)], 1)

    first, last = (0.5 + 0.5) / 4, (0.5 + 1 + 1 + 0.5) / 4
    given = explained(WHITE, LEFT_FIRST, likeness=likeness)
    assert PairDeletion(steps=4).measure(given).tolist() == [(first + last) / 2] * 2
    # With a map for each support, both take their own half away first
    own = torch.stack([LEFT_FIRST, LEFT_FIRST.flip(2)], 1)
    given = explained(WHITE, LEFT_FIRST, likeness=likeness, per_support=own)
    assert PairDeletion(steps=4).measure(given).tolist() == [first] * 2
    assert PairInsertion(steps=4).measure(given).tolist() == [1.0] * 2  # the blur of a white image is white


def test_a_missing_support_does_not_count():
    def likeness(pictures, target):
        return torch.tensor([[0.25, math.nan]]).expand(len(pictures), 2)

    cases: list[dict[str, Any]] = [{}, {"per_support": torch.stack([LEFT_FIRST, 0 * LEFT_FIRST], 1)}]
    for more in cases:
        given = explained(WHITE, LEFT_FIRST, likeness=likeness, **more)
        assert PairDeletion(steps=4).measure(given).tolist() == [0.25] * 2
