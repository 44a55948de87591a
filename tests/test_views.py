"""A backbone that looks at an image from several sides: `NAME@8`."""

import pytest
import torch
from tiny import TinyBackbone, TinyViT, classifier, images

from zoo import registry
from zoo.attribution import allowed, chain
from zoo.errors import ZooError
from zoo.pipeline import views


@pytest.mark.parametrize(("name", "own", "count"), [("conv4", "conv4", 1), ("conv4@2", "conv4", 2), ("x@8", "x", 8)])
def test_a_name_says_how_many_views(name: str, own: str, count: int) -> None:
    assert views.parse(name) == (own, count)


@pytest.mark.parametrize("name", ["conv4@", "conv4@1", "conv4@3", "conv4@eight", "conv4@8@2"])
def test_other_numbers_are_refused(name: str) -> None:
    with pytest.raises(ZooError, match="2, 4, 8 views; give conv4@8"):
        views.parse(name)


def test_one_view_is_the_backbone_itself() -> None:
    backbone = TinyBackbone()
    assert views.turned(backbone, 1) is backbone


@pytest.mark.parametrize(("count", "sides"), [
    (2, [lambda x: x, lambda x: x.flip(3)]),
    (4, [lambda x: x, lambda x: x.rot90(1, (2, 3)), lambda x: x.rot90(2, (2, 3)), lambda x: x.rot90(3, (2, 3))]),
])  # fmt: skip
def test_an_embedding_is_the_mean_of_those_of_the_views(count: int, sides: list) -> None:
    backbone = TinyBackbone()
    wanted = torch.stack([backbone(side(images(3))) for side in sides]).mean(0)
    torch.testing.assert_close(views.turned(backbone, count)(images(3)), wanted)


def test_maps_turn_with_the_image_and_the_embedding_stays() -> None:
    """Of eight views: exactly, up to rounding."""
    backbone, given = views.turned(TinyBackbone(), 8), images(3)
    for change in (lambda x: x.rot90(1, (2, 3)), lambda x: x.flip(3), lambda x: x.flip(2).rot90(1, (2, 3))):
        torch.testing.assert_close(backbone.hidden(change(given)), change(backbone.hidden(given)))
        torch.testing.assert_close(backbone(change(given)), backbone(given))
    assert not torch.allclose(TinyBackbone()(given.flip(3)), TinyBackbone()(given))


@pytest.mark.parametrize("name", ["siamcam", "grad_cam", "saliency", "guided_backprop", "occlusion"])
def test_explanations_turn_with_the_image(name: str) -> None:
    """Gradients to pixels pass through all eight views."""
    explainer, seen = registry.explainer(name), classifier(views.turned(TinyBackbone(), 8))
    given, target = images(3), torch.tensor([0, 1, 2])
    found, turned = (explainer.explain(seen, part, target, 0).saliency for part in (given, given.rot90(1, (2, 3))))
    assert found.abs().max() > 0
    torch.testing.assert_close(turned, found.rot90(1, (1, 2)), rtol=1e-4, atol=1e-6)


def test_siamcam_in_closed_form_is_that_of_autograd() -> None:
    found = []
    for pooled in (True, False):
        backbone = views.turned(TinyBackbone(), 8)
        backbone.mean_pooled = pooled
        explained = registry.explainer("siamcam").explain(classifier(backbone), images(3), torch.tensor([0, 1, 2]), 0)
        found.append(explained.saliency)
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)


def test_backbones_without_a_mean_of_maps_are_refused() -> None:
    for backbone in (TinyBackbone(pooled=False), TinyViT(), TinyViT(pooled=True)):
        with pytest.raises(ZooError, match=f"give {backbone.name}"):
            views.turned(backbone, 8)


def test_rules_that_need_a_layer_to_run_once_refuse() -> None:
    backbone = views.turned(TinyBackbone(), 4)
    assert chain(TinyBackbone()) is not None
    assert chain(backbone) is None
    for name in ("deeplift", "lrp"):
        allowed(registry.explainer(name), TinyBackbone())
        with pytest.raises(ZooError, match="cannot read backbone 'tiny@4'"):
            allowed(registry.explainer(name), backbone)
