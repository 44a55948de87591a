"""Training in several processes: each has its share of every batch, and the first keeps the checkpoint."""

import contextlib
import functools
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

import torch

from zoo.errors import ZooError
from zoo.pipeline.device import Device, keep_memory
from zoo.pipeline.progress import training
from zoo.pipeline.train import train

if TYPE_CHECKING:
    from lightning_fabric import Fabric


# Which process has which number is no news to who asked for two; set where new processes come by before they say it.
for chatty in ("distributed", "rank_zero"):
    logging.getLogger(f"lightning_fabric.utilities.{chatty}").setLevel(logging.WARNING)


def train_in(processes: int, device: Device, label: str, lesson: dict[str, Any]) -> None:
    """Run `train(**lesson)` in new processes until its checkpoint is complete. Raises the ZooError that they raise."""
    if device.name == "cuda" and processes > torch.cuda.device_count():
        raise ZooError(f"--processes {processes}: there are {torch.cuda.device_count()} GPUs; give as many at most")
    threads = max(1, torch.get_num_threads() // processes)
    run = functools.partial(_one, label=label, threads=threads, lesson=lesson)
    level = os.environ.get("TORCH_CPP_LOG_LEVEL")
    os.environ["TORCH_CPP_LOG_LEVEL"] = level or "ERROR"  # else each process warns that no parameter was unused
    try:
        mistake = device.fabric(processes).launch(run)
    finally:
        if level is None:
            del os.environ["TORCH_CPP_LOG_LEVEL"]
    if mistake:
        raise ZooError(mistake)


def _one(fabric: "Fabric", label: str, threads: int, lesson: dict[str, Any]) -> str:
    """The user's mistake, or nothing: an exception would come out of a process as a traceback."""
    torch.set_num_threads(threads)
    keep_memory()
    warnings.filterwarnings("ignore", "torch.distributed.nn.functional", FutureWarning)  # Fabric's affair
    shown = training(label, len(lesson["pixels"])) if fabric.is_global_zero else contextlib.nullcontext(lambda *_: None)
    try:
        with shown as progress:
            train(**lesson, progress=progress, fabric=fabric)
    except ZooError as mistake:
        return str(mistake)
    return ""
