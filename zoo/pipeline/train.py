"""Training on the training split: one loop for every learned method, resumable at every epoch."""

import copy
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.pipeline.augment import augment
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import Device
from zoo.types import Backbone, Learned
from zoo.weights import folded, unfold

Progress = Callable[[int, int, float, float], None]
"""(steps done, steps in all, loss, seconds left)"""


class Trained(NamedTuple):
    """A backbone after training and what was learned beside it."""

    backbone: Backbone
    state: nn.Module | None
    seconds: float
    """Of training in all, also when it was done by earlier runs"""


def as_images(pixels: np.ndarray, device: Device) -> Tensor:
    """Packed pixels (n, side, side, 3) uint8 -> float images (n, 3, side, side) in 0..1, channels last in memory."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).to(device.name)
    return images.permute(0, 3, 1, 2).float().div_(255)


def train(
    backbone: Backbone,
    method: Learned,
    pixels: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seed: int,
    device: Device,
    checkpoint: Path,
    progress: Progress = lambda *_: None,
) -> Trained:
    """Train `backbone` in place with AdamW on a one-cycle schedule, and return it with the method's state.

    pixels (n, side, side, 3) uint8 and labels (n,): the training split alone. After each epoch everything is
    written to `checkpoint` at once; a run that was killed goes on from there to the same result, because each
    epoch draws from a generator of its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = method.state(backbone.dim, classes)
    network = nn.ModuleDict({"backbone": backbone} | ({} if state is None else {"state": state}))
    network.to(device.name).to(memory_format=torch.channels_last)
    if folded(backbone):
        _unfold(backbone, pixels, seed, device)
    epochs = [list(method.batches(labels, epoch, _random(seed, epoch))) for epoch in range(method.epochs)]
    total = sum(map(len, epochs))
    optimiser = torch.optim.AdamW(network.parameters(), lr=method.rate, weight_decay=method.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, method.rate, total_steps=max(total, 2))
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    start, before = restore(checkpoint, parts)
    begun_at = done = sum(map(len, epochs[:start]))
    began, spent = time.monotonic(), before
    with fast_depthwise(network, device.name == "cpu" and device.precision == "bf16"):
        for epoch in range(start, method.epochs):
            network.train()
            generator = torch.Generator().manual_seed(hash_seed(seed, epoch))
            for batch in epochs[epoch]:
                images = augment(as_images(pixels[batch], device), generator)
                with device.autocast():
                    features = backbone(images.contiguous(memory_format=torch.channels_last))
                if len(batch) < 2:
                    raise ZooError("a batch of one image cannot be normalised; give --set batch=2 or more")
                loss = method.loss(state, features.float(), torch.from_numpy(labels[batch]).to(device.name))
                if not loss.isfinite():
                    raise ZooError(f"training diverged in epoch {epoch + 1}; --set a lower rate than {method.rate:g}")
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
                done += 1
                left = (time.monotonic() - began) / (done - begun_at) * (total - done)
                progress(done, total, float(loss.detach()), left)
            spent = before + time.monotonic() - began
            state_dicts = {name: part.state_dict() for name, part in parts.items()}
            _save(checkpoint, state_dicts | {"epoch": epoch + 1, "seconds": spent})
    network.eval()
    return Trained(backbone, state, spent)


def hash_seed(seed: int, epoch: int) -> int:
    """A generator seed of its own for each epoch of each seed."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _random(seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, 1])))


def _unfold(backbone: Backbone, pixels: np.ndarray, seed: int, device: Device) -> None:
    chosen = _random(seed, 0).permutation(len(pixels))[:256]
    unfold(backbone, [as_images(pixels[part], device) for part in np.array_split(chosen, max(len(chosen) // 32, 1))])


def restore(checkpoint: Path, parts: dict) -> tuple[int, float]:
    """Load what an earlier run left: the epoch at which to go on, and the seconds spent so far."""
    if not checkpoint.is_file():
        return 0, 0.0
    fresh = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        return int(saved["epoch"]), float(saved["seconds"])
    except Exception as problem:  # a damaged file fails in the unpickler, the zip reader or any part's own loading
        reason = type(problem).__name__
        print(f"damaged checkpoint {checkpoint.name}: training starts again ({reason})", file=sys.stderr)
        for name, part in parts.items():
            part.load_state_dict(fresh[name])
        checkpoint.unlink()
        return 0, 0.0


def _save(checkpoint: Path, content: dict) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(f".{os.getpid()}.tmp")
    torch.save(content, partial)
    os.replace(partial, checkpoint)
