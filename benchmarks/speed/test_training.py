"""One training step of the Siamese network: the plain way, and as `zoo` runs it on this machine.

Run by hand: uv run pytest benchmarks/speed/test_training.py
"""

from collections.abc import Callable

import pytest
import torch

from zoo import registry
from zoo.methods.stn import STN
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import Device
from zoo.types import Backbone

BATCH, SIDE = 32, 160
BACKBONES = ["conv4", "mobilenetv2_100", "tf_efficientnet_lite0", "resnet18"]
WAYS = {
    "fp32, as torch comes": (Device("cpu", "fp32"), torch.contiguous_format, False),
    "fp32, channels last": (Device("cpu", "fp32"), torch.channels_last, False),
    "bf16, channels last": (Device("cpu", "bf16"), torch.channels_last, False),
    "bf16, channels last, fast depthwise": (Device("cpu", "bf16"), torch.channels_last, True),
}


def step(backbone: Backbone, images: torch.Tensor, device: Device) -> Callable[[], float]:
    """Forward, loss of all pairs, backward; no optimiser, which costs the same everywhere."""
    labels = torch.arange(len(images)) % 8

    def run() -> float:
        with device.autocast():
            features = backbone(images)
        loss = STN().loss(None, features.float(), labels)
        backbone.zero_grad(set_to_none=True)
        loss.backward()
        return float(loss.detach())

    return run


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BACKBONES)
def test_step(benchmark, name: str, way: str) -> None:  # type: ignore[no-untyped-def]
    device, layout, fast = WAYS[way]
    backbone = registry.backbone(name, None, pretrained=False).to(memory_format=layout).train()
    images = torch.rand(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=layout
    )
    expected = step(backbone, images, Device("cpu", "fp32"))()
    with fast_depthwise(backbone, fast):
        run = step(backbone, images, device)
        assert run() == pytest.approx(expected, rel=0.1)  # the same work, up to bf16's rounding
        benchmark.group = name
        benchmark.extra_info["images"] = BATCH
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)


