"""A backbone ready to be used: trained where the method learns, and its embeddings of validation and test items."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zoo.data import banks
from zoo.errors import ZooError
from zoo.pipeline import cache, train
from zoo.pipeline.device import AtPrecision
from zoo.pipeline.embed import embed
from zoo.pipeline.progress import bar, say
from zoo.pipeline.setup import Setup
from zoo.record import Bank, BankSpec
from zoo.sampling import balanced
from zoo.types import Learned

VALIDATION_EPISODES = 100


@dataclass
class Clock:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)


@dataclass(frozen=True)
class Fitted:
    """A backbone ready to be used, with its embeddings of the validation and test items."""

    backbone: AtPrecision
    state: nn.Module | None
    sha256: str
    """Of everything learned; of the untouched weights where nothing was."""
    embeddings: Tensor
    """(items, d); rows of training items stay zero"""


def fit(setup: Setup, bank: Bank | None, clock: Clock) -> Fitted:
    """Train where the method learns (or take what an earlier run trained), then embed."""
    backbone, state, seconds, digest = setup.backbone, None, 0.0, setup.weights_sha256 or f"random {setup.seed}"
    with clock.stage("train"):
        if isinstance(setup.method, Learned) and setup.method.trains:
            backbone, state, seconds = _train(setup, setup.method)
            digest = cache.state_sha256(backbone, state)
            if state is not None:
                state.eval().requires_grad_(False)
    if setup.method.trains:
        clock.seconds["train"] = round(seconds, 3)  # of the training itself, also where an earlier run did it
    precise = AtPrecision(backbone.requires_grad_(False), setup.device)
    embeddings = torch.zeros(len(setup.items), backbone.dim, device=setup.device.name)
    with clock.stage("embed"):
        for part in (setup.split.validation, setup.split.test) if bank else ():
            part = part[np.isin(setup.items.labels[part], setup.classes)]
            key = f"{setup.backbone_name} {digest} {cache.code(type(backbone))}"
            found = torch.tensor(embed(precise, key, setup.items, part), device=embeddings.device)
            embeddings[torch.from_numpy(part)] = found
    return Fitted(precise, state, digest, embeddings)


def checkpoint(setup: Setup, method: Learned) -> Path:
    """Where the training of these settings, images, weights and sources is kept."""
    source = cache.code(type(method), type(setup.backbone), train, train.augment, train.unfold, balanced)
    where = (setup.device.name, setup.device.precision, torch.get_num_threads())
    images = (setup.items.sha256, setup.train_items.tolist())
    start = (setup.backbone_name, setup.weights_sha256, setup.seed)
    return cache.place("trained", ".pt", setup.method_name, asdict(method), start, images, where, source)


def _train(setup: Setup, method: Learned) -> train.Trained:
    chosen, said = setup.train_items, False
    labels = np.searchsorted(setup.classes, setup.items.labels[chosen])
    with bar(f"training {setup.method_name}", 1) as advance:

        def progress(done: int, total: int, loss: float, left: float) -> None:
            nonlocal said
            if not said and done >= 3:
                said = True
                say(f"training {setup.method_name} on {len(chosen)} images will take about {_span(left)}")
            advance(1, f"loss {loss:.4f}", total)

        return train.train(
            setup.backbone, method, setup.items.pixels[chosen], labels, len(setup.classes), setup.seed, setup.device,
            checkpoint(setup, method), progress,
        )  # fmt: skip


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def validation_bank(setup: Setup) -> Bank | None:
    """Episodes of validation items for the temperature and the validation score; None where they are too few."""
    spec, labels = setup.benchmark.bank, setup.items.labels[setup.split.validation]
    spare = min(int((labels == number).sum()) for number in setup.classes) - spec.shot
    if spare < 1:
        return None
    sizes = {"way": spec.way, "shot": spec.shot, "query": min(15, spare)}
    chosen = BankSpec(kind="standard", episodes=VALIDATION_EPISODES, seed=spec.seed, **sizes)
    try:
        bank = banks.draw(setup.items, setup.split.validation, chosen, setup.classes)
    except ZooError:  # duplicates left fewer distinct images than items
        return None
    banks.audit(bank, setup.items, setup.split.validation)
    return bank
