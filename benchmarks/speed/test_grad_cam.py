"""Grad-CAM of a batch against pytorch-grad-cam on the same network and targets: the same maps, up to its scaling."""

import copy
import time
from dataclasses import replace
from typing import Any

import torch
from pytorch_grad_cam import GradCAM as TheirGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from zoo import registry
from zoo.explainers.grad_cam import GradCAM
from zoo.explaining import Classifier
from zoo.pipeline.device import AtPrecision, choose
from zoo.types import Support

N, SIDE, WAY, SHOT = 32, 192, 8, 5


def classifier() -> Classifier:
    """Prototypical, on a random mobilenetv2 in fp32, so that both sides compute the same."""
    network = registry.backbone("mobilenetv2_100", None, pretrained=False).requires_grad_(False)
    backbone, method = AtPrecision(network, choose("cpu", "fp32")), registry.method("prototypical")
    with torch.no_grad():
        hidden = backbone.hidden(torch.rand(WAY * SHOT, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)))
    support = Support(backbone.embed(hidden), torch.arange(WAY).repeat_interleave(SHOT), torch.arange(WAY))
    return Classifier(backbone, method, method.fit(None, support), support, hidden)


class Network(nn.Module):
    """The classifier with its maps as a layer, which the peer hooks; its weights with gradients, as networks come."""

    def __init__(self, fitted: Classifier) -> None:
        super().__init__()
        self.backbone, self.maps = copy.deepcopy(fitted.backbone).requires_grad_(True), nn.Identity()
        self.fitted = replace(fitted, backbone=self.backbone)

    def forward(self, images):
        scores = self.fitted.from_hidden(self.maps(self.backbone.hidden(images)))
        return scores - scores.mean(1, keepdim=True)


def test_against_pytorch_grad_cam(benchmark):
    fitted = classifier()
    images = torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    target = torch.arange(N) % WAY
    network = Network(fitted)
    peer = TheirGradCAM(network, [network.maps])
    targets: Any = [ClassifierOutputTarget(int(label)) for label in target]
    found = benchmark(lambda: GradCAM().explain(fitted, images, target, seed=0).saliency)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        peer(images, targets)
        seconds.append(time.perf_counter() - start)
    hooked = peer.activations_and_grads
    maps, gradients = hooked.activations[0], hooked.gradients[0]
    expected = (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()
    torch.testing.assert_close(found / found.amax(), expected / expected.amax(), rtol=0, atol=1e-5)
    start = time.perf_counter()
    with torch.no_grad():
        fitted(images)
    forward = time.perf_counter() - start
    benchmark.extra_info["gain over pytorch-grad-cam"] = round(min(seconds) / benchmark.stats.stats.min, 2)
    benchmark.extra_info["times the forward pass alone"] = round(benchmark.stats.stats.min / forward, 2)
    assert min(seconds) > benchmark.stats.stats.min
