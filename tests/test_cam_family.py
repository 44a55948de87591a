"""The CAM family against pytorch-grad-cam before it normalises, and against numbers that follow from the formulas."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_grad_cam import AblationCAM as TheirAblationCAM
from pytorch_grad_cam import GradCAM as TheirGradCAM
from pytorch_grad_cam import GradCAMPlusPlus, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam import HiResCAM as TheirHiResCAM
from pytorch_grad_cam.ablation_layer import AblationLayer
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from tiny import Nearest, TinyBackbone, TinyViT, classifier, images
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import registry
from zoo.explainers.ablation_cam import AblationCAM
from zoo.explainers.attention_rollout import AttentionRollout
from zoo.explainers.eigen_cam import EigenCAM
from zoo.explainers.hires_cam import HiResCAM
from zoo.explainers.score_cam import ScoreCAM as OurScoreCAM
from zoo.explaining import Classifier

TARGET = torch.tensor([0, 1, 2, 0, 1, 2])


@dataclass(frozen=True)
class Scaled(Nearest):
    """Scores so large that their 1e-6 in a denominator does not show."""

    factor: float = 1000.0

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return self.factor * super().scores(params, features)


class Uneven(TinyBackbone):
    """Places weigh unlike, so that gradients differ from place to place."""

    def embed(self, hidden: Tensor) -> Tensor:
        weight = torch.linspace(0, 1, hidden[0, 0].numel()).view(hidden.shape[2:])
        return self.neck((hidden * weight).tanh().mean((2, 3)))


class Network(nn.Module):
    """The classifier as a network with a layer of feature maps, as pytorch-grad-cam wants it."""

    def __init__(self, fitted: Classifier) -> None:
        super().__init__()
        self.fitted, self.backbone = fitted, fitted.backbone

    def forward(self, images: Tensor) -> Tensor:
        scores = self.fitted(images)
        return scores - scores.mean(1, keepdim=True)


def theirs(kind: Any, fitted: Classifier, query: Tensor, **options) -> Tensor:
    """The sum over channels that pytorch-grad-cam then rescales; its division by the score is undone by the caller."""
    network: Any = Network(fitted)
    layer = network.backbone.features
    targets: list[Callable[[Tensor], Tensor]] = [itemgetter(int(label)) for label in TARGET]
    with kind(network, [layer], **options) as cam:
        cam.batch_size = 8
        cam(query.clone().requires_grad_(), targets)
        found = cam.activations_and_grads
        maps = found.activations[0].numpy()
        gradients = found.gradients[0].numpy() if found.gradients else None
        return torch.from_numpy(cam.get_cam_image(query, layer, targets, maps, gradients, False)).float()


PEERS = {
    "grad_cam": TheirGradCAM, "grad_cam_pp": GradCAMPlusPlus, "hires_cam": TheirHiResCAM,
    "xgrad_cam": XGradCAM, "layer_cam": LayerCAM,
}  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
def test_gradient_cams_equal_pytorch_grad_cam(name: str) -> None:
    fitted = classifier(Uneven(pooled=False, neck=True))
    factor = 1000.0 if name == "grad_cam_pp" else 1.0
    fitted = replace(fitted, method=Scaled(factor=factor))
    query = images(6)
    found = registry.explainer(name).explain(fitted, query, TARGET, seed=0).saliency
    expected = theirs(PEERS[name], fitted, query).relu()
    assert expected.amax() > 0
    torch.testing.assert_close(found / factor, expected / factor, rtol=1e-4, atol=1e-5)


def test_grad_and_hires_differ_where_places_differ_and_only_there() -> None:
    query = images(6)
    for backbone, same in ((Uneven(pooled=False), False), (TinyBackbone(), True)):
        fitted = classifier(backbone)
        maps = [
            registry.explainer(name).explain(fitted, query, TARGET, 0).saliency for name in ("grad_cam", "hires_cam")
        ]
        assert torch.allclose(maps[0], maps[1], atol=1e-6) == same
    assert HiResCAM().explain(fitted, query, TARGET, 0).saliency.amax() > 0


def test_score_cam_equals_pytorch_grad_cam() -> None:
    """On black, and upsampled as they do: corners of the map to corners of the image."""
    fitted, query = classifier(TinyBackbone(neck=True)), images(6)
    with pytest.MonkeyPatch.context() as patch:

        def aligned(maps: Tensor, height: int, width: int) -> Tensor:
            return F.interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=True)[:, 0]

        patch.setattr("zoo.explainers.score_cam.upsample", aligned)
        found = OurScoreCAM(baseline="black").explain(fitted, query, TARGET, seed=0).saliency
    torch.testing.assert_close(found, theirs(ScoreCAM, fitted, query), rtol=0, atol=1e-5)
    assert found.amax() > 1e-3


def test_ablation_cam_equals_pytorch_grad_cam() -> None:
    fitted, query = classifier(TinyBackbone(neck=True)), images(6)
    found = AblationCAM().explain(fitted, query, TARGET, seed=0).saliency
    scores = Network(fitted)(query).detach().gather(1, TARGET[:, None])[:, :, None]
    expected = theirs(TheirAblationCAM, fitted, query, ablation_layer=AblationLayer(), batch_size=8) * scores
    torch.testing.assert_close(found, expected.relu(), rtol=0, atol=1e-5)
    assert found.amax() > 1e-3


@pytest.mark.parametrize("name", ["score_cam", "ablation_cam"])
def test_only_the_strongest_channels_count(name: str) -> None:
    """With room for one, the map is the strongest channel's own, or nothing where that speaks against the target."""
    fitted, query = classifier(TinyBackbone()), images(6)
    maps = fitted.backbone.hidden(query).detach()
    strongest = maps[torch.arange(6), maps.mean((2, 3)).argmax(1)]
    found = registry.explainer(name, {"channels": "1"}).explain(fitted, query, TARGET, 0).saliency
    shown = found.amax((1, 2)) > 0
    assert shown.any()
    for one, own in zip(found[shown], strongest[shown], strict=True):
        torch.testing.assert_close(one / one.amax(), own / own.amax())


