"""One training step of the Siamese network: the plain way, and as `zoo` runs it on this machine, which is at least
twice as fast where the processor multiplies bf16.

Run by hand: uv run pytest benchmarks/speed/test_training.py
"""

import time
from collections.abc import Callable

import pytest
import torch

from zoo import registry
from zoo.methods.stn import STN
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import Device, InTraining, choose
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


def plain_pairs(backbone: Backbone, left: torch.Tensor, right: torch.Tensor, same: torch.Tensor) -> Callable[[], float]:
    """A Siamese loop as one writes it: two forward passes in float32, Hadsell's loss, AdamW."""
    optimiser = torch.optim.AdamW(backbone.parameters(), 1e-4)

    def run() -> float:
        a, b = (torch.nn.functional.normalize(backbone(images)) for images in (left, right))
        distance = (a - b).square().sum(1).add(1e-12).sqrt()
        loss = torch.where(same, distance.square(), (1 - distance).clamp_min(0).square()).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return run


def zoo_pairs(backbone: Backbone, left: torch.Tensor, right: torch.Tensor, same: torch.Tensor) -> Callable[[], float]:
    """The step of `zoo.pipeline.train` on the same pairs, at the precision that `zoo` chooses on this device."""
    method, training = STN(pairs="paper"), InTraining(backbone, choose("cpu"))
    optimiser = torch.optim.AdamW(backbone.parameters(), 1e-4)
    images = torch.cat([left, right]).contiguous(memory_format=torch.channels_last)
    labels = torch.cat([torch.zeros(len(left)), (~same).float()]).long()

    def run() -> float:
        loss = method.objective(training, None, images, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return run


@pytest.mark.parametrize("name", BACKBONES)
def test_pairs_per_second(benchmark, name: str) -> None:  # type: ignore[no-untyped-def]
    """Twice the plain loop's throughput and more, on the same pairs. The two take turns, so that whatever else the
    machine does slows both; the ratio is that of the fastest steps."""
    device = choose("cpu")
    if device.precision != "bf16":
        pytest.skip("this processor does not multiply bf16: zoo runs what the plain loop runs")
    random = torch.Generator().manual_seed(0)
    left, right = (torch.rand(BATCH // 2, 3, SIDE, SIDE, generator=random) for _ in range(2))
    same = torch.arange(BATCH // 2) % 2 == 0
    plain = plain_pairs(registry.backbone(name, None, pretrained=False).train(), left, right, same)
    network = registry.backbone(name, None, pretrained=False).train()
    with fast_depthwise(network, True):
        ours = zoo_pairs(network, left, right, same)
        assert ours() == pytest.approx(plain(), rel=0.15)  # the same work, but BatchNorm sees both halves together
        times: list[float] = []

        def in_turn() -> None:
            began = time.perf_counter()
            plain()
            times.append(time.perf_counter() - began)

        benchmark.group = "pairs"
        benchmark.pedantic(ours, setup=in_turn, rounds=7, warmup_rounds=1)
    ratio = min(times) / benchmark.stats.stats.min
    benchmark.extra_info["times the plain loop"] = round(ratio, 2)
    assert ratio >= 2
