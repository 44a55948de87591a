"""Fields of rectangular cells and records of them, made up for the tests of cell boards."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.board.cells import figures
from zoo.cell_floors import constants
from zoo.cell_record import CellRecord, folds_hash
from zoo.cell_table import Table, joined, rows
from zoo.cells import Attribute, Cells
from zoo.record import Provenance

SIDE = 48
PROTOCOL = "b" * 64
ATTRIBUTES = (Attribute("granularity", ("no", "yes")), Attribute("nucleus_shape", ("round", "bent", "lobed")))


def cells(
    boxes: Sequence[Sequence[int]],
    labels: Sequence[int],
    scores: Sequence[float] | None = None,
    attributes: Sequence[Sequence[int]] | None = None,
    nuclei: Sequence[Sequence[int]] | None = None,
    masked: bool = True,
) -> Cells:
    """Cells that fill their boxes (left, top, right, bottom); their nuclei fill boxes of their own, else none."""
    count = len(labels)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes):
        masks[number, top:bottom, left:right] = 1
    for number, (left, top, right, bottom) in enumerate(nuclei or ()):
        masks[number, top:bottom, left:right] = 2
    words = np.array(attributes if attributes is not None else np.full((count, 2), -1), np.int64)
    return Cells(
        np.array(labels, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        masks if masked else None,
        words.reshape(count, -1) if count else np.zeros((0, 2), np.int64),
        np.array(np.ones(count) if scores is None else scores, np.float32),
    )


def drawn(seed: int, classes: int = 3, most: int = 3, masked: bool = True) -> Cells:
    """The true cells of one field: 1 to `most` of them on a grid, so that they never touch."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, most + 1))
    corners = [(2 + 24 * (place % 2), 2 + 24 * (place // 2)) for place in random.permutation(4)[:count]]
    sizes = random.integers(12, 19, count)
    boxes = [(x, y, x + side, y + side) for (x, y), side in zip(corners, sizes.tolist(), strict=True)]
    nuclei = [
        (x + 2, y + 2, x + int(side * part), y + side - 3)
        for (x, y), side, part in zip(corners, sizes.tolist(), random.uniform(0.4, 0.9, count), strict=True)
    ]
    labels = random.integers(0, classes, count)
    words = np.stack([labels % 2, (labels + (random.random(count) < 0.3)) % 3], 1)
    return cells(boxes, labels.tolist(), None, words.tolist(), nuclei, masked)


def seen(truth: Cells, seed: int, wrong: float = 0.1, classes: int = 3) -> Cells:
    """What a model finds: shifted by up to two pixels, some missed, some of another class or word, some spurious."""
    random = np.random.default_rng(seed)
    kept = np.flatnonzero(random.random(len(truth.labels)) >= wrong / 2)
    shifts = random.integers(-2, 3, (len(kept), 2))
    boxes = truth.boxes[kept] + np.concatenate([shifts, shifts], 1)
    assert truth.masks is not None
    masks = np.zeros((len(kept), SIDE, SIDE), np.uint8)
    for number, (cell, (x, y)) in enumerate(zip(kept, shifts.tolist(), strict=True)):
        masks[number] = np.roll(truth.masks[cell], (y, x), (0, 1))
    flip = random.random(len(kept)) < wrong
    labels = np.where(flip, (truth.labels[kept] + 1) % classes, truth.labels[kept])
    words = np.where(random.random((len(kept), 2)) < wrong, 0, truth.attributes[kept])
    found = Cells(labels, boxes.astype(np.float32), masks, words, random.uniform(0.5, 1, len(kept)).astype(np.float32))
    if random.random() >= wrong:
        return found
    extra = cells([(40, 40, 46, 46)], [0], [float(random.uniform(0, 0.6))], [[0, 0]], [(41, 41, 44, 44)])
    return Cells(*(np.concatenate([np.asarray(a), np.asarray(b)]) for a, b in zip(found, extra, strict=True)))


def table(fields: int = 40, seed: int = 0, wrong: float = 0.1) -> tuple[Table, list[Cells]]:
    """The table of made-up fields, and what is true of them; the truth does not depend on the seed."""
    truth = [drawn(number) for number in range(fields)]
    every = [rows(one, seen(one, 1000 * seed + number, wrong), number) for number, one in enumerate(truth)]
    return joined(every), truth


def record(
    seed: int = 0, wrong: float = 0.1, fields: int = 40, folds: int = 2, draw: int | None = None, **changes: Any
) -> CellRecord:
    """A record of a made-up benchmark; `changes` replace fields of it or of its provenance. draw: the seed of what is
    found, where it is not that of training."""
    made, truth = table(fields, seed if draw is None else draw, wrong)
    names = [f"field/{number:04}.png" for number in range(fields)]
    fold = np.arange(fields) % folds
    learned = [
        constants([one for one, mine in zip(truth, fold, strict=True) if mine != each or folds == 1], 3, 2)
        for each in range(folds)
    ]
    origin = dict(
        command="zoo run --method cellnet --benchmark toy_fields", benchmark_sha256=PROTOCOL,
        item_set_sha256="1" * 64, bank_sha256=folds_hash(names, fold), weights="none", weights_sha256="",
        trained_sha256="5" * 64, code_sha256="4" * 64, versions={"numpy": "2"}, device="cpu", precision="fp32",
        threads=2, seconds={"train": 321.5, "evaluate": 4.25}, peak_memory_mb=900.0,
        created="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    origin |= {name: changes.pop(name) for name in list(changes) if name in Provenance.model_fields}
    about = dict(
        benchmark="toy_fields", dataset="toy", subset=None, synthetic=False, classes=["basophil", "monocyte", "blast"],
        model="cellnet", model_settings={"epochs": 30}, backbone="conv4", seed=seed, height=SIDE, width=SIDE,
        labels_seen=60, fields=names, groups=list(range(fields)), folds=fold.tolist(),
        provenance=Provenance.model_validate(origin),
    )  # fmt: skip
    return figures.record(made, learned, ATTRIBUTES, **(about | changes))