def test_eigen_cam_is_the_first_principal_direction() -> None:
    """Their projection of the maps beside their negatives, which centring leaves alone, is ours up to its sign."""
    fitted, query = classifier(TinyBackbone()), images(6)
    maps = fitted.backbone.hidden(query).detach().numpy()
    expected = torch.from_numpy(np.asarray(get_2d_projection(np.concatenate([maps, -maps], 2)))[:, :4])
    expected = expected * expected.sum((1, 2), keepdim=True).sign()
    found = EigenCAM().explain(fitted, query, TARGET, seed=0).saliency
    torch.testing.assert_close(found, expected.relu(), rtol=0, atol=1e-5)
    assert found.amax() > 0.1


@pytest.mark.parametrize("pooled", [True, False])
def test_rollout_by_hand(pooled: bool) -> None:
    """Two blocks, their attention taken from timm's own formula written out here head by head."""
    fitted, query = classifier(TinyViT(pooled)), images(3)
    network: Any = fitted.backbone.network
    tokens = network._pos_embed(network.patch_embed((query - 0.5) / 0.5))
    flow = torch.eye(17)  # the class token is there, read or not
    for block in network.blocks:
        q, k, _ = block.attn.qkv(block.norm1(tokens)).chunk(3, dim=-1)
        heads = [(q[..., i : i + 8] @ k[..., i : i + 8].transpose(1, 2) / 8**0.5).softmax(-1) for i in (0, 8)]
        flow = 0.5 * (sum(heads) / 2 + torch.eye(len(flow[-1]))) @ flow
        tokens = block(tokens)
    prefix = network.num_prefix_tokens
    expected = flow[:, prefix:].mean(1)[:, prefix:] if pooled else flow[:, 0, prefix:]
    found = AttentionRollout().explain(fitted, query, TARGET[:3], seed=0).saliency
    torch.testing.assert_close(found.flatten(1), expected.detach(), rtol=0, atol=1e-6)
    assert found.std() > 1e-3
