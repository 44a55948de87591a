"""Explainers that take parts away, against captum, brute force and exact Shapley values."""

from itertools import combinations
from math import factorial

import captum.attr
import pytest
import torch
from tiny import TinyBackbone, TinyViT, classifier, images
from torch import Tensor

from zoo import registry
from zoo.attribution import Scoring, baseline, superpixels, windows
from zoo.explainers.activation_decomposition import ActivationDecomposition
from zoo.explainers.kernel_shap import KernelSHAP
from zoo.explainers.lime import LIME
from zoo.explainers.occlusion import Occlusion
from zoo.explainers.rise import RISE
from zoo.explainers.siamcam import SiamCAM

TARGET = torch.tensor([0, 1, 2, 0])


def blocks(n: int, seed: int = 0) -> Tensor:
    return images(n, seed, side=2).repeat_interleave(8, 2).repeat_interleave(8, 3)


def test_windows_tile_the_image() -> None:
    squares = windows((12, 8), 4)
    assert squares.shape == (9, 12, 8)
    assert torch.equal(squares[4].nonzero().amin(0), torch.tensor([3, 2]))
    assert torch.equal(squares[4].nonzero().amax(0), torch.tensor([8, 5]))
    assert squares.any(0).all()
    assert windows((13, 7), 5).any(0).all()
    assert windows((4, 4), 12).any(0).all()


def test_occlusion_equals_captum() -> None:
    fitted, query = classifier(TinyBackbone(neck=True)), images(4)
    explain = captum.attr.Occlusion(Scoring(fitted, "score"))
    expected = explain.attribute(query, (3, 8, 8), (3, 4, 4), torch.zeros_like(query), target=TARGET).mean(1).relu()
    found = Occlusion(of="score", cells=4, baseline="black").explain(fitted, query, TARGET, seed=0).saliency
    torch.testing.assert_close(found, expected.detach())
    assert found.amax() > 1e-3


@pytest.mark.parametrize("distance", ["l2", "cosine"])
def test_sbsm_square_by_square(distance: str) -> None:
    fitted, query = classifier(TinyBackbone(), shots=(2, 1)), images(3)
    target = torch.tensor([0, 1, 0])
    squares = windows((16, 16), 4)
    settings = {"cells": "4", "distance": distance, "baseline": "black"}
    found = registry.explainer("sbsm", settings).explain(fitted, query, target, seed=0)
    assert found.per_support is not None

    def away(image: Tensor, support: int) -> float:
        with torch.no_grad():
            f = fitted.method.compared(fitted.backbone.embed(fitted.backbone.hidden(image[None])))[0]
        s = fitted.method.compared(fitted.support.features)[support]
        return float((f - s).norm() if distance == "l2" else 1 - f @ s / (f.norm() * s.norm()))

    growth = sum(
        (away(query[0] * ~square, 1) - away(query[0], 1)) * square.float() for square in squares
    ) / squares.sum(0)
    assert isinstance(growth, Tensor)
    torch.testing.assert_close(found.per_support[0, 1], growth.relu(), rtol=1e-4, atol=1e-6)
    assert growth.amax() > 0


def test_superpixels_follow_colours_and_are_numbered_from_zero() -> None:
    segments = superpixels(blocks(1)[0], 4)
    assert segments.shape == (1, 1, 16, 16)
    assert segments.unique().tolist() == list(range(int(segments.max()) + 1))
    for number in segments.unique():
        assert blocks(1)[0][:, segments[0, 0] == number].unique(dim=1).shape[1] == 1, "a segment of two colours"
    assert superpixels(images(1)[0], 12).max() > 4, "noise ends in one segment"


def shapley(fitted, image: Tensor, target: int, segments: Tensor) -> Tensor:
    """Exact values of every segment: its mean gain over all coalitions of the others."""
    scoring, empty = Scoring(fitted, "margin"), baseline(image[None], "mean")[0]
    players = segments.unique().tolist()

    def value(members: tuple[int, ...]) -> float:
        kept = torch.isin(segments, torch.tensor(members, dtype=torch.long))
        return float(scoring.values(torch.where(kept, image, empty)[None], torch.tensor([target])))

    found = torch.zeros(len(players))
    for player in players:
        others = [one for one in players if one != player]
        for size in range(len(others) + 1):
            weight = factorial(size) * factorial(len(others) - size) / factorial(len(players))
            for members in combinations(others, size):
                found[player] += weight * (value((*members, player)) - value(members))
    return found


