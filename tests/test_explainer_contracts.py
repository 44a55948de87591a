"""What every explainer must keep, over every file in zoo/explainers."""

import copy
import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tiny import AttendingViT, TinyBackbone, TinyViT, classifier, images

from zoo import listing, registry
from zoo.errors import ZooError
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.ops import upsample
from zoo.types import Backbone

NAMES = registry.own("explainers")
TARGET = torch.tensor([0, 1, 2, 2, 0])
MASKS = torch.zeros(5, 16, 16, dtype=torch.bool)
MASKS[:, 4:9, 4:9] = True
QUICK = {"draws": 24, "masks": 24, "steps": 4, "segments": 12, "cells": 4}
"""Few passes, so that the suite stays quick; what is promised does not depend on their number."""
DRAWN = ("random", "smoothgrad", "gradient_shap", "lime", "kernel_shap", "rise")
"""These follow the seed."""


def build(name: str, **settings: int) -> Explainer:
    cls = registry.plugin("explainers", name)
    known = {field.name for field in fields(cls)}
    return cls(**{key: value for key, value in (QUICK | settings).items() if key in known})


def readable(explainer: Explainer, backbone: Backbone, **shape) -> Classifier:
    """Fitted on this backbone, or on the nearest one that the explainer reads."""
    corner = getattr(backbone, "corner", False)
    others = TinyBackbone(corner=corner), AttendingViT(corner) if corner else TinyViT()
    found = next(one for one in (backbone, *others) if explainer.refuses(one) is None)
    return classifier(found, **shape)


def explain(explainer, fitted, pictures, target, seed=0) -> Explanation:
    return explainer.explain_with(fitted, pictures, target, seed, MASKS[: len(pictures)])


@pytest.fixture
def backbone():
    return TinyBackbone(neck=True)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def explainer(name):
    return build(name)


@pytest.fixture
def fitted(explainer, backbone):
    return readable(explainer, backbone)


def looks(explainer: Explainer) -> bool:
    """Whether it looks at the backbone."""
    return explainer.needs not in ("nothing", "masks")


def asks(explainer: Explainer) -> bool:
    """Whether it asks about the target."""
    return looks(explainer) and explainer.needs not in ("maps", "attention")


def test_file(name):
    cls = registry.plugin("explainers", name)
    assert registry.summary("explainers", name).endswith(".")
    assert cls.__doc__
    assert cls.paper
    assert cls.floor == (cls.needs == "nothing")
    assert len(Path(inspect.getfile(cls)).read_text("utf-8").splitlines()) < 50


def test_shapes_and_range(explainer, fitted):
    found = explain(explainer, fitted, images(5), TARGET)
    n, height, width = found.saliency.shape
    assert n == 5
    assert 4 <= height <= 16
    assert 4 <= width <= 16
    for maps in (found.per_support, found.support_saliency):
        assert maps is None or maps.shape[:2] == (5, 2)
    for maps in found:
        assert maps is None or (maps.isfinite().all() and maps.min() >= 0 and maps.max() > 0 and not maps.requires_grad)


def test_an_image_alone_is_explained_as_in_a_batch(explainer, fitted):
    pictures = images(5)
    together = explain(explainer, fitted, pictures, TARGET)
    for i in (0, 3):
        alone = explain(explainer, fitted, pictures[i : i + 1], TARGET[i : i + 1])
        for one, all_ in zip(alone, together, strict=True):
            assert (one is None) == (all_ is None)
            if one is not None and all_ is not None:
                torch.testing.assert_close(one[0], all_[i], rtol=1e-4, atol=1e-5)


def test_same_seed_same_saliency_and_nothing_else_changes(name, explainer, fitted):
    pictures = images(2)
    state, copied = torch.random.get_rng_state(), pictures.clone()
    first = explain(explainer, fitted, pictures, TARGET[:2], seed=7).saliency
    with torch.no_grad():
        second = explain(explainer, fitted, pictures, TARGET[:2], seed=7).saliency
    assert torch.equal(first, second)
    assert torch.equal(first, explain(explainer, fitted, pictures, TARGET[:2], seed=8).saliency) == (name not in DRAWN)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(pictures, copied)
    assert not pictures.requires_grad
    assert not fitted.support_hidden.requires_grad
    assert not fitted.backbone.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in fitted.backbone.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in fitted.backbone.modules())


def test_only_explainers_that_ask_depend_on_the_target(explainer, fitted):
    pictures = images(2)
    first = explain(explainer, fitted, pictures, TARGET[:2]).saliency
    second = explain(explainer, fitted, pictures, (TARGET[:2] + 1) % 3).saliency
    assert torch.equal(first, second) == (not asks(explainer))


