"""What every explainer must keep, over every file in zoo/explainers."""

import inspect
from pathlib import Path

import pytest
import torch
from tiny import TinyBackbone, classifier, images

from zoo import registry

NAMES = registry.names("explainers")
TARGET = torch.tensor([0, 1, 2, 2, 0])


@pytest.fixture(params=[True, False], ids=["pooled", "embed"])
def fitted(request):
    return classifier(TinyBackbone(pooled=request.param, neck=True))


@pytest.fixture(params=NAMES)
def explainer(request):
    return registry.explainer(request.param)


@pytest.mark.parametrize("name", NAMES)
def test_file(name):
    cls = registry.plugin("explainers", name)
    assert registry.summary("explainers", name).endswith(".")
    assert cls.__doc__
    assert cls.paper
    assert cls.needs in ("gradient", "support", "nothing")
    assert cls.floor == (cls.needs == "nothing")
    assert len(Path(inspect.getfile(cls)).read_text("utf-8").splitlines()) < 50


def test_shapes_and_range(explainer, fitted):
    found = explainer.explain(fitted, images(5), TARGET, seed=0)
    n, height, width = found.saliency.shape
    assert n == 5
    assert 4 <= height <= 16
    assert 4 <= width <= 16
    for maps in (found.per_support, found.support_saliency):
        assert maps is None or maps.shape == (5, 2, height, width)
    for maps in found:
        assert maps is None or (maps.isfinite().all() and maps.min() >= 0 and maps.max() > 0 and not maps.requires_grad)


def test_an_image_alone_is_explained_as_in_a_batch(explainer, fitted):
    pictures = images(5)
    together = explainer.explain(fitted, pictures, TARGET, seed=0)
    for i in range(5):
        alone = explainer.explain(fitted, pictures[i : i + 1], TARGET[i : i + 1], seed=0)
        for one, all_ in zip(alone, together, strict=True):
            assert (one is None) == (all_ is None)
            if one is not None:
                torch.testing.assert_close(one[0], all_[i])


def test_same_seed_same_saliency_and_nothing_else_changes(explainer, fitted):
    pictures = images(5)
    state, copy = torch.random.get_rng_state(), pictures.clone()
    first = explainer.explain(fitted, pictures, TARGET, seed=7).saliency
    with torch.no_grad():
        second = explainer.explain(fitted, pictures, TARGET, seed=7).saliency
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(pictures, copy)
    assert not pictures.requires_grad
    assert not fitted.support_hidden.requires_grad
    assert not fitted.backbone.training
    assert all(parameter.grad is None for parameter in fitted.backbone.parameters())


def test_only_explainers_that_look_depend_on_the_target(explainer, fitted):
    pictures = images(5)
    first = explainer.explain(fitted, pictures, TARGET, seed=0).saliency
    second = explainer.explain(fitted, pictures, (TARGET + 1) % 3, seed=0).saliency
    assert torch.equal(first, second) == explainer.floor


def test_images_need_not_be_square(explainer):
    fitted = classifier(TinyBackbone())
    wide = images(4, side=24)[:, :, :16]
    hidden = fitted.backbone.hidden(wide[:6]).detach()
    labels = torch.tensor([0, 0, 1, 2])
    fitted = type(fitted)(fitted.backbone, fitted.method, fitted.params, fitted.support._replace(labels=labels), hidden)
    assert explainer.explain(fitted, wide, labels, seed=0).saliency.shape in ((4, 4, 6), (4, 16, 24))
