"""Attributes of a dataset's items: WBCAtt's tables joined to PBC's images, and the truths of drawn cells."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo import atomic, paths
from zoo.attributes import HEMAX, UNDEFINED, WBCATT, Told, told
from zoo.data import card, pack, readers
from zoo.data.items import Items
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.data.smear import Truth

PARTS = {"train": "pbc_attr_v1_train.csv", "validation": "pbc_attr_v1_val.csv", "test": "pbc_attr_v1_test.csv"}
COVERED = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
"""PBC's classes that WBCAtt has attributes of; its three others are UNDEFINED."""
HIGH_NC = 0.5
"""N/(N+C) from which a drawn cell's nuclear-cytoplasmic ratio is high. Our own limit: WBCAtt states none."""
_DATASETS = ("pbc", "smear")


def known(dataset: str) -> bool:
    """Whether attributes are known of the dataset."""
    return dataset in _DATASETS


def check(dataset: str) -> None:
    """ZooError where no attributes are known of the dataset, or the files that hold them are not here."""
    if not known(dataset):
        raise ZooError(f"explainer 'attributes': nothing is known of {dataset}; use --dataset {' or '.join(_DATASETS)}")
    if dataset == "pbc":
        card.read("wbcatt").needed()


def of(items: Items, numbers: np.ndarray) -> Told:
    """What is known of the items of these numbers (n,), in their order. ZooError where nothing is known of any."""
    check(items.dataset)
    names = [items.names[number] for number in numbers]
    if items.dataset == "smear":
        return told(tuple(one for one in WBCATT if one.name in HEMAX), drawn(names))
    rows = {name: words for part in wbcatt().values() for name, words in part.items()}
    outside = dict.fromkeys((one.name for one in WBCATT), UNDEFINED)
    said = [rows.get(name) if name.split("/")[0] in COVERED else outside for name in names]
    return told(WBCATT, said)


def wbcatt() -> dict[str, dict[str, dict[str, str]]]:
    """part (train, validation, test: WBCAtt's own split) -> PBC's item name -> attribute -> word.

    ZooError names file, line and column of a word that WBCAtt does not know, and of an image that stands twice.
    """
    card.read("wbcatt").needed()
    found: dict[str, dict[str, dict[str, str]]] = {}
    seen: dict[str, str] = {}
    for part, name in PARTS.items():
        file = card.read("wbcatt").root / name
        found[part] = dict(_read(file))
        for item in found[part]:
            if item in seen:
                raise ZooError(f"{file}: {item} stands in {seen[item]} too; get it again (`zoo data get wbcatt`)")
            seen[item] = name
    return found


def parts(names: Sequence[str], groups: np.ndarray) -> np.ndarray:
    """(n,) WBCAtt's own split of PBC's items: 0 test, 1 validation, 2 training; 3 is nowhere: an image whose duplicate
    (group, (n,)) is tested, or one to train on whose duplicate validates."""
    own = {item: number for number, part in enumerate(("test", "validation", "train")) for item in wbcatt()[part]}
    found = np.array([own.get(name, 3) for name in names])
    first = np.full(int(groups.max(initial=0)) + 1, 3)
    np.minimum.at(first, groups, found)
    return np.where(found > first[groups], 3, found)


def _read(file: Path) -> Iterable[tuple[str, dict[str, str]]]:
    lines = readers.rows(file)
    wanted = ["img_name", "label", *(one.name for one in WBCATT)]
    if missing := [column for column in wanted if not lines or column not in lines[0]]:
        raise ZooError(f"{file}: no column '{missing[0]}'; get it again (`zoo data get wbcatt`)")
    for line, row in enumerate(lines, start=2):
        kind = (row["label"] or "").lower()
        if kind not in COVERED:
            raise ZooError(f"{file}: line {line}: '{row['label']}' is none of {', '.join(COVERED)}")
        for one in WBCATT:
            if row[one.name] not in one.values:
                said = f"{one.name} is '{row[one.name]}', none of {', '.join(one.values)}"
                raise ZooError(f"{file}: line {line}: {said}")
        yield f"{kind}/{row['img_name']}", {one.name: str(row[one.name]) for one in WBCATT}


def drawn(names: Iterable[str]) -> list[dict[str, str]]:
    """HemaX's five of drawn cells, `neutrophil/0012`, exactly as they were drawn; kept on disk class by class."""
    every = list(names)
    by_kind: dict[str, set[int]] = {}
    for name in every:
        kind, seed = name.split("/")
        by_kind.setdefault(kind, set()).add(int(seed))
    found = {kind: _drawn(kind, seeds) for kind, seeds in by_kind.items()}
    return [found[kind][str(int(seed))] for kind, seed in (name.split("/") for name in every)]


def _drawn(kind: str, seeds: set[int]) -> dict[str, dict[str, str]]:
    """Seed -> attribute -> word, of one class; what an earlier call found is read."""
    digest = hashlib.sha256(f"{readers.generator()} {HIGH_NC} {kind}".encode()).hexdigest()
    file = paths.cache() / "attributes" / f"{digest}.json"
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    missing = sorted(seeds - {int(seed) for seed in known})
    if missing:
        with pack.workers([readers.Drawn(kind, seed) for seed in missing]) as pool:
            size = len(missing)
            made = pool.map(_words, [kind] * size, missing, chunksize=8)
            rows = pack.shown(made, size, f"attributes of {kind}")
            known |= {str(seed): row for seed, row in zip(missing, rows, strict=True)}
        with atomic.replacing(file) as partial:
            partial.write(json.dumps(known).encode())
    return known


def _words(kind: str, seed: int) -> dict[str, str]:
    from zoo.data import smear

    return words(smear.cell(kind, seed))


def words(truth: "Truth") -> dict[str, str]:
    """HemaX's five of one drawn cell. A platelet has no nucleus: its shape and its N:C are UNDEFINED."""
    bare = truth.nucleus_shape is None
    return {
        "granularity": "yes" if truth.granularity else "no",
        "cytoplasm_colour": truth.cytoplasm_colour,
        "nucleus_shape": truth.nucleus_shape or UNDEFINED,
        "cell_size": truth.cell_size,
        "nuclear_cytoplasmic_ratio": UNDEFINED if bare else "high" if truth.nc >= HIGH_NC else "low",
    }
