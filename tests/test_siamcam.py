"""SiamCAM against plain autograd through the maps, a planted truth and numbers worked out by hand."""

import pytest
import torch
from tiny import TinyBackbone, TinyViT, classifier, images
from torch.nn import functional as F

from zoo.explainers.siamcam import SiamCAM
from zoo.explaining import Classifier
from zoo.types import Backbone, Support


def slow(classifier, query, support, distance):
    """The CAMs of one pair, by a backward pass from the distance to both feature maps."""
    a, b = (hidden.clone().requires_grad_() for hidden in (query[None], support[None]))
    left, right = (classifier.method.compared(classifier.backbone.embed(hidden)) for hidden in (a, b))
    if distance == "l2":
        away = (left - right).norm()
    elif distance == "cosine":
        away = 1 - F.cosine_similarity(left, right)
    else:
        x, y = (classifier.backbone.embed(hidden) for hidden in (a, b))
        away = -(x * F.normalize(right).detach()).sum() / x.norm().detach()
        away = away - (y * F.normalize(left).detach()).sum() / y.norm().detach()
    away.sum().backward()
    cams = []
    for hidden in (a, b):
        assert hidden.grad is not None
        weights = -classifier.backbone.grid(hidden.grad).mean((2, 3), keepdim=True)
        cam = (weights * classifier.backbone.grid(hidden)).sum((0, 1)).detach()
        cams.append(cam.relu() if cam.max() > 0 else cam - cam.min())
    return cams


