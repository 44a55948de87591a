"""`zoo run`: train, embed, evaluate, explain, and write one record."""

import datetime
import importlib.metadata
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo import registry
from zoo.board import statistics, store
from zoo.data import banks
from zoo.errors import ZooError
from zoo.pipeline import cache, explain, train
from zoo.pipeline.device import AtPrecision, peak_memory_mb
from zoo.pipeline.embed import embed
from zoo.pipeline.evaluate import accuracy, evaluate, fit_temperature
from zoo.pipeline.cases import cases, to_show
from zoo.pipeline.explain import Asked
from zoo.pipeline.progress import bar, say
from zoo.pipeline.gallery import draw
from zoo.pipeline.scene import Scene
from zoo.pipeline.setup import Setup
from zoo.record import (
    Bank,
    BankSpec,
    ExplanationRow,
    Explanations,
    Predictions,
    Provenance,
    Record,
    pack_numbers,
    record_key,
    settings_hash,
)
from zoo.types import Explainer, Learned

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


@dataclass(frozen=True)
class Result:
    """What a run leaves behind."""

    record: Record
    path: Path
    gallery: Path | None
    reused: bool
    """True where the record was there already."""


def run(setup: Setup, out: Path, command: str) -> Result:
    """Measure one row. A record that is there already, made by the same code, is handed back."""
    bank = banks.draw(setup.items, setup.split.test, setup.benchmark.bank, setup.classes)
    banks.audit(bank, setup.items, setup.split.test)
    if setup.explainer and setup.explainer_name:
        explain.check(setup.method, setup.explainer, (setup.method_name, setup.explainer_name))
    path = out / _key(setup, bank)
    picture = path.with_suffix(".png")
    if path.is_file():
        found = store.read(path)
        if found.provenance.code_sha256 == cache.all_code():
            return Result(found, path, picture if picture.is_file() else None, reused=True)
    _writable(path.parent)
    clock = Clock()
    fitted = fit(setup, bank, clock)
    with clock.stage("evaluate"):
        validation = validation_bank(setup)
        validation_scores = validation and evaluate(setup.method, fitted.state, validation, fitted.embeddings, setup.classes)
        scores = evaluate(setup.method, fitted.state, bank, fitted.embeddings, setup.classes)
    temperature = fit_temperature(validation, validation_scores) if validation and validation_scores else 1.0
    scene = Scene(
        fitted.backbone, setup.method, fitted.state, setup.items, setup.classes, temperature, _mean_colour(setup)
    )
    explanations, shown = None, []
    if setup.explainer:
        with clock.stage("explain"):
            explanations, shown = _explanations(setup, scene, fitted, bank, validation)
    predictions = _predictions(setup, bank, scores)
    with clock.stage("figures"):
        names = [setup.items.classes[number] for number in setup.classes]
        figures, by_class = statistics.figures(predictions, names, bank.spec)
    record = Record(
        benchmark=setup.benchmark.name,
        dataset=setup.items.dataset,
        subset=setup.items.subset,
        synthetic=setup.items.synthetic,
        classes=names,
        bank=bank.spec,
        method=setup.method_name,
        method_settings=asdict(setup.method),
        transductive=setup.method.transductive,
        explainer=setup.explainer_name,
        backbone=setup.backbone_name,
        image_size=setup.items.pixels.shape[1],
        seed=setup.seed,
        labels_seen=len(setup.train_items) if isinstance(setup.method, Learned) else 0,
        predictions=predictions,
        figures={name: figures[name] for name in setup.benchmark.prediction_metrics},
        class_accuracy=by_class,
        validation_accuracy=accuracy(validation, validation_scores) if validation and validation_scores else None,
        explanations=explanations,
        provenance=_provenance(setup, bank, fitted, clock, command),
    )
    store.write(record, out)
    if setup.explainer:
        with clock.stage("gallery"):
            draw(cases(scene, setup.explainer, shown, setup.seed), f"{record.method} + {record.explainer}", picture)
    return Result(record, path, picture if setup.explainer else None, reused=False)


def fit(setup: Setup, bank: Bank | None, clock: Clock) -> Fitted:
    """Train where the method learns (or take what an earlier run trained), then embed."""
    backbone, state, digest = setup.backbone, None, setup.weights_sha256 or f"random {setup.seed}"
    with clock.stage("train"):
        if isinstance(setup.method, Learned):
            backbone, state = _train(setup, setup.method)
            digest = cache.state_sha256(backbone, state)
            if state is not None:
                state.eval().requires_grad_(False)
    precise = AtPrecision(backbone.requires_grad_(False), setup.device)
    embeddings = torch.zeros(len(setup.items), backbone.dim, device=setup.device.name)
    with clock.stage("embed"):
        for part in (setup.split.validation, setup.split.test) if bank else ():
            part = part[np.isin(setup.items.labels[part], setup.classes)]
            key = f"{setup.backbone_name} {digest} {cache.code(type(backbone))}"
            embeddings[torch.from_numpy(part)] = torch.tensor(embed(precise, key, setup.items, part), device=embeddings.device)
    return Fitted(precise, state, digest, embeddings)


