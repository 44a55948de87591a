"""Contrast CAM against hand-worked shares: unequal supports, two classes, and what all classes share."""

import pytest
import torch
from tiny import TinyBackbone, classifier, images
from torch.nn import functional as F

from zoo.explainers.contrast_cam import ContrastCAM
from zoo.explainers.siamcam import SiamCAM


def shares(fitted, query):
    """Each place's signed share of the cosine of every query and support, (n, k, h, w), of a plain mean of maps."""
    maps, s = fitted.backbone.hidden(query).detach(), F.normalize(fitted.support_hidden.mean((2, 3)))
    q = maps.mean((2, 3))
    return torch.einsum("kc,nchw->nkhw", s, maps) / (q.norm(dim=1) * maps[0, 0].numel())[:, None, None, None]


@pytest.mark.parametrize("shots", [(2, 2, 2), (1, 3, 2), (1, 1)])
def test_is_the_share_of_the_class_less_that_of_the_others(shots):
    fitted = classifier(TinyBackbone(), shots=shots)
    query, target = images(6), torch.arange(6) % len(shots)
    found = ContrastCAM().explain(fitted, query, target, seed=0)
    every, labels, maps = shares(fitted, query), fitted.support.labels, fitted.backbone.hidden(query).detach()
    means = torch.stack([every[:, labels == label].mean(1) for label in range(len(shots))], 1)
    assert found.per_support is not None
    torch.testing.assert_close(
        found.support_saliency, SiamCAM().explain(fitted, query, target, seed=0).support_saliency
    )
    for i, label in enumerate(target.tolist()):
        others = (means[i].sum(0) - means[i, label]) / (len(shots) - 1)
        signed = means[i, label] - others
        assert (signed > 0).any(), "the planted case must show something"
        torch.testing.assert_close(found.saliency[i], signed.relu(), rtol=0, atol=1e-6)
        q, s = (F.normalize(fitted.backbone.embed(one)) for one in (maps[i : i + 1], fitted.support_hidden))
        cosine = q @ s.T
        rest = torch.stack([cosine[0, labels == one].mean() for one in range(len(shots)) if one != label]).mean()
        torch.testing.assert_close(signed.sum(), cosine[0, labels == label].mean() - rest)
        for place, support in enumerate((labels == label).nonzero().flatten().tolist()):
            own = every[i, support] - others
            expected = own.relu() if own.max() > 0 else own - own.min()
            torch.testing.assert_close(found.per_support[i, place], expected, rtol=0, atol=1e-6)
        assert not found.per_support[i, shots[label] :].any(), "places of missing supports stay empty"


def test_next_is_the_best_of_the_other_classes():
    fitted = classifier(TinyBackbone(), shots=(2, 2, 2))
    query = images(6)
    scores = fitted(query).detach()
    target = scores.argmax(1)
    rival = scores.argsort(1, descending=True)[:, 1]
    every = shares(fitted, query).unflatten(1, (3, 2)).mean(2)
    rows = torch.arange(6)
    signed = every[rows, target] - every[rows, rival]
    found = ContrastCAM(against="next").explain(fitted, query, target, seed=0).saliency
    lifted = torch.where(signed.amax((1, 2), True) > 0, signed.relu(), signed - signed.amin((1, 2), True))
    torch.testing.assert_close(found, lifted, rtol=0, atol=1e-6)


def test_what_every_class_has_in_common_cancels():
    """Every class with the same supports: likeness everywhere, and no reason for any of them."""
    fitted = classifier(TinyBackbone(), shots=(1, 1, 1))
    alike = fitted.support_hidden[:1].expand_as(fitted.support_hidden)
    same = type(fitted)(fitted.backbone, fitted.method, fitted.params, fitted.support, alike)
    found = ContrastCAM().explain(same, images(3), torch.tensor([0, 1, 2]), seed=0)
    assert found.saliency.abs().max() < 1e-6
