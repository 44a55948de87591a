"""`load`: a card's name -> Fields."""

import hashlib
import json
from typing import Any

import numpy as np

from zoo.cells import Cells
from zoo.data import card as card_file
from zoo.data import pack as images
from zoo.data.card import Card
from zoo.data.fields import bccd, drawn, leukox, single, wbcatt
from zoo.data.fields.pack import pack
from zoo.data.fields.source import FieldListing
from zoo.data.fields.table import Fields
from zoo.errors import ZooError, unknown

_SMALLEST = 16


def names() -> list[str]:
    """Names of the datasets with fields, sorted."""
    return [name for name in card_file.names() if card_file.read(name).fields]


def load(name: str, side: int | None = None) -> Fields:
    """The fields of a dataset, packed with their longer side in `side` pixels (the card's, unless told).

    Raises ZooError for missing data and for a field that cannot be read, naming its file.
    """
    if name not in names():
        raise unknown("dataset of fields", name, names(), "zoo data list")
    card = card_file.read(name)
    side = card.field_side if side is None else side
    if side < _SMALLEST:
        raise ZooError(f"fields of {side} pixels are too small; give a side of {_SMALLEST} or more")
    found = listing(card)
    if not found.entries:
        raise ZooError(f"{name}: no field in {card.root} is whole; `zoo data verify {name}` says why")
    hashes = images.digests([entry.source for entry in found.entries], f"{card.root}#fields")
    subset = None if len(found.entries) >= card.fields else f"partial ({len(found.entries)} of {card.fields})"
    packed = pack(found, hashes, side, {"dataset": name, "subset": subset})
    manifest = packed.manifest
    field_names = tuple(entry.name for entry in found.entries)
    return Fields(
        dataset=name, subset=subset, synthetic=card.synthetic, names=field_names,
        groups=np.array(manifest["groups"], np.int64), pixels=packed.arrays["pixels"],
        cells=tuple(_cells(one, len(found.attributes)) for one in manifest["cells"]),
        drawn=packed.arrays.get("drawn"), classes=found.classes, attributes=found.attributes,
        scale=np.array(manifest["scale"], np.float32), sha256=_sha256(field_names, found, manifest),
        dropped=tuple(sorted([*found.dropped, *manifest["notes"]])),
    )  # fmt: skip


def listing(card: Card) -> FieldListing:
    """Every field that lies in the card's folder. ZooError where there is none."""
    card.needed()
    if card.layout == "bccd":
        return bccd.listing(card.root, card.classes)
    if card.layout == "leukox":
        return leukox.listing(card.root, card.classes)
    if card.layout == "attributes":
        return wbcatt.listing(card.classes)
    return single.listing(card.root, card.classes) if card.layout == "pairs" else drawn.listing(card.fields)


def _cells(known: dict[str, Any], attributes: int) -> Cells:
    labels = np.array(known["labels"], np.int64)
    return Cells(
        labels, np.array(known["boxes"], np.float32).reshape(-1, 4), None,
        np.array(known["attributes"], np.int64).reshape(len(labels), attributes), np.ones(len(labels), np.float32),
    )  # fmt: skip


def _sha256(field_names: tuple[str, ...], found: FieldListing, manifest: dict[str, Any]) -> str:
    known = [field_names, found.classes, found.attributes, manifest["groups"], manifest["cells"], manifest["sha256"]]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
