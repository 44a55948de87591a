"""`zoo run`: train, embed, evaluate, explain, and write one record."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from zoo import registry
from zoo.board import statistics, store
from zoo.data import banks
from zoo.errors import ZooError
from zoo.pipeline import attributes, cache
from zoo.pipeline.adapt import FromTrunk, evaluate_adapting
from zoo.pipeline.cases import cases
from zoo.pipeline.device import Device, peak_memory_mb
from zoo.pipeline.evaluate import accuracy, evaluate, fit_temperature
from zoo.pipeline.explained import explanations_of
from zoo.pipeline.fit import Clock, Fitted, fit, validation_bank
from zoo.pipeline.gallery import draw
from zoo.pipeline.maps import evaluate_maps
from zoo.pipeline.progress import say
from zoo.pipeline.scene import Scene
from zoo.pipeline.setup import Setup
from zoo.pipeline.train import as_images
from zoo.record import (
    Bank,
    Predictions,
    Provenance,
    Record,
    record_key,
    settings_hash,
)
from zoo.types import Adapting

Row = TypeVar("Row")
"""A record of one kind or the other"""


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
    bank = banks.draw(setup.items, setup.test_items, setup.bank_spec, setup.classes)
    banks.audit(bank, setup.items, setup.test_items)
    path = out / _key(setup, bank)
    picture = path.with_suffix(".png")
    found = existing(path, store.read)
    plugins = [setup.method, setup.backbone] + ([setup.explainer] if setup.explainer else [])
    code = cache.all_code(*map(type, plugins))  # now: an edit during a long training is not what ran
    if found and found.provenance.code_sha256 == code:
        return Result(found, path, picture if picture.is_file() else None, reused=True)
    writable(out)
    if bank.spec != setup.benchmark.bank:
        say(f"{setup.method_name} adapts the backbone in each episode: the first {bank.spec.episodes} are run")
    clock = Clock()
    fitted = fit(setup, bank, clock)
    with clock.stage("evaluate"):
        validation = validation_bank(setup)
        scores = _scores(setup, fitted, bank)
        temperature, validation_accuracy = on_validation(setup, fitted, validation)
    told = None
    if attributes.wanted(setup.explainer):
        with clock.stage("attributes"):
            told = attributes.fit_heads(setup, fitted.backbone, fitted.key)
    scene = Scene(
        fitted.backbone, setup.method, fitted.state, setup.items, setup.all_classes, temperature, _mean_colour(setup),
        fitted.features, setup.seed, told and told.on(fitted.backbone), setup.benchmark.marked,
        attributes.reference(setup) if told else None,
    )
    explanations, shown = None, []
    if setup.explainer:
        with clock.stage("explain"):
            # Of another dataset the threshold of a saliency is not to be learned.
            same = setup.base_items is setup.items
            explanations, shown = explanations_of(setup, scene, fitted, bank, validation if same else None, told)
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
        labels_seen=setup.labels_seen,
        predictions=predictions,
        figures=figures,
        class_accuracy=by_class,
        validation_accuracy=validation_accuracy,
        explanations=explanations,
        provenance=_provenance(setup, bank, fitted, clock, command, code),
    )
    store.write(record, out)
    if setup.explainer:
        with clock.stage("gallery"):
            title = f"{record.method} + {record.explainer} on {record.benchmark}"
            images = f"{record.dataset}, synthetic images" if record.synthetic else record.subset or record.dataset
            draw(cases(scene, setup.explainer, shown, setup.seed), title, picture, f"{images}; {record.backbone}")
    return Result(record, path, picture if setup.explainer else None, reused=False)


def on_validation(setup: Setup, fitted: Fitted, validation: Bank | None) -> tuple[float, float | None]:
    """Softmax temperature and accuracy on a bank of validation items; 1 and None without one."""
    if validation is None:
        return 1.0, None
    scores = _scores(setup, fitted, validation, on_base=True)
    return fit_temperature(validation, scores), accuracy(validation, scores)


def _scores(setup: Setup, fitted: Fitted, bank: Bank, on_base: bool = False) -> list[np.ndarray]:
    """Scores (q, way) of every episode of a bank of test items or, `on_base`, of validation items."""
    items, features = (setup.base_items, fitted.validation_features) if on_base else (setup.items, fitted.features)
    method, backbone = setup.method, fitted.backbone
    if not (isinstance(method, Adapting) and method.adapts):
        classes = setup.base_classes if on_base else setup.all_classes
        together = evaluate_maps if method.input == "maps" else evaluate
        return together(method, fitted.state, bank, features, classes)
    on_cpu = setup.device.name == "cpu"  # from there an array goes to another process as the name of its file
    if method.keeps_trunk:
        shown, images = FromTrunk(backbone, setup.device), partial(_trunks, features.numpy() if on_cpu else features)
    else:
        shown, images = backbone, partial(_images, items.pixels, setup.device)
    key = (cache.all_code(type(method), type(setup.backbone)), fitted.key, items.sha256, items.pixels.shape[1],
           repr(method), setup.device.name, setup.device.precision)  # fmt: skip
    return evaluate_adapting(method, shown, fitted.state, bank, images, setup.seed, key)


def _trunks(features: np.ndarray | Tensor, numbers: np.ndarray) -> Tensor:
    return torch.as_tensor(features[numbers]).float()


def _images(pixels: np.ndarray, device: Device, numbers: np.ndarray) -> Tensor:
    return as_images(pixels[numbers], device)


def _mean_colour(setup: Setup) -> Tensor:
    pixels = setup.base_items.pixels[setup.split.train]
    return torch.tensor(pixels.mean((0, 1, 2)) / 255, dtype=torch.float32, device=setup.device.name)


def _predictions(setup: Setup, bank: Bank, scores: list[np.ndarray]) -> Predictions:
    query = np.concatenate([episode.query for episode in bank.episodes])
    used, position = np.unique(query, return_inverse=True)
    dataset_wide = np.concatenate(
        [episode.classes[part.argmax(1)] for episode, part in zip(bank.episodes, scores, strict=True)]
    )
    return Predictions.pack(
        [setup.items.names[number] for number in used],
        np.searchsorted(setup.classes, setup.items.labels[used]),
        setup.items.groups[used],
        [len(episode.query) for episode in bank.episodes],
        position,
        np.searchsorted(setup.classes, dataset_wide),
    )


def _key(setup: Setup, bank: Bank) -> str:
    """Where the record will be, known before any work; `Record.key` says the same afterwards."""
    explained = asdict(setup.explainer) if setup.explainer else {}
    digest = settings_hash(
        asdict(setup.method), explained, setup.seed, setup.weights_sha256, setup.items_sha256, bank.sha256,
        setup.items.pixels.shape[1], setup.device.precision,
    )  # fmt: skip
    return record_key(setup.benchmark.name, setup.backbone_name, setup.method_name, setup.explainer_name, digest)


def existing(path: Path, read: Callable[[Path], Row]) -> Row | None:
    """The record an earlier run left, unless it is damaged."""
    if not path.is_file():
        return None
    try:
        return read(path)
    except ZooError as problem:
        say(f"made again: {problem}")
        return None


def writable(out: Path) -> None:
    """ZooError where nothing can be written below `out`; creates nothing yet."""
    place = out.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ZooError(f"--out {out}: cannot be written; give another folder")


def _provenance(setup: Setup, bank: Bank, fitted: Fitted, clock: Clock, command: str, code: str) -> Provenance:
    return Provenance(
        command=command,
        benchmark_sha256=setup.benchmark.sha256,
        item_set_sha256=setup.items_sha256,
        bank_sha256=bank.sha256,
        weights=setup.weights,
        weights_sha256=setup.weights_sha256,
        trained_sha256=fitted.sha256 if setup.method.trains else "",
        code_sha256=code,
        versions=_versions(setup),
        device=setup.device.title,
        precision=setup.device.precision,
        threads=torch.get_num_threads(),
        seconds=clock.seconds,
        peak_memory_mb=round(peak_memory_mb(), 1),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _versions(setup: Setup) -> dict[str, str]:
    """Of what can change a figure, packages that added a plug-in among them."""
    packages = ("hemazoo", "torch", "torchvision", "timm", "numpy", "scikit-learn")
    versions = {name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()}
    used = {
        "methods": [setup.method_name], "explainers": [setup.explainer_name], "backbones": [setup.backbone_name],
        "metrics/prediction": registry.usable("metrics/prediction"),
        "metrics/explanation": setup.benchmark.explanation_metrics if setup.explainer else (),
    }  # fmt: skip
    parts = [(folder, name) for folder, names in used.items() for name in names if name in registry.names(folder)]
    return versions | dict(filter(None, (registry.package(*part) for part in parts)))