def test_other_weights_another_explanation(explainer, backbone):
    """An explainer that ignores the model would pass for an edge detector: here its map must change."""
    pictures = images(2)
    first = readable(explainer, backbone)
    other = copy.deepcopy(first.backbone)
    for number, parameter in enumerate(other.parameters()):
        noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
        parameter.data = parameter.data + noise * parameter.data.std(correction=0)
    maps = [explain(explainer, one, pictures, TARGET[:2]).saliency for one in (first, classifier(other))]
    alike = torch.corrcoef(torch.stack([one.flatten() for one in maps]))[0, 1]
    assert torch.equal(*maps) if not looks(explainer) else alike < 0.95


def blocks(n: int, seed: int) -> torch.Tensor:
    """4 x 4 squares of one colour, which superpixels follow, (n, 3, 16, 16)."""
    return images(n, seed, side=4).repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_planted_corner(name, explainer):
    """A backbone that sees nothing but the top left quarter is explained by that quarter: queries that resemble the
    one support of their class, and differ from it and from each other all over."""
    if not looks(explainer):
        pytest.skip("looks at no backbone")
    explainer = build(name, masks=512, draws=128, segments=16, cells=8)
    fitted = readable(explainer, TinyBackbone(corner=True), shots=(1, 1, 1))
    supports, labels = blocks(3, seed=1), torch.arange(3)
    hidden = fitted.backbone.hidden(supports).detach()
    support = fitted.support._replace(features=fitted.backbone.embed(hidden))
    fitted = replace(fitted, params=fitted.method.fit(None, support), support=support, support_hidden=hidden)
    saliency = explain(explainer, fitted, supports.lerp(blocks(3, seed=0), 0.2), labels).saliency
    rows, columns = (side // 2 for side in saliency.shape[1:])
    inside = saliency[:, :rows, :columns].sum((1, 2)) / saliency.sum((1, 2))
    assert (inside > 0.4).all(), "an even map has a quarter of its sum there"
    peak = saliency.flatten(1).argmax(1)
    assert (peak // saliency.shape[2] < rows).all()
    assert (peak % saliency.shape[2] < columns).all()


COLOURS = torch.eye(3)
"""Red, green, blue: one for each class."""
GREYS = torch.tensor([[0.7] * 3, [0.4] * 3])
"""What these detectors of a colour pass over, as the white around: the two other parts outweigh their own."""


def colour_detectors(explainer: Explainer, seed: int | None) -> Backbone:
    """Three channels, each of which answers to one pure colour, or three heads that attend to one; with a seed, the
    same weights shuffled."""
    backbone: Backbone = TinyBackbone(channels=3)
    weight = next(backbone.parameters())
    weight.data = (2 * COLOURS - 1)[:, :, None, None].repeat(1, 1, 4, 4) / 16
    if explainer.needs == "attention":
        backbone = AttendingViT()
    if seed is not None:
        random = torch.Generator().manual_seed(seed)
        for weight in backbone.parameters():
            weight.data = weight.data.flatten()[torch.randperm(weight.numel(), generator=random)].view_as(weight)
    return backbone


def coloured(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """White images with four squares of 4 x 4 pixels, one of the colour of its class (classes in turn), a darker one of
    a rival's and two grey ones, and a mask of the first two: (n, 3, 16, 16), (n, 16, 16) bool."""
    random = torch.Generator().manual_seed(seed)
    places = torch.stack([torch.randperm(16, generator=random)[:4] for _ in range(n)])
    small, mask = torch.ones(n, 3, 16), torch.zeros(n, 16, dtype=torch.bool)
    for row in range(n):
        rival = 0.5 * torch.rand((), generator=random) * COLOURS[(row + 1 + row // 3 % 2) % 3]
        small[row, :, places[row]] = torch.cat([COLOURS[row % 3][None], rival[None], GREYS]).T
        mask[row, places[row, :2]] = True
    grown = torch.cat([small, mask[:, None]], 1).view(n, 4, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return grown[:, :3], grown[:, 3] > 0


def test_with_shuffled_weights_more_than_half_of_the_lead_over_the_floor_is_lost(name, explainer):
    """The share of the saliency on the squares that decide: well above that of the edges (`sobel`), which are on all
    four squares, and with shuffled weights more than half of that lead is lost, mean of five shuffles."""
    if not looks(explainer):
        pytest.skip("looks at no backbone")
    explainer = build(name, masks=512, draws=128, segments=16, cells=8)
    pictures, cause = coloured(12, seed=0)
    target = torch.arange(12) % 3

    def share(one: Explainer, seed: int | None) -> float:
        fitted = classifier(colour_detectors(explainer, seed), shots=(2, 2, 2))
        hidden = fitted.backbone.hidden(coloured(6, seed=1)[0][[0, 3, 1, 4, 2, 5]]).detach()
        support = fitted.support._replace(features=fitted.backbone.embed(hidden))
        fitted = replace(fitted, params=fitted.method.fit(None, support), support=support, support_hidden=hidden)
        saliency = upsample(explain(one, fitted, pictures, target).saliency, 16, 16).relu()
        assert saliency.isfinite().all()
        return float(((saliency * cause).sum((1, 2)) / saliency.sum((1, 2)).clamp_min(1e-9)).mean())

    floor, real = share(build("sobel"), None), share(explainer, None)
    shuffled = sum(share(explainer, seed) for seed in range(5)) / 5
    assert real > floor + 0.15
    assert shuffled < (real + floor) / 2, (floor, real, shuffled)


@pytest.mark.parametrize("shots", [(1, 1), (1, 3, 2)])
def test_any_way_and_shot(explainer, shots):
    fitted = readable(explainer, TinyBackbone(), shots=shots)
    target = fitted(images(4)).argmax(1)
    found = explain(explainer, fitted, images(4), target)
    assert found.saliency.isfinite().all()
    assert found.saliency.flatten(1).amax(1).gt(0).all()
    for maps in (found.per_support, found.support_saliency):
        if maps is not None:
            real = torch.arange(max(shots)) < torch.tensor(shots)[target, None]
            assert torch.equal(maps.flatten(2).amax(2) > 0, real)


def test_images_need_not_be_square(explainer):
    if isinstance(readable(explainer, TinyBackbone()).backbone, TinyViT) or explainer.needs == "masks":
        pytest.skip("a grid of patches is square, and masks are as large as they are")
    fitted = classifier(TinyBackbone())
    wide = images(4, side=24)[:, :, :16]
    hidden = fitted.backbone.hidden(wide[:6]).detach()
    labels = torch.tensor([0, 0, 1, 2])
    features = fitted.backbone.embed(hidden)
    fitted = replace(fitted, support=fitted.support._replace(labels=labels, features=features), support_hidden=hidden)
    assert explain(explainer, fitted, wide, labels).saliency.shape in ((4, 4, 6), (4, 16, 24))


@pytest.mark.parametrize("pooled", [True, False])
def test_a_vision_transformer_is_explained_or_refused(name, explainer, pooled):
    fitted = classifier(TinyViT(pooled))
    if reason := explainer.refuses(fitted.backbone):
        with pytest.raises(ZooError, match=rf"'{name}' cannot read backbone 'tiny_vit': {reason}"):
            explain(explainer, fitted, images(2), TARGET[:2])
        return
    found = explain(explainer, fitted, images(2), TARGET[:2]).saliency
    assert found.isfinite().all()
    assert found.amax() > 0


def shown(what: Any) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(what)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    return " ".join("".join(" " if char in "│┃━─┏┓┗┛┡┩└┘┳┻┴┬╇┼├┤" else char for char in line) for line in lines)


def test_the_matrix_follows_from_the_contracts():
    text = " ".join(shown(listing.table("matrix")).split())
    assert f"prototypical {len(registry.usable('explainers'))} of" in text
    assert "its scores have no gradient: " in text
    assert "it does not compare with supports: " in text
    row = " ".join(shown(listing.details("matrix", "knn")).split())
    assert "grad_cam no: its scores have no gradient" in row
    assert "rise yes" in row
    column = " ".join(shown(listing.details("matrix", "siamcam")).split())
    assert "supervised no: it does not compare with supports" in column
    assert "stn yes" in column
    with pytest.raises(ZooError, match="unknown method or explainer 'siamcat': did you mean 'siamcam'"):
        listing.details("matrix", "siamcat")


def test_the_matrix_in_the_documents_is_true():
    """A plug-in that it does not know yet may be there; none that it names may be treated otherwise."""
    page = (Path(__file__).resolve().parents[1] / "leaderboard" / "matrix.md").read_text("utf-8")
    rows = {line.split(" | ")[0].strip("| `"): line for line in page.splitlines() if line.startswith("| `")}
    assert len(rows) >= 34
    for method, line in rows.items():
        for reason in line.rstrip(" |").split(" | ")[2].split("; "):
            why, _, names = reason.partition(": ")
            for name in names.split(", ") if names else []:
                found = registry.refusal(registry.plugin("methods", method), registry.plugin("explainers", name))
                assert found == why, f"{method}, {name}: run `zoo list matrix --markdown > leaderboard/matrix.md`"
        if line.rstrip(" |").endswith("| -"):
            cls = registry.plugin("methods", method)
            refused = [name for name in NAMES if registry.refusal(cls, registry.plugin("explainers", name))]
            assert not refused, f"{method}: run `zoo list matrix --markdown > leaderboard/matrix.md`"
    made = listing.markdown_matrix().splitlines()
    assert made[:6] == page.splitlines()[:6]
    assert len(made) == len([*registry.usable("methods")]) + 8


@pytest.mark.parametrize("method", registry.own("methods"))
def test_every_method_is_refused_by_its_contract_alone(method):
    """What `needs` asks for is what the method declares; floors and explainers by scores refuse nobody."""
    cls = registry.plugin("methods", method)
    for name in NAMES:
        explainer = registry.plugin("explainers", name)
        reason = registry.refusal(cls, explainer)
        if explainer.needs in ("gradient", "pixels"):
            assert (reason is None) == cls.differentiable
        elif explainer.needs == "support":
            assert (reason is None) == (cls.uses_support and cls.input == "embedding")
        else:
            assert reason is None
