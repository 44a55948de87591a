"""Explainers by gradients at the pixels against captum, and the ground they stand on."""

import captum.attr
import numpy as np
import pytest
import torch
from captum.attr import GradientShap, NoiseTunnel
from tiny import TinyBackbone, TinyViT, classifier, images
from torch import Tensor, nn

from zoo import registry
from zoo.attribution import Scoring, baseline, chain, generator
from zoo.explainers.deeplift import DeepLIFT
from zoo.explainers.gradient_shap import GradientSHAP
from zoo.explainers.guided_backprop import GuidedBackprop
from zoo.explainers.integrated_gradients import IntegratedGradients
from zoo.explainers.integrated_jacobians import IntegratedJacobians
from zoo.explainers.lrp import LRP
from zoo.explainers.smoothgrad import SmoothGrad
from zoo.explaining import Classifier
from zoo.pipeline.device import AtPrecision, choose

TARGET = torch.tensor([0, 1, 2, 0])
PIXELS = [name for name in registry.names("explainers") if registry.plugin("explainers", name).needs == "pixels"]


class Network(nn.Module):
    """The classifier as captum wants it, written out."""

    def __init__(self, fitted: Classifier) -> None:
        super().__init__()
        self.backbone, self.fitted = fitted.backbone, fitted

    def forward(self, images: Tensor) -> Tensor:
        scores = self.fitted(images)
        return scores - scores.sum(1, keepdim=True) / scores.shape[1]


@pytest.fixture
def fitted() -> Classifier:
    return classifier(TinyBackbone(neck=True))


def captum_of(kind: str, fitted: Classifier, query: Tensor, **options) -> Tensor:
    return getattr(captum.attr, kind)(Network(fitted)).attribute(
        query.clone().requires_grad_(), target=TARGET, **options
    )


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("saliency", "Saliency", {}),
        ("input_x_gradient", "InputXGradient", {}),
        ("guided_backprop", "GuidedBackprop", {}),
        ("deeplift", "DeepLift", {"baselines": None}),
        ("integrated_gradients", "IntegratedGradients", {"baselines": None, "n_steps": 32}),
    ],
)
def test_equals_captum(name: str, kind: str, options: dict, fitted: Classifier) -> None:
    query = images(4)
    if "baselines" in options:
        options = options | {"baselines": query.mean((2, 3), keepdim=True).expand_as(query)}
    expected = captum_of(kind, fitted, query, **options).detach()
    strongest = name in ("saliency", "guided_backprop")
    expected = expected.abs().amax(1) if strongest else expected.sum(1).relu()
    found = registry.explainer(name).explain(fitted, query, TARGET, seed=0).saliency
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert found.amax() > 1e-3


def test_smoothgrad_equals_captum_on_the_same_noise(fitted: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    query = images(4)
    noise = torch.cat([torch.randn(16, 3, 16, 16, generator=generator(image, 5)) for image in query])
    monkeypatch.setattr(torch, "normal", lambda mean, std: noise * std)
    tunnel = NoiseTunnel(captum.attr.Saliency(Network(fitted)))
    expected = tunnel.attribute(query, nt_samples=16, stdevs=0.15, target=TARGET, abs=False)
    assert isinstance(expected, Tensor)
    found = SmoothGrad().explain(fitted, query, TARGET, seed=5).saliency
    torch.testing.assert_close(found, expected.detach().abs().amax(1), rtol=1e-5, atol=1e-7)


def test_gradient_shap_equals_captum_on_the_same_draws(fitted: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    query, draws = images(1), 8
    random = generator(query[0], 5)
    chosen = torch.randint(2, (draws,), generator=random)
    way = torch.rand(draws, 1, 1, 1, generator=random)
    noise = torch.randn(draws, 3, 16, 16, generator=random)
    monkeypatch.setattr(torch, "normal", lambda mean, std: noise * std)
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: way.flatten().numpy())
    monkeypatch.setattr(np.random, "choice", lambda number, size: chosen.numpy())
    empty = torch.cat([baseline(query, "mean"), baseline(query, "blur")])
    expected = GradientShap(Network(fitted)).attribute(query, empty, draws, 0.09, target=TARGET[:1]).sum(1).relu()
    found = GradientSHAP(draws=draws).explain(fitted, query, TARGET[:1], seed=5).saliency
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-7)
    assert found.amax() > 1e-4


@pytest.mark.parametrize("kind", ["IntegratedGradients", "DeepLift"])
def test_captum_attributions_add_up_through_our_classifier(kind: str) -> None:
    """Features as they are: squared distances are smooth, so what the pixels add up to can be checked."""
    fitted, query = classifier(TinyBackbone(), normalise=False), images(4)
    empty = torch.zeros_like(query)
    total = captum_of(kind, fitted, query, baselines=empty).sum((1, 2, 3))
    scoring = Scoring(fitted, "margin")
    gained = scoring.values(query, TARGET) - scoring.values(empty, TARGET)
    torch.testing.assert_close(total.detach(), gained, rtol=1e-3, atol=1e-4)


