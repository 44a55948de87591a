"""A backbone ready to be used: trained where the method learns, and its embeddings of validation and test items."""

import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zoo.data import banks
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.pipeline import cache, train
from zoo.pipeline.adapt import evaluate_adapting
from zoo.pipeline.device import AtPrecision, Device
from zoo.pipeline.embed import BATCH, embed
from zoo.pipeline.evaluate import accuracy, evaluate
from zoo.pipeline.maps import evaluate_maps, maps
from zoo.pipeline.parallel import train_in
from zoo.pipeline.progress import training
from zoo.pipeline.setup import Setup
from zoo.pipeline.views import parse, turned
from zoo.record import Bank, BankSpec
from zoo.sampling import balanced
from zoo.types import Adapting, Backbone, Learned, Method
from zoo.weights import save_file

VALIDATION_EPISODES = 100
ADAPTING_VALIDATION_EPISODES = 20


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
    """A backbone ready to be used, with what the method sees of the validation and test items."""

    backbone: AtPrecision
    state: nn.Module | None
    sha256: str
    """Of everything learned; of the untouched weights where nothing was."""
    features: Tensor
    """(items, ...), by item number: embeddings, maps or, for some methods that adapt, trunks; other rows are zero"""
    validation_features: Tensor
    """The same of the base items; the same tensor, unless the benchmark trains on another dataset"""
    key: str
    """What its embeddings are cached by"""


def fit(setup: Setup, bank: Bank | None, clock: Clock, processes: int = 1) -> Fitted:
    """Train where the method learns (or take what an earlier run trained), then embed."""
    backbone, state, seconds, digest = setup.backbone, None, 0.0, setup.weights_sha256 or f"random {setup.seed}"
    with clock.stage("train"):
        if isinstance(setup.method, Learned) and setup.method.trains:
            backbone, state, seconds = train_on(setup, setup.method, processes)
            digest = cache.state_sha256(backbone, state)
            if state is not None:
                state.eval().requires_grad_(False)
    if setup.method.trains:
        clock.seconds["train"] = round(seconds, 3)  # of the training itself, also where an earlier run did it
    seen_from = turned(backbone.requires_grad_(False), setup.views)
    precise = AtPrecision(seen_from, setup.device)
    key = f"{setup.backbone_name} {digest} {cache.code(type(backbone), *({type(seen_from)} - {type(backbone)}))}"
    nothing = torch.zeros(0, device=setup.device.name)
    with clock.stage("embed"):
        if bank is None:
            features = held_out = nothing
        elif setup.base_items is setup.items:
            parts = setup.validation_items, setup.test_items
            features = held_out = features_of(setup.method, precise, key, setup.items, *parts)
        else:
            features = features_of(setup.method, precise, key, setup.items, setup.test_items)
            held_out = features_of(setup.method, precise, key, setup.base_items, setup.validation_items)
        if setup.method.reads_training:
            seen = features_of(setup.method, precise, key, setup.base_items, setup.train_items)
            state = setup.method.from_training(seen[torch.from_numpy(setup.train_items)])
    return Fitted(precise, state, digest, features, held_out, key)


def features_of(method: Method, backbone: AtPrecision, key: str, items: Items, *parts: np.ndarray) -> Tensor:
    """What the method sees of these item numbers, (items, ...), from the cache where it is there; nothing of it for
    a method that must see the images themselves."""
    if isinstance(method, Adapting) and method.adapts:
        if method.keeps_trunk:
            return maps(backbone, key, items, np.unique(np.concatenate(parts)), "trunks", backbone.trunk)
        return torch.zeros(len(items), 0, device=backbone.device.name)
    if method.input == "maps":
        chosen = np.unique(np.concatenate(parts))
        return maps(backbone, key, items, chosen, "maps", lambda images: backbone.grid(backbone.hidden(images)))
    embeddings = torch.zeros(len(items), backbone.dim, device=backbone.device.name)
    for part in parts:
        found = torch.tensor(embed(backbone, key, items, part), device=embeddings.device)
        embeddings[torch.from_numpy(part)] = found
    return embeddings


def checkpoint(setup: Setup, method: Learned) -> Path:
    """Where the training of these settings, images, weights and sources is kept."""
    beside = vars(inspect.getmodule(type(method))).values()
    shared = [thing for thing in beside if getattr(thing, "__module__", "") in ("zoo.episodic", "zoo.inner")]
    source = cache.code(type(method), *shared, type(setup.backbone), train, train.augment, train.unfold, balanced)
    where = (setup.device.name, setup.device.precision, torch.get_num_threads())
    images = (setup.base_items.sha256, setup.train_items.tolist())
    images += (setup.validation_items.tolist(), setup.benchmark.bank.model_dump()) if method.patience else ()
    start = (parse(setup.backbone_name)[0], setup.weights_sha256, setup.seed)  # views share a training
    judging = () if method.patience else method.judges  # what stops a training early is part of it
    settings = {name: value for name, value in asdict(method).items() if name not in judging}
    return cache.place("trained", ".pt", setup.method_name, settings, start, images, where, source)


