"""Grad-CAM against captum and a planted truth."""

import pytest
import torch
from captum.attr import LayerGradCam
from tiny import TinyBackbone, classifier, images
from torch import nn

from zoo.explainers.grad_cam import GradCAM


class Network(nn.Module):
    """The classifier as a network with a layer of feature maps, as captum wants it."""

    def __init__(self, fitted, of):
        super().__init__()
        self.layer, self.fitted, self.of = fitted.backbone.features, fitted, of

    def forward(self, images):
        scores = self.fitted(images)
        return scores if self.of == "score" else scores - scores.mean(1, keepdim=True)


@pytest.mark.parametrize("of", ["score", "margin"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("neck", [True, False])
def test_equals_captum(normalise, neck, of):
    fitted = classifier(TinyBackbone(neck=neck), normalise=normalise)
    query, target = images(40), torch.arange(40) % 3
    network = Network(fitted, of)
    expected = LayerGradCam(network, network.layer).attribute(query, target=target, relu_attributions=True)
    assert isinstance(expected, torch.Tensor)
    found = GradCAM(of=of).explain(fitted, query, target, seed=0).saliency
    torch.testing.assert_close(found, expected.squeeze(1).detach(), rtol=0, atol=1e-5)
    assert found.amax() > 1e-3


def test_planted_corner():
    fitted = classifier(TinyBackbone(corner=True))
    found = GradCAM().explain(fitted, images(6), torch.tensor([0, 1, 2, 0, 1, 2]), seed=0).saliency
    assert (found.sum((1, 2)) > 0).all()
    torch.testing.assert_close(found[:, :2, :2].sum((1, 2)), found.sum((1, 2)))


def test_leaves_no_gradient_behind():
    fitted = classifier(TinyBackbone(neck=True))
    GradCAM().explain(fitted, images(2), torch.tensor([0, 1]), seed=0)
    assert all(parameter.grad is None for parameter in fitted.backbone.parameters())
