"""The device and what is asked of it."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from zoo import registry
from zoo.pipeline.device import choose

if sys.argv[1] == "chosen":
    choose("cpu", "fp32")
backbone, images = registry.backbone("conv4", None, pretrained=False).eval(), torch.rand(32, 3, 84, 84)
with torch.inference_mode():
    for turn in range(6):
        if turn == 3:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        backbone(images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(way: str) -> int:
    """Memory pages that three forward passes get from the system, after three others."""
    return int(subprocess.check_output([sys.executable, "-c", FAULTS, way], text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to keep freed memory")
def test_a_forward_pass_takes_the_memory_of_the_one_before() -> None:
    assert faults("chosen") * 20 < faults("not chosen")