def train_on(setup: Setup, method: Learned, processes: int = 1) -> train.Trained:
    """Train on the base items, in several processes where asked, or take the checkpoint that is there."""
    chosen = setup.train_items
    bank = validation_bank(setup) if method.patience else None
    if method.patience and bank is None:
        raise ZooError(f"patience={method.patience}: too few validation items for an episode; leave patience out")
    lesson = {
        "backbone": setup.backbone, "method": method, "pixels": setup.base_items.pixels[chosen],
        "labels": np.searchsorted(setup.base_classes, setup.base_items.labels[chosen]),
        "classes": len(setup.base_classes), "seed": setup.seed, "device": setup.device,
        "checkpoint": checkpoint(setup, method),
        "validate": Validation.of(setup, method, bank) if bank else None,
    }  # fmt: skip
    if processes > 1:
        train_in(processes, setup.device, setup.method_name, lesson)
    with training(setup.method_name, len(chosen)) as progress:
        return train.train(**lesson, progress=progress)


def check_trains(name: str, method: Method, out: Path | None) -> None:
    """ZooError for a method that does not train, and for a file that cannot hold weights."""
    if not method.trains:
        raise ZooError(f"--method {name}: it does not train; `zoo run` takes it as it is")
    if out and out.suffix != ".safetensors":
        raise ZooError(f"--out {out}: weights are written as .safetensors; give such a name")


def train_only(setup: Setup, processes: int, out: Path | None) -> dict[str, Path]:
    """Train, and return where the checkpoint is and, where `out` is given, the backbone's weights."""
    check_trains(setup.method_name, setup.method, out)
    assert isinstance(setup.method, Learned)
    trained = train_on(setup, setup.method, processes)
    places = {"checkpoint": checkpoint(setup, setup.method)}
    if out:
        save_file(trained.backbone, out, sorted(setup.weights_seen.union(setup.train_names)))
        places["weights"] = out
    return places


@dataclass(frozen=True)
class Validation:
    """Accuracy on episodes of validation items: what `patience` and the choice of the best epoch go by."""

    method: Method
    bank: Bank
    """With positions in `pixels` in place of item numbers"""
    pixels: np.ndarray
    """(v, side, side, 3) uint8: the validation items alone"""
    classes: np.ndarray
    device: Device
    seed: int

    @classmethod
    def of(cls, setup: Setup, method: Method, bank: Bank) -> "Validation":
        numbers = setup.validation_items
        episodes = tuple(
            episode._replace(
                support=np.searchsorted(numbers, episode.support), query=np.searchsorted(numbers, episode.query)
            )
            for episode in bank.episodes
        )
        pixels = setup.base_items.pixels[numbers]
        return cls(method, Bank(bank.spec, episodes), pixels, setup.base_classes, setup.device, setup.seed)

    def __call__(self, backbone: Backbone, state: nn.Module | None) -> float:
        training, precise = backbone.training, AtPrecision(backbone, self.device)
        if state is not None:
            state.eval()

        def images(numbers: np.ndarray) -> Tensor:
            return train.as_images(self.pixels[numbers], self.device)

        if isinstance(self.method, Adapting) and self.method.adapts:
            scores = evaluate_adapting(self.method, precise, state, self.bank, images, self.seed)
        else:
            with torch.no_grad():
                parts = np.array_split(np.arange(len(self.pixels)), -(-len(self.pixels) // BATCH))
                seen = [self.method.features(precise, precise.hidden(images(part))) for part in parts]
            together = evaluate_maps if self.method.input == "maps" else evaluate
            scores = together(self.method, state, self.bank, torch.cat(seen), self.classes)
        backbone.train(training)
        return accuracy(self.bank, scores)


def validation_bank(setup: Setup) -> Bank | None:
    """Episodes of validation items for the temperature and the validation score; None where they are too few."""
    spec, labels = setup.benchmark.bank, setup.base_items.labels[setup.validation_items]
    way = min(spec.way, len(setup.base_classes))
    spare = min(int((labels == number).sum()) for number in setup.base_classes) - spec.shot
    if spare < 1:
        return None
    episodes = ADAPTING_VALIDATION_EPISODES if setup.method.adapts else VALIDATION_EPISODES
    for query in dict.fromkeys(min(most, spare) for most in (15, 7, 3, 1)):
        sizes = {"way": way, "shot": spec.shot, "query": query}
        chosen = BankSpec(kind="standard", episodes=episodes, seed=spec.seed, **sizes)
        try:
            bank = banks.draw(setup.base_items, setup.validation_items, chosen, setup.base_classes)
        except ZooError:  # groups of duplicates, or cells of one field, leave fewer than there are items
            continue
        banks.audit(bank, setup.base_items, setup.validation_items)
        return bank
    return None