def test_integrated_gradients_from_black_or_blurred_differ(fitted: Classifier) -> None:
    maps = [IntegratedGradients(baseline=kind).explain(fitted, images(4), TARGET, 0).saliency
            for kind in ("mean", "blur", "black")]  # fmt: skip
    assert not torch.allclose(maps[0], maps[1])
    assert not torch.allclose(maps[0], maps[2])


def test_integrated_jacobians_add_up() -> None:
    """All places together: the product of both images' differences from the empty one."""
    for backbone in (TinyBackbone(neck=True), TinyBackbone(pooled=False)):
        fitted, query = classifier(backbone, shots=(2, 2)), images(4)
        target = torch.tensor([0, 1, 1, 0])
        explainer = IntegratedJacobians(steps=400)
        with torch.no_grad():
            f = fitted.method.compared(fitted.backbone.embed(fitted.backbone.hidden(query)))
            r = fitted.method.compared(fitted.backbone.embed(fitted.backbone.hidden(baseline(query, "mean"))))
            s = fitted.method.compared(fitted.support.features).unflatten(0, (2, 2))[target]
        expected = torch.einsum("nd,nsd->ns", f - r, s - r[:, None])
        for side in explainer.shares(fitted, query, target):
            torch.testing.assert_close(side.sum((2, 3)), expected, rtol=2e-3, atol=1e-5)


def test_lrp_with_rule_epsilon_is_input_times_gradient() -> None:
    """For ReLU networks without bias; and it adds up to the score's own first-order part."""
    fitted, query = classifier(TinyBackbone(), normalise=False), images(4)
    expected = captum_of("InputXGradient", fitted, query).sum(1).relu()
    found = LRP(gamma=0).explain(fitted, query, TARGET, seed=0).saliency
    torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=1e-5)
    assert not torch.allclose(LRP().explain(fitted, query, TARGET, seed=0).saliency, found)


class Branched(TinyBackbone):
    """A sum of two branches after the first layers."""

    def hidden(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        return maps + maps.square()


def with_activation(layer: nn.Module) -> TinyBackbone:
    backbone = TinyBackbone()
    backbone.features[1] = layer
    return backbone


def test_lrp_folds_batch_normalisation_and_refuses_branches() -> None:
    conv4 = registry.backbone("conv4", None, pretrained=False).eval()
    for layer in conv4.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.fill_(0.1)  # type: ignore[union-attr]
            layer.weight.data.fill_(1.5)
    assert LRP().refuses(conv4) is None
    assert LRP().refuses(Branched()) == LRP().refuses(TinyViT()) == "its layers are no plain chain"
    assert LRP().refuses(with_activation(nn.SiLU())) == "there is no rule for SiLU"
    fitted = classifier(AtPrecision(conv4.requires_grad_(False), choose("cpu", "fp32")))
    query = images(2, side=32)
    start, layers = chain(fitted.backbone, query) or (query, [])
    assert [type(layer).__name__ for layer in layers] == ["Conv2d", "ReLU", "MaxPool2d"] * 4
    torch.testing.assert_close(nn.Sequential(*layers)(start), fitted.backbone.hidden(query), rtol=1e-4, atol=1e-5)
    assert LRP().explain(fitted, query, TARGET[:2], seed=0).saliency.amax() > 0
    assert [module.inplace for module in conv4.modules() if isinstance(module, nn.ReLU)] == [True] * 4


def test_refusals_name_what_is_missing() -> None:
    smooth, clipped = with_activation(nn.SiLU()), with_activation(nn.ReLU6(inplace=True))
    assert GuidedBackprop().refuses(smooth) == "its rule is for ReLU, and there is none"
    assert DeepLIFT().refuses(smooth) == "its rule is not defined for SiLU"
    assert GuidedBackprop().refuses(clipped) is None
    assert DeepLIFT().refuses(clipped) is None


def test_relu6_is_guided_as_relu() -> None:
    """The rewritten backbone computes the same, in layers that captum knows."""
    backbone = with_activation(nn.ReLU6(inplace=True))
    next(backbone.features.parameters()).data.mul_(9)  # so that some places are clipped
    fitted, query = classifier(backbone), images(4)
    scoring = Scoring(fitted, "margin")
    assert fitted.backbone.hidden(query).amax() == 6
    torch.testing.assert_close(scoring.rewritten()(query), scoring(query))
    found = GuidedBackprop().explain(fitted, query, TARGET, seed=0).saliency
    assert found.amax() > 0
    assert not torch.allclose(found, registry.explainer("saliency").explain(fitted, query, TARGET, 0).saliency)
    assert isinstance(backbone.features[1], nn.ReLU6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_pass_through_the_backbone_of_the_pipeline(precision: str) -> None:
    """Frozen, channels last, under autocast: as runs explain."""
    backbone = AtPrecision(TinyBackbone(neck=True).requires_grad_(False), choose("cpu", precision))
    fitted = classifier(backbone)
    for name in PIXELS:
        found = registry.explainer(name).explain(fitted, images(2), TARGET[:2], seed=0).saliency
        assert found.isfinite().all()
        assert found.amax() > 0
        assert found.dtype == torch.float32
