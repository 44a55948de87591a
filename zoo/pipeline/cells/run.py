"""A whole run of a cell model: every tested field by the model of the fold it was left out of, a record, a picture."""

import datetime
import importlib.metadata
import itertools
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from zoo.board.cells import figures, store
from zoo.cell_floors import constants
from zoo.cell_record import CellRecord, cell_record_key, folds_hash
from zoo.cell_table import Table, joined, rows
from zoo.cells import Cells
from zoo.errors import ZooError
from zoo.pipeline import cache
from zoo.pipeline.cells import gallery
from zoo.pipeline.cells.setup import CellSetup
from zoo.pipeline.cells.train import batch_of, train
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import InTraining, peak_memory_mb
from zoo.pipeline.fit import Clock
from zoo.pipeline.progress import bar, training
from zoo.pipeline.run import existing, writable
from zoo.record import Provenance, settings_hash

BATCH = 8
"""Fields found at a time."""
SHOWN = 6
"""Fields in the picture."""


@dataclass(frozen=True)
class CellResult:
    """What a run leaves behind."""

    record: CellRecord
    path: Path
    gallery: Path
    reused: bool
    """True where the record was there already."""


def run(setup: CellSetup, out: Path, command: str) -> CellResult:
    """Train and test one model a tested fold. A record that is there already, made by the same code, is handed back."""
    code = cache.all_code(type(setup.model), type(setup.backbone()))
    path = out / _key(setup)
    picture = path.with_suffix(".png")
    found = existing(path, store.read)
    if found and found.provenance.code_sha256 == code and picture.is_file():
        return CellResult(found, path, picture, reused=True)
    writable(out)
    clock, tables, said, hashes = Clock(), [], [], []
    shown: dict[int, list[gallery.Shown]] = {}
    spent = {"train": 0.0, "evaluate": 0.0}
    fields, order = setup.fields, _order(setup)
    numbers = {int(field): place for place, field in enumerate(order)}
    for fold in setup.benchmark.rounds:
        network, seconds = trained(setup, fold)
        spent["train"] += seconds
        hashes.append(cache.state_sha256(network))
        with clock.stage("evaluate"):
            for field, truth, seen in _found(setup, network, setup.tested(fold)):
                tables.append(rows(truth, seen, numbers[field]))
                if len(truth.labels) and len(same := shown.setdefault(int(truth.labels[0]), [])) < SHOWN:
                    image = np.asarray(fields.pixels[field])
                    same.append(gallery.Shown(fields.names[field], image, truth, seen))
        spent["evaluate"] += clock.seconds["evaluate"]
        training_truth = (fields.truth(int(field)) for field in setup.trained(fold))
        said.append(constants(training_truth, len(fields.classes), len(fields.attributes)))
    with clock.stage("figures"):
        record = _record(setup, joined(tables), order, said, command, code, hashes, spent)
    store.write(record, out)
    with clock.stage("gallery"):
        images = f"{record.dataset}, synthetic images" if record.synthetic else record.subset or record.dataset
        title = f"{record.model} on {record.benchmark}"
        # the classes in turn, so that the picture shows as many as it can
        turns = (one for turn in itertools.zip_longest(*shown.values()) for one in turn if one is not None)
        cases, below = list(itertools.islice(turns, SHOWN)), f"{images}; {record.backbone}"
        gallery.draw(cases, fields.classes, fields.attributes, title, below, picture)
    return CellResult(record, path, picture, reused=False)


def trained(setup: CellSetup, fold: int) -> tuple[nn.Module, float]:
    """The network of a fold, trained on the other folds now or by an earlier run, and the seconds that took."""
    chosen, made = setup.trained(fold), setup.backbone()
    if not len(chosen):
        raise ZooError(f"{setup.benchmark.name}: fold {fold} leaves no field to train on")
    network = setup.model.network(setup.kind(fold), InTraining(made, setup.device), setup.seed)
    source = cache.all_code(type(setup.model), type(made))
    place = cache.place("trained_cells", ".pt", setup.key, chosen.tolist(), torch.get_num_threads(), source)
    rounds = len(setup.benchmark.rounds)
    label = setup.model_name + (f", fold {setup.benchmark.rounds.index(fold) + 1} of {rounds}" if rounds > 1 else "")
    with training(label, len(chosen)) as progress:
        done = train(network, setup.model, setup.fields, chosen, setup.seed, setup.device, place, progress)
    return done.network.requires_grad_(False), done.seconds