@pytest.mark.parametrize("distance", ["l2", "cosine", "inner"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("neck", [True, False])
@pytest.mark.parametrize("pooled", [True, False])
def test_equals_autograd_through_the_maps(distance, normalise, neck, pooled):
    fitted = classifier(TinyBackbone(pooled=pooled, neck=neck), shots=(3, 3), normalise=normalise)
    query, target = images(40), torch.arange(40) % 2
    found = SiamCAM(distance=distance).explain(fitted, query, target, seed=0)
    assert found.per_support is not None
    assert found.support_saliency is not None
    hidden = fitted.backbone.hidden(query).detach()
    for i in range(0, 40, 7):
        for j in range(3):
            a, b = slow(fitted, hidden[i], fitted.support_hidden[3 * int(target[i]) + j], distance)
            torch.testing.assert_close(found.per_support[i, j], a, rtol=0, atol=1e-6)
            torch.testing.assert_close(found.support_saliency[i, j], b, rtol=0, atol=1e-6)
    assert found.per_support.amax() > 1e-3


@pytest.mark.parametrize("distance", ["l2", "cosine", "inner"])
@pytest.mark.parametrize("pooled", [True, False], ids=["mean-pooled", "class token"])
def test_equals_autograd_on_vision_transformers(distance, pooled):
    """The closed form through the mean over patches, and the form that goes through the last block."""
    fitted = classifier(TinyViT(pooled), shots=(2, 2))
    query, target = images(3), torch.tensor([0, 1, 1])
    found = SiamCAM(distance=distance).explain(fitted, query, target, seed=0)
    assert found.per_support is not None
    assert found.support_saliency is not None
    hidden = fitted.backbone.hidden(query).detach()
    for i in range(3):
        for j in range(2):
            a, b = slow(fitted, hidden[i], fitted.support_hidden[2 * int(target[i]) + j], distance)
            torch.testing.assert_close(found.per_support[i, j], a, rtol=0, atol=1e-6)
            torch.testing.assert_close(found.support_saliency[i, j], b, rtol=0, atol=1e-6)
    assert found.per_support.amax() > 1e-3


def test_difference_is_each_places_share_of_what_the_cosine_lacks():
    """Why not this class? Signed shares of 1 - cosine, by hand; the map is their positive part."""
    fitted = classifier(TinyBackbone(), shots=(1, 1))
    query, target = images(4), torch.tensor([0, 1, 0, 1])
    found = SiamCAM(shows="difference").explain(fitted, query, target, seed=0)
    maps, support = fitted.backbone.hidden(query).detach(), fitted.support_hidden[target]
    q, s = F.normalize(maps.mean((2, 3))), F.normalize(support.mean((2, 3)))
    lacks = 1 - (q * s).sum(1)
    for side, own, one, other in ((found.saliency, maps, q, s), (found.support_saliency, support, s, q)):
        shares = torch.einsum("nc,nchw->nhw", one - other, own) / (own.mean((2, 3)).norm(dim=1) * 16)[:, None, None]
        torch.testing.assert_close(shares.sum((1, 2)), lacks)
        assert side is not None
        torch.testing.assert_close(side.reshape(shares.shape), shares.relu())
    assert (found.saliency.amax((1, 2)) > 0).all()


@pytest.mark.parametrize("distance", ["l2", "cosine"])
def test_difference_is_the_other_sign_of_the_gradient(distance):
    fitted = classifier(TinyBackbone(neck=True), shots=(1, 1))
    query, target = images(6), torch.zeros(6, dtype=torch.long)
    like, unlike = (
        SiamCAM(distance=distance, shows=shows).explain(fitted, query, target, seed=0).saliency
        for shows in ("likeness", "difference")
    )
    mixed = (like.amin((1, 2)) == 0) & (unlike.amin((1, 2)) == 0)  # neither was negative everywhere
    assert mixed.any()
    assert ((like > 0) & (unlike > 0))[mixed].sum() == 0


def test_the_published_closed_form_for_unit_supports():
    """Cosine, mean pooling: ReLU((<s, A(x)> - cos <q/|q|, A(x)>) / (|q| hw)) with s of length one."""
    fitted = classifier(TinyBackbone(), shots=(1, 1))
    query = images(1)
    maps = fitted.backbone.hidden(query)[0].detach()
    q, s = maps.mean((1, 2)), F.normalize(fitted.support_hidden[0].mean((1, 2)), dim=0)
    along = torch.einsum("c,chw->hw", s, maps) - F.cosine_similarity(q, s, dim=0) * torch.einsum(
        "c,chw->hw", F.normalize(q, dim=0), maps
    )
    expected = (along / (q.norm() * 16)).relu()
    found = SiamCAM(distance="cosine").explain(fitted, query, torch.tensor([0]), seed=0).saliency[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("distance", ["l2", "cosine", "inner"])
@pytest.mark.parametrize("pooled", [True, False])
def test_planted_corner(distance, pooled):
    fitted = classifier(TinyBackbone(pooled=pooled, corner=True))
    found = SiamCAM(distance=distance).explain(fitted, images(6), torch.tensor([0, 1, 2, 0, 1, 2]), seed=0)
    assert found.support_saliency is not None
    for maps in (found.saliency, found.support_saliency):
        assert (maps.sum((-2, -1)) > 0).all()
        torch.testing.assert_close(maps[..., :2, :2].sum((-2, -1)), maps.sum((-2, -1)))


def test_inner_is_each_places_share_of_the_cosine():
    fitted = classifier(TinyBackbone(), shots=(2, 2))
    query, target = images(4), torch.tensor([0, 1, 0, 1])
    found = SiamCAM(distance="inner").explain(fitted, query, target, seed=0)
    q, s = (hidden.mean((2, 3)).detach() for hidden in (fitted.backbone.hidden(query), fitted.support_hidden))
    own = s.unflatten(0, (2, 2))[target]
    cosine = F.cosine_similarity(q[:, None], own, dim=2)
    for maps in (found.per_support, found.support_saliency):  # ReLU maps: no place is negative, so the shares add up
        assert maps is not None
        torch.testing.assert_close(maps.sum((2, 3)), cosine)


class Cached(Backbone):
    """Images that already are maps."""

    name, dim, mean_pooled = "cached", 2, True

    def hidden(self, images):
        return images

    def embed(self, hidden):
        return hidden.mean((2, 3))

    def grid(self, hidden):
        return hidden


def explain(query, supports, **settings):
    """Saliency of one query of two-channel maps towards supports of one class, as they are compared by hand."""
    backbone, method = Cached(), classifier(TinyBackbone(), normalise=False).method
    labels = torch.zeros(len(supports), dtype=torch.long)
    support = Support(supports.mean((2, 3)), labels, torch.tensor([0]))
    fitted = Classifier(backbone, method, method.fit(None, support), support, supports)
    return SiamCAM(**{"distance": "l2", **settings}).explain(fitted, query, torch.tensor([0]), seed=0)


QUERY = torch.tensor([[[[4.0, 0.0]], [[0.0, 2.0]]]])  # pooled (2, 1)
NEAR = torch.tensor([[[[4.0, 6.0]], [[2.0, 0.0]]]])  # pooled (5, 1)
FAR = torch.tensor([[[[0.0, 0.0]], [[2.0, 8.0]]]])  # pooled (0, 5)
SMALL = torch.tensor([[[[0.0, 2.0]], [[0.0, 0.0]]]])  # pooled (1, 0)


def test_by_hand():
    # s - q = (3, 0), length 3, two places: weights (1/2, 0) on the query, (-1/2, 0) on the support
    found = explain(QUERY, NEAR)
    assert found.saliency.tolist() == [[[2, 0]]]
    assert found.support_saliency is not None
    # (-2, -3) on the support: negative everywhere, so lifted by 3
    assert found.support_saliency.tolist() == [[[[1, 0]]]]


def test_negative_everywhere_keeps_its_order():
    # s - q = (-1, -1), length sqrt 2, two places: -1/sqrt 8 each, maps (4, 0) and (0, 2) -> (-4, -2)/sqrt 8
    torch.testing.assert_close(explain(QUERY, SMALL).saliency, torch.tensor([[[0, 2 / 8**0.5]]]))


def test_combined_over_the_supports_of_the_class():
    # towards FAR: (-2, 4)/sqrt 20 / 2 -> (-8, 8)/sqrt 80 -> (0, 8/sqrt 80)
    far = 8 / 80**0.5
    both = torch.cat([NEAR, FAR])
    torch.testing.assert_close(explain(QUERY, both).saliency, torch.tensor([[[1.0, far / 2]]]))
    torch.testing.assert_close(explain(QUERY, both, combine="max").saliency, torch.tensor([[[2.0, far]]]))


def test_classes_of_unlike_sizes():
    fitted = classifier(TinyBackbone(), shots=(1, 3))
    found = SiamCAM().explain(fitted, images(2), torch.tensor([0, 1]), seed=0)
    assert found.per_support is not None
    assert found.per_support.shape == (2, 3, 4, 4)
    assert found.per_support[0, 1:].eq(0).all()
    torch.testing.assert_close(found.saliency[0], found.per_support[0, 0])
    torch.testing.assert_close(found.saliency[1], found.per_support[1].mean(0))


def test_identical_pair_is_finite():
    fitted = classifier(TinyBackbone(), normalise=False)
    with torch.no_grad():
        found = SiamCAM().explain(fitted, images(6, seed=1)[:1], torch.tensor([0]), seed=0)
    assert found.saliency.isfinite().all()


def test_inference_tensors_are_welcome():
    with torch.inference_mode():
        fitted = classifier(TinyBackbone())
    assert SiamCAM().explain(fitted, images(2), torch.tensor([0, 1]), seed=0).saliency.amax() > 0
