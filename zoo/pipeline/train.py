"""Training on the training split: one loop for every learned method, resumable at every epoch."""

import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo import atomic
from zoo.augment import augment
from zoo.errors import ZooError
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import Device, InTraining
from zoo.types import Backbone, Learned
from zoo.weights import folded, unfold

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Progress = Callable[[int, int, float, float, float | None], None]
"""(steps done, steps in all, loss, seconds left, validation accuracy of the last epoch where it is measured)"""
Validate = Callable[[Backbone, nn.Module | None], float]
"""Accuracy in 0..1 on episodes of validation items"""


class Trained(NamedTuple):
    """A backbone after training and what was learned beside it."""

    backbone: Backbone
    state: nn.Module | None
    seconds: float
    """Of training in all, also when it was done by earlier runs"""


class Share(NamedTuple):
    """What one process does in one step."""

    batch: np.ndarray
    """(n,) positions of the training items of the step, those of all processes"""
    rows: np.ndarray
    """(m,) positions in `batch` of this process's own"""


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
    validate: Validate | None = None,
    fabric: "Fabric | None" = None,
) -> Trained:
    """Train `backbone` in place with AdamW on a one-cycle schedule, and return it with the method's state.

    pixels (n, side, side, 3) uint8 and labels (n,): the training split alone. After each epoch everything is
    written to `checkpoint` at once; a run that was killed goes on from there to the same result, because each
    epoch draws from a generator of its own. With `method.patience` the epoch that `validate` likes best is kept.

    `fabric` is that of one of several processes (`zoo.pipeline.parallel`), each of which calls this. They share every
    batch, and only the first writes. BatchNorm spans the processes on GPUs; on CPUs, where torch has none that does,
    each normalises its own share, and the running statistics are those of the first.
    """
    if fabric is None:
        fabric = device.fabric()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = method.beside(backbone, classes)
    network = nn.ModuleDict({"backbone": backbone} | ({} if state is None else {"state": state}))
    network.to(device.name).to(memory_format=torch.channels_last)
    if folded(backbone):
        _unfold(backbone, pixels, seed, device)
    step: nn.Module = _Step(backbone, state, method, device, fabric)
    if fabric.world_size > 1 and device.name == "cuda":
        step = nn.SyncBatchNorm.convert_sync_batchnorm(step)
    epochs = [
        shares(list(method.batches(labels, epoch, _random(seed, epoch))), fabric, _gathers(method))
        for epoch in range(method.epochs)
    ]
    total = sum(map(len, epochs))
    optimiser = torch.optim.AdamW(network.parameters(), lr=method.rate, weight_decay=method.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, method.rate, total_steps=max(total, 2))
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    saved = restore(checkpoint, parts)
    start, before, best = saved.get("epoch", 0), saved.get("seconds", 0.0), saved.get("best")
    begun_at = done = sum(map(len, epochs[:start]))
    began, spent, accuracy = time.monotonic(), before, None
    stepping: Any = fabric.setup_module(step)
    optimising: Any = fabric.setup_optimizers(optimiser)
    with fast_depthwise(network, device.name == "cpu" and device.precision == "bf16"):
        for epoch in range(start, method.epochs):
            if best and epoch - best["epoch"] >= method.patience > 0:
                break
            network.train()
            generator = torch.Generator().manual_seed(hash_seed(seed, epoch))
            for batch, rows in epochs[epoch]:
                if len(rows) < 2:
                    raise ZooError("a batch of one image cannot be normalised; give --set batch=2 or more")
                own = torch.from_numpy(rows)
                images = augment(as_images(pixels[batch[rows]], device), generator, len(batch), own)
                loss = stepping(images, torch.from_numpy(labels[batch]).to(device.name), own)
                shown: Any = fabric.all_reduce(loss.detach(), reduce_op="mean")
                if not shown.isfinite():
                    raise ZooError(f"training diverged in epoch {epoch + 1}; --set a lower rate than {method.rate:g}")
                optimising.zero_grad(set_to_none=True)
                fabric.backward(loss)
                optimising.step()
                schedule.step()
                done += 1
                left = (time.monotonic() - began) / (done - begun_at) * (total - done)
                progress(done, total, float(shown), left, accuracy)
            if validate and method.patience:
                accuracy = fabric.broadcast(validate(backbone, state) if fabric.is_global_zero else 0.0)
                if best is None or accuracy > best["accuracy"]:
                    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
                    best = {"epoch": epoch + 1, "accuracy": accuracy, "network": weights}
            spent = before + time.monotonic() - began
            if fabric.is_global_zero:
                content = {name: part.state_dict() for name, part in parts.items()}
                content |= {"epoch": epoch + 1, "seconds": spent} | ({"best": best} if best else {})
                with atomic.replacing(checkpoint) as file:
                    torch.save(content, file)
    if best:
        network.load_state_dict(best["network"])
    network.eval()
    return Trained(backbone, state, spent)


