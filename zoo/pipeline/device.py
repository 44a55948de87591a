"""Device and precision, decided in one place."""

import contextlib
import ctypes
import resource
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.types import Backbone

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of malloc.h."""


@dataclass(frozen=True)
class Device:
    """Where tensors live and in which precision the backbone runs; heads always run in float32."""

    name: str
    precision: str

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.name, torch.bfloat16, enabled=self.precision == "bf16")

    def fabric(self, processes: int = 1) -> "Fabric":
        """Lightning Fabric on this device, in so many processes, each with a GPU of its own where there are GPUs.

        It runs at full precision: its own bf16 would take in heads and losses, where here the backbone alone asks
        for `autocast`.
        """
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy

        # A step may leave parts of a network unused: a method that reads maps never calls what follows them.
        together = DDPStrategy(start_method="spawn", find_unused_parameters=True)
        return Fabric(accelerator=self.name, devices=processes, strategy=together if processes > 1 else "auto")

    @property
    def title(self) -> str:
        return torch.cuda.get_device_name() if self.name == "cuda" else "cpu"


def choose(name: str = "auto", precision: str = "auto") -> Device:
    """The device asked for, or the GPU where there is one.

    bf16 is chosen where the hardware multiplies it, and the choice stays the same from run to run, as a timed one
    would not. `benchmarks/speed/test_training.py` shows what it is worth on a machine, backbone by backbone.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ZooError(f"--device {name}: choose auto, cpu or cuda")
    if precision not in ("auto", "fp32", "bf16"):
        raise ZooError(f"--precision {precision}: choose auto, fp32 or bf16")
    if name == "cuda" and not torch.cuda.is_available():
        raise ZooError("--device cuda: torch finds no CUDA device here; use --device cpu, or leave it out")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if name == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()
        precision = "bf16" if fast else "fp32"
    if name == "cpu":
        keep_memory()
    return Device(name, precision)


def keep_memory() -> None:
    """Let this process keep the memory that it frees, where the C library can (glibc).

    It otherwise hands every large tensor back to the system at once, and getting the next one anew, page by page, takes
    up to half of a forward pass; see `benchmarks/speed/test_memory.py`. What the process holds stays at its peak
    instead; arrays beyond a GiB still go back at once.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # musl, macOS and Windows have no mallopt
        library = ctypes.CDLL(None)
        for option, value in ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 64 << 20)):
            library.mallopt(option, value)


def return_memory() -> None:
    """Hand what this process has freed back to the system, where the C library can (glibc).

    Kept memory is cut into ever smaller pieces by tensors of many sizes, so that the process grows although it holds
    no more: a long job calls this between its parts. Getting the pages of one pass anew costs milliseconds.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # musl, macOS and Windows have no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory_mb() -> float:
    """Highest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


class InTraining(Backbone):
    """A backbone whose parts run at the device's precision and hand on what they computed as it is."""

    def __init__(self, backbone: Backbone, device: Device) -> None:
        super().__init__()
        self.inner = backbone.to(device.name).to(memory_format=torch.channels_last)
        self.device = device
        self.name, self.dim, self.mean_pooled = backbone.name, backbone.dim, backbone.mean_pooled
        self.views = backbone.views

    def hidden(self, images: Tensor) -> Tensor:
        with self.device.autocast():
            return self.inner.hidden(images.contiguous(memory_format=torch.channels_last))

    def embed(self, hidden: Tensor) -> Tensor:
        with self.device.autocast():
            return self.inner.embed(hidden)

    def neck(self, pooled: Tensor) -> Tensor:
        with self.device.autocast():
            return self.inner.neck(pooled)

    def trunk(self, images: Tensor) -> Tensor:
        with self.device.autocast():
            return self.inner.trunk(images.contiguous(memory_format=torch.channels_last))

    def tail(self, trunk: Tensor) -> Tensor:
        with self.device.autocast():
            return self.inner.tail(trunk)

    def grid(self, hidden: Tensor) -> Tensor:
        return self.inner.grid(hidden)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        with self.device.autocast():
            return self.inner.pyramid(images.contiguous(memory_format=torch.channels_last))


class AtPrecision(InTraining):
    """A trained backbone in eval mode that runs at the device's precision and hands out float32."""

    def __init__(self, backbone: Backbone, device: Device) -> None:
        super().__init__(backbone, device)
        self.eval()

    def hidden(self, images: Tensor) -> Tensor:
        return super().hidden(images).float()

    def embed(self, hidden: Tensor) -> Tensor:
        return super().embed(hidden).float()

    def neck(self, pooled: Tensor) -> Tensor:
        return super().neck(pooled).float()

    def trunk(self, images: Tensor) -> Tensor:
        return super().trunk(images).float()

    def tail(self, trunk: Tensor) -> Tensor:
        return super().tail(trunk).float()

    def pyramid(self, images: Tensor) -> list[Tensor]:
        return [level.float() for level in super().pyramid(images)]