def _found(setup: CellSetup, network: nn.Module, chosen: np.ndarray) -> list[tuple[int, Cells, Cells]]:
    """(field, its true cells, those found) of each of these fields."""
    every = []
    device, bf16 = setup.device, setup.device.name == "cpu" and setup.device.precision == "bf16"
    with bar(f"finding cells with {setup.model_name}", len(chosen)) as advance, torch.inference_mode(), fast_depthwise(
        nn.ModuleDict({"network": network}), bf16
    ):  # fmt: skip
        for start in range(0, len(chosen), BATCH):
            part = chosen[start : start + BATCH]
            images, truth = batch_of(setup.fields, part, device)
            with device.autocast():
                seen = setup.model.find(network, images)
            every += list(zip(map(int, part), truth, seen, strict=True))
            advance(len(part))
    return every


def _order(setup: CellSetup) -> np.ndarray:
    """Numbers of the tested fields, ascending: their places are the record's numbers."""
    return np.sort(np.concatenate([setup.tested(fold) for fold in setup.benchmark.rounds]))


def _record(
    setup: CellSetup, table: Table, order: np.ndarray, said: list, command: str, code: str, hashes: list[str],
    spent: dict[str, float],
) -> CellRecord:  # fmt: skip
    fields, rounds = setup.fields, setup.benchmark.rounds
    names = [fields.names[field] for field in order]
    fold = [rounds.index(int(setup.fold[field])) for field in order]
    by_field = np.argsort(table.field, kind="stable")
    learned = [int((fields.cells[f].labels >= 0).sum()) for f in range(len(fields.names))]
    packages = ("hemazoo", "torch", "torchvision", "timm", "transformers", "numpy", "scikit-learn", "scikit-image")
    provenance = Provenance(
        command=command, benchmark_sha256=setup.benchmark.sha256, item_set_sha256=fields.sha256,
        bank_sha256=folds_hash(names, fold), weights=setup.weights, weights_sha256=setup.weights_sha256,
        trained_sha256=settings_hash(*hashes), code_sha256=code,
        versions={name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()},
        device=setup.device.title, precision=setup.device.precision, threads=torch.get_num_threads(),
        seconds={name: round(seconds, 3) for name, seconds in spent.items()},
        peak_memory_mb=round(peak_memory_mb(), 1),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    return figures.record(
        Table(*(column[by_field] for column in table)), said, fields.attributes,
        benchmark=setup.benchmark.name, dataset=fields.dataset, subset=fields.subset, synthetic=fields.synthetic,
        classes=list(fields.classes), model=setup.model_name, model_settings=asdict(setup.model),
        backbone=setup.backbone_name, seed=setup.seed, height=fields.pixels.shape[1], width=fields.pixels.shape[2],
        labels_seen=max(sum(learned[field] for field in setup.trained(one)) for one in rounds), fields=names,
        groups=np.unique(fields.groups[order], return_inverse=True)[1].tolist(), folds=fold, provenance=provenance,
    )  # fmt: skip


def _key(setup: CellSetup) -> str:
    """Where the record will be, known before any work; `CellRecord.key` says the same afterwards."""
    order = _order(setup)
    fold = [setup.benchmark.rounds.index(int(setup.fold[field])) for field in order]
    digest = settings_hash(
        asdict(setup.model), setup.seed, setup.weights_sha256, setup.fields.sha256,
        folds_hash([setup.fields.names[field] for field in order], fold), *setup.fields.pixels.shape[1:3],
        setup.device.precision,
    )  # fmt: skip
    return cell_record_key(setup.benchmark.name, setup.backbone_name, setup.model_name, digest)
