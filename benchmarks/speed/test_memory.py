"""A forward pass as the C library comes and with the memory that a process frees kept, as `zoo` asks on a CPU.

Run by hand: uv run pytest benchmarks/speed/test_memory.py
"""

import subprocess
import sys

import pytest

PASS = """
import os, sys, torch
from zoo import registry
from zoo.pipeline.device import AtPrecision, Device, keep_memory

if sys.argv[1] == "kept":
    keep_memory()
backbone = AtPrecision(registry.backbone(sys.argv[2], None, pretrained=False), Device("cpu", sys.argv[3]))
images = torch.rand(64, 3, 224, 224, generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    backbone(images)
    taken = []
    for _ in range(8):
        before = os.times()
        backbone(images)
        after = os.times()
        taken.append(after.user + after.system - before.user - before.system)
print(min(taken))
"""


def seconds(way: str, backbone: str, precision: str) -> float:
    """Of the processor, so that other work on the machine does not count."""
    return float(subprocess.check_output([sys.executable, "-c", PASS, way, backbone, precision], text=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("backbone", ["mobilenetv2_100", "resnet18"])
def test_forward(benchmark, backbone: str, precision: str) -> None:  # type: ignore[no-untyped-def]
    taken: dict[str, float] = {}

    def both() -> None:
        taken.update({way: seconds(way, backbone, precision) for way in ("as it comes", "kept")})

    benchmark.pedantic(both, rounds=1)
    ratio = taken["as it comes"] / taken["kept"]
    benchmark.extra_info["times as fast with the memory kept"] = round(ratio, 2)
    assert ratio > 0.95