def test_kernel_shap_nears_exact_shapley_values() -> None:
    fitted, query = classifier(TinyBackbone(neck=True), shots=(1, 1, 1)), blocks(2)
    found = KernelSHAP(segments=4, draws=200).explain(fitted, query, TARGET[:2], seed=0).saliency
    for row in range(2):
        segments = superpixels(query[row], 4)[0, 0]
        expected = shapley(fitted, query[row], int(TARGET[row]), segments).relu()[segments]
        assert expected.amax() > 0
        torch.testing.assert_close(found[row], expected, rtol=0.05, atol=0.02 * float(expected.amax()))


def test_lime_finds_the_one_quarter_that_counts() -> None:
    fitted, query = classifier(TinyBackbone(corner=True), shots=(1, 1, 1)), blocks(4)
    target = fitted(query).argmax(1)
    found = LIME(segments=4, draws=64).explain(fitted, query, target, seed=0).saliency
    assert torch.equal(found[:, :8, :8].amax((1, 2)), found.amax((1, 2)))
    assert (found[:, :8, :8].sum((1, 2)) > 0.8 * found.sum((1, 2))).all()


def test_rise_by_hand() -> None:
    """Over the masks it drew: each mask times how much its score exceeds the mean."""
    from zoo.explainers.rise import _masks

    fitted, query = classifier(TinyBackbone()), images(2)
    found = RISE(masks=40, cells=4, baseline="black").explain(fitted, query, TARGET[:2], seed=3).saliency
    masks = _masks(40, 4, images(1).shape[2:], 3)
    assert masks.shape == (40, 16, 16)
    assert 0.4 < masks.mean() < 0.6
    scores = fitted(query[1] * masks[:, None]).detach()
    values = scores[:, 1] - scores.mean(1)
    expected = sum((value - values.mean()) * mask for value, mask in zip(values, masks, strict=True)) / 40
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(found[1], expected.relu(), rtol=1e-4, atol=1e-7)


def test_decomposition_adds_up_to_the_cosine_and_agrees_with_siamcam() -> None:
    fitted, query = classifier(TinyBackbone(), shots=(2, 2)), images(4)
    target = torch.tensor([0, 1, 0, 1])
    shares = ActivationDecomposition().shares(fitted, query, target)
    assert shares.shape == (4, 2, 4, 4, 4, 4)
    own = fitted.support.features.unflatten(0, (2, 2))[target]
    q = fitted.backbone.embed(fitted.backbone.hidden(query)).detach()
    torch.testing.assert_close(shares.sum((2, 3, 4, 5)), torch.cosine_similarity(q[:, None], own, dim=2))
    found = ActivationDecomposition().explain(fitted, query, target, seed=0)
    for one, other in zip(found[:3], SiamCAM(distance="inner").explain(fitted, query, target, seed=0)[:3], strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other)


def test_decomposition_of_one_point() -> None:
    fitted, query = classifier(TinyBackbone(), shots=(1, 1)), images(2)
    target = torch.tensor([0, 1])
    explainer = ActivationDecomposition(point="peak")
    shares, found = explainer.shares(fitted, query, target), explainer.explain(fitted, query, target, seed=0)
    for row in range(2):
        one = shares[row, 0]
        y, x = divmod(int(one.sum((2, 3)).argmax()), 4)
        v, u = divmod(int(one.sum((0, 1)).argmax()), 4)
        assert found.support_saliency is not None
        torch.testing.assert_close(found.support_saliency[row, 0], one[y, x])
        torch.testing.assert_close(found.saliency[row], one[:, :, v, u])


def test_it_refuses_what_it_would_get_wrong() -> None:
    refuses = ActivationDecomposition().refuses
    assert refuses(TinyBackbone()) is None
    for other in (TinyBackbone(neck=True), TinyViT()):
        assert refuses(other) == "its embedding is not the mean of its maps"


@pytest.mark.parametrize("name", ["score_cam", "rise", "occlusion", "lime", "kernel_shap", "ablation_cam"])
def test_they_ask_for_scores_alone(name: str) -> None:
    """So that they explain methods without a gradient."""
    assert registry.plugin("explainers", name).needs == "scores"
    assert registry.refusal(registry.plugin("methods", "knn"), registry.plugin("explainers", name)) is None
