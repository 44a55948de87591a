"""Training of cell models: one loop for all, resumable at every epoch."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo import atomic
from zoo.cell_augment import augment
from zoo.cell_model import CellModel
from zoo.cells import Cells
from zoo.data.fields.table import Fields
from zoo.errors import ZooError
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import Device
from zoo.pipeline.train import Progress, as_images, hash_seed, restore


class TrainedCells(NamedTuple):
    """A network after training."""

    network: nn.Module
    seconds: float
    """Of training in all, also when it was done by earlier runs"""


def train(
    network: nn.Module,
    model: CellModel,
    fields: Fields,
    chosen: np.ndarray,
    seed: int,
    device: Device,
    checkpoint: Path,
    progress: Progress = lambda *_: None,
) -> TrainedCells:
    """Prepare `network` and train it in place with AdamW on a one-cycle schedule.

    chosen: (n,) numbers of the training fields. What `prepare` learned and everything after each epoch is written to
    `checkpoint` at once: a run that was killed goes on from there to the same result, because each epoch draws from
    generators of its own.
    """
    network.to(device.name).to(memory_format=torch.channels_last)
    order = [_batches(chosen, model.batch, seed, epoch) for epoch in range(model.epochs)]
    total = sum(map(len, order))
    parts: dict[str, Any] = {"network": network}
    optimiser: Any = None
    schedule: Any = None
    if total:
        groups = model.groups(network)
        optimiser = torch.optim.AdamW(groups, weight_decay=model.decay, fused=True)
        highest = [group["lr"] for group in groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, highest, total_steps=max(total, 2))
        parts |= {"optimiser": optimiser, "schedule": schedule}
    saved = restore(checkpoint, parts)
    start, before = saved.get("epoch", 0), saved.get("seconds", 0.0)
    began = time.monotonic()
    if not saved:
        with _drawing(seed, 0, device):
            network.eval()
            model.prepare(network, _in_order(fields, chosen, model.batch, device))
        _write(checkpoint, parts, 0, time.monotonic() - began)
    done = begun_at = sum(map(len, order[:start]))
    with fast_depthwise(nn.ModuleDict({"network": network}), device.name == "cpu" and device.precision == "bf16"):
        for epoch in range(start, model.epochs):
            learning(network)
            views = torch.Generator().manual_seed(hash_seed(seed, epoch))
            with _drawing(seed, epoch + 1, device):
                for batch in order[epoch]:
                    images, truth = augment(*batch_of(fields, batch, device), views)
                    images = images.contiguous(memory_format=torch.channels_last)
                    with device.autocast():
                        loss = model.loss(network, images, truth)
                    if not loss.detach().isfinite():
                        raise ZooError(
                            f"training diverged in epoch {epoch + 1}; --set a lower rate than {model.rate:g}"
                        )
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    if model.clip:
                        nn.utils.clip_grad_norm_(network.parameters(), model.clip)
                    optimiser.step()
                    schedule.step()
                    done += 1
                    left = (time.monotonic() - began) / (done - begun_at) * (total - done)
                    progress(done, total, float(loss.detach()), left, None)
            _write(checkpoint, parts, epoch + 1, before + time.monotonic() - began)
    network.eval()
    return TrainedCells(network, before + time.monotonic() - began if done > begun_at or not saved else before)


def learning(network: nn.Module) -> None:
    """In train mode; but a BatchNorm whose weights are not learned keeps its statistics as well."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine and not module.weight.requires_grad:
            module.eval()


def batch_of(fields: Fields, numbers: np.ndarray, device: Device) -> tuple[Tensor, list[Cells]]:
    """Images (b, 3, H, W) in 0..1 of these fields, and their true cells with masks."""
    return as_images(fields.pixels[numbers], device), [fields.truth(int(number)) for number in numbers]


def _batches(chosen: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The training fields in another order each epoch. A last batch of one field joins the one before: BatchNorm
    cannot normalise it alone."""
    order = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, 2]))).permutation(chosen)
    parts = [np.sort(order[start : start + size]) for start in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


def _in_order(
    fields: Fields, chosen: np.ndarray, size: int, device: Device
) -> Iterator[tuple[Tensor, Sequence[Cells]]]:
    for start in range(0, len(chosen), size):
        yield batch_of(fields, chosen[start : start + size], device)


class _drawing:
    """Torch's global numbers, which models draw from, are this epoch's alone, and afterwards what they were."""

    def __init__(self, seed: int, epoch: int, device: Device) -> None:
        self.seed = hash_seed(seed, epoch)
        self.fork = torch.random.fork_rng(devices=[0] if device.name == "cuda" else [])

    def __enter__(self) -> None:
        self.fork.__enter__()
        torch.manual_seed(self.seed)

    def __exit__(self, *raised: Any) -> None:
        self.fork.__exit__(*raised)


def _write(checkpoint: Path, parts: dict[str, Any], epoch: int, seconds: float) -> None:
    content = {name: part.state_dict() for name, part in parts.items()} | {"epoch": epoch, "seconds": seconds}
    with atomic.replacing(checkpoint) as file:
        torch.save(content, file)