def _train(setup: Setup, method: Learned) -> train.Trained:
    chosen = setup.train_items
    labels = np.searchsorted(setup.classes, setup.items.labels[chosen])
    source = cache.code(type(method), type(setup.backbone), train, train.augment, train.unfold)
    key = (
        setup.method_name, asdict(method), setup.backbone_name, setup.weights_sha256, setup.items.sha256,
        chosen.tolist(), setup.seed, setup.device.name, setup.device.precision, torch.get_num_threads(), source,
    )  # fmt: skip
    file = cache.place("trained", ".pt", *key)
    said = False
    with bar(f"training {setup.method_name}", 1) as advance:

        def progress(done: int, total: int, loss: float, left: float) -> None:
            nonlocal said
            if not said and done >= 3:
                said = True
                say(f"training {setup.method_name} on {len(chosen)} images will take about {_span(left)}")
            advance(1, f"loss {loss:.4f}", total)

        return train.train(
            setup.backbone, method, setup.items.pixels[chosen], labels, len(setup.classes), setup.seed, setup.device,
            file, progress,
        )  # fmt: skip


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def validation_bank(setup: Setup) -> Bank | None:
    """Episodes of validation items for the temperature and the validation score; None where they are too few."""
    spec, labels = setup.benchmark.bank, setup.items.labels[setup.split.validation]
    spare = min(int((labels == number).sum()) for number in setup.classes) - spec.shot
    if spare < 1:
        return None
    chosen = BankSpec(
        kind="standard", way=spec.way, shot=spec.shot, query=min(15, spare), episodes=VALIDATION_EPISODES, seed=spec.seed
    )
    try:
        bank = banks.draw(setup.items, setup.split.validation, chosen, setup.classes)
    except ZooError:  # duplicates left fewer distinct images than items
        return None
    banks.audit(bank, setup.items, setup.split.validation)
    return bank


def _mean_colour(setup: Setup) -> Tensor:
    pixels = setup.items.pixels[setup.split.train]
    return torch.tensor(pixels.mean((0, 1, 2)) / 255, dtype=torch.float32, device=setup.device.name)


def _explanations(
    setup: Setup, scene: Scene, fitted: Fitted, bank: Bank, validation: Bank | None
) -> tuple[Explanations, list[Asked]]:
    asked = explain.ask(bank, setup.benchmark.explained)
    on_validation = explain.ask(validation, explain.THRESHOLD_QUERIES) if validation else []
    metrics = explain.metrics_for(setup.benchmark.explanation_metrics, setup.benchmark.steps, setup.items)
    names = [setup.explainer_name or "", *(name for name in registry.names("explainers") if _floor(name))]
    found: dict[str, tuple[Explainer, dict[str, Any]]] = {}
    key = (fitted.sha256, setup.items.sha256, bank.sha256, validation.sha256 if validation else "", repr(setup.method),
           setup.benchmark.explained, setup.device.name, setup.device.precision, scene.temperature)  # fmt: skip
    for name in dict.fromkeys(names):
        explainer = setup.explainer if name == setup.explainer_name else registry.explainer(name)
        assert explainer is not None
        found[name] = explainer, explain.cached_score(
            key, scene, explainer, asked, on_validation, metrics, setup.seed, name
        )
    higher = {name: metric.higher_is_better for name, metric in metrics.items()}
    random = found["random"][1]["values"]
    rows = {}
    for name, (explainer, scored) in found.items():
        figures, against = statistics.explanation_figures(scored["values"], None if name == "random" else random, higher)
        rows[name] = ExplanationRow(
            settings=asdict(explainer), floor=explainer.floor, values=scored["values"], figures=figures,
            against_random=against, seconds=scored["seconds"],
        )  # fmt: skip
    items = [setup.items.names[number] for part in asked for number in part.episode.query[part.query]]
    first = found[names[0]][1]
    explanations = Explanations(
        items=items, correct=first["correct"], steps=setup.benchmark.steps, temperature=scene.temperature, rows=rows
    )
    return explanations, to_show(asked, first["correct"], first["confidence"])


def _floor(name: str) -> bool:
    return registry.plugin("explainers", name).floor


def _predictions(setup: Setup, bank: Bank, scores: list[np.ndarray]) -> Predictions:
    query = np.concatenate([episode.query for episode in bank.episodes])
    used, position = np.unique(query, return_inverse=True)
    dataset_wide = np.concatenate(
        [episode.classes[part.argmax(1)] for episode, part in zip(bank.episodes, scores, strict=True)]
    )
    return Predictions(
        items=[setup.items.names[number] for number in used],
        truth=np.searchsorted(setup.classes, setup.items.labels[used]).tolist(),
        groups=setup.items.groups[used].tolist(),
        lengths=[len(episode.query) for episode in bank.episodes],
        query=pack_numbers(position),
        predicted=pack_numbers(np.searchsorted(setup.classes, dataset_wide)),
    )


def _key(setup: Setup, bank: Bank) -> str:
    """Where the record will be, known before any work; `Record.key` says the same afterwards."""
    explained = asdict(setup.explainer) if setup.explainer else {}
    digest = settings_hash(
        asdict(setup.method), explained, setup.seed, setup.weights_sha256, setup.items.sha256, bank.sha256,
        setup.items.pixels.shape[1], setup.device.precision,
    )  # fmt: skip
    return record_key(setup.benchmark.name, setup.backbone_name, setup.method_name, setup.explainer_name, digest)


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        raise ZooError(f"--out {folder}: cannot be written ({problem.strerror}); give another folder") from None


def _provenance(setup: Setup, bank: Bank, fitted: Fitted, clock: Clock, command: str) -> Provenance:
    packages = ("hemazoo", "torch", "torchvision", "timm", "numpy", "scikit-learn")
    return Provenance(
        command=command,
        benchmark_sha256=setup.benchmark.sha256,
        item_set_sha256=setup.items.sha256,
        bank_sha256=bank.sha256,
        weights=setup.weights,
        weights_sha256=setup.weights_sha256,
        trained_sha256=fitted.sha256 if isinstance(setup.method, Learned) else "",
        code_sha256=cache.all_code(),
        versions={name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()},
        device=setup.device.title,
        precision=setup.device.precision,
        threads=torch.get_num_threads(),
        seconds=clock.seconds,
        peak_memory_mb=round(peak_memory_mb(), 1),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