class _Step(nn.Module):
    """A network whose forward pass is the loss of one step: so that what averages gradients over processes sees it."""

    def __init__(
        self, backbone: Backbone, state: nn.Module | None, method: Learned, device: Device, fabric: "Fabric"
    ) -> None:
        super().__init__()
        self.backbone, self.state, self.method, self.fabric = InTraining(backbone, device), state, method, fabric

    def forward(self, images: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        """Images (m, 3, H, W) of this process, labels (n,) of the whole step, rows (m,) of the images in it."""
        if self.fabric.world_size == 1 or not _gathers(self.method):
            return self.method.objective(self.backbone, self.state, images, labels[rows.to(labels.device)])
        features = self.method.features(self.backbone, self.backbone.hidden(images))
        # (process, m, ...), dealt out like cards, so that the transposed order is that of the batch. Every process
        # has the same loss of them all, and the gradient that comes back here is the sum of theirs: averaged over
        # the processes it is what one process alone would find.
        gathered: Any = self.fabric.all_gather(features, sync_grads=True)
        return self.method.loss(self.state, gathered.transpose(0, 1).flatten(0, 1)[: len(labels)], labels)


def _gathers(method: Learned) -> bool:
    """Whether the loss is one of all processes' features together; otherwise each has a batch of its own."""
    return type(method).objective is Learned.objective


def shares(batches: list[np.ndarray], fabric: "Fabric", gathered: bool) -> list[Share]:
    """What this process does in the steps of one epoch.

    gathered: each batch is dealt out to the processes, the first images once more where they do not come out even.
    Otherwise the batches are: as many a step as there are processes.
    """
    rank, world = fabric.global_rank, fabric.world_size
    if gathered:
        return [Share(batch, np.arange(rank, rank + -(-len(batch) // world) * world, world) % len(batch))
                for batch in batches]  # fmt: skip
    steps = []
    for start in range(0, len(batches), world):
        hand = [batches[number % len(batches)] for number in range(start, start + world)]
        before = sum(map(len, hand[:rank]))
        steps.append(Share(np.concatenate(hand), np.arange(before, before + len(hand[rank]))))
    return steps


def hash_seed(seed: int, epoch: int) -> int:
    """A generator seed of its own for each epoch of each seed."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _random(seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, 1])))


def _unfold(backbone: Backbone, pixels: np.ndarray, seed: int, device: Device) -> None:
    chosen = _random(seed, 0).permutation(len(pixels))[:256]
    unfold(backbone, [as_images(pixels[part], device) for part in np.array_split(chosen, max(len(chosen) // 32, 1))])


def restore(checkpoint: Path, parts: dict) -> dict[str, Any]:
    """Load what an earlier run left, and return the rest of it: "epoch" at which to go on, "seconds" spent, "best"."""
    if not checkpoint.is_file():
        return {}
    fresh = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        for name, part in parts.items():
            part.load_state_dict(saved.pop(name))
        return {**saved, "epoch": int(saved["epoch"]), "seconds": float(saved["seconds"])}
    except Exception as problem:  # a damaged file fails in the unpickler, the zip reader or any part's own loading
        reason = type(problem).__name__
        print(f"damaged checkpoint {checkpoint.name}: training starts again ({reason})", file=sys.stderr)
        for name, part in parts.items():
            part.load_state_dict(fresh[name])
        checkpoint.unlink(missing_ok=True)
        return {}
