"""The record of a cell model: every true and every found cell of a benchmark first, figures computed from them."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from zoo.cell_floors import Constants, Floor, Said
from zoo.cell_table import Table, ratio
from zoo.packing import pack_draws, pack_numbers, unpack_draws, unpack_numbers
from zoo.record import Figure, Name, Names, Numbers, Provenance, settings_hash

CELLS_SCHEMA = 1
FOLDER = "cells"
"""Folder of cell records below `records/` or `runs/`."""
MOST_ROWS = 50_000
"""True and spurious cells of a record, so that a thousand resamples of a stranger's file take minutes at most."""
MOST_ATTRIBUTES = 20
_FLAGS = ("real", "seen", "hit", "largest", "largest_found")
_FRACTIONS = (
    "score", "box_jaccard", "cell_jaccard", "nucleus_jaccard", "cytoplasm_jaccard", "true_nc", "found_nc",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class AttributeWords(_Strict):
    """An attribute and its words, in the order of their numbers."""

    name: str
    values: list[str]


class Columns(_Strict):
    """A `zoo.cell_table.Table`, packed: numbers plus one, as 0 says -1; fractions in steps of 1/65,534."""

    rows: Annotated[int, Field(ge=0, le=MOST_ROWS)]
    field: str
    flags: str
    """The sum of 1 real, 2 seen, 4 hit, 8 largest, 16 largest found"""
    true_label: str
    found_label: str
    score: str
    box_jaccard: str
    cell_jaccard: str
    nucleus_jaccard: str
    cytoplasm_jaccard: str
    true_nc: str
    found_nc: str
    true_attributes: str
    """Attribute after attribute, all rows of each"""
    found_attributes: str

    @classmethod
    def pack(cls, table: Table) -> Self:
        """Of a table whose rows count once. ValueError where it has more than `MOST_ROWS`."""
        if len(table.field) > MOST_ROWS:
            raise ValueError(f"{len(table.field)} cells are too many for a record, {MOST_ROWS} are allowed")
        flags = np.stack([getattr(table, name) for name in _FLAGS], 1) @ (1 << np.arange(len(_FLAGS)))
        words = (table.true_attributes.T.ravel(), table.found_attributes.T.ravel())
        return cls(
            rows=len(table.field), field=pack_numbers(table.field), flags=pack_numbers(flags),
            true_label=pack_numbers(table.true_label + 1), found_label=pack_numbers(table.found_label + 1),
            true_attributes=pack_numbers(words[0] + 1), found_attributes=pack_numbers(words[1] + 1),
            **{name: pack_draws(np.clip(getattr(table, name), 0, 1)) for name in _FRACTIONS},
        )  # fmt: skip

    def table(self, attributes: int) -> Table:
        """The table, its fractions rounded to the steps. ValueError where a column is damaged or has another length."""
        whole = {name: self._numbers(name, self.rows) for name in ("field", "flags", "true_label", "found_label")}
        words = [
            (self._numbers(name, self.rows * attributes) - 1).reshape(attributes, self.rows).T
            for name in ("true_attributes", "found_attributes")
        ]
        fractions = {name: unpack_draws(getattr(self, name)) for name in _FRACTIONS}
        for name, values in fractions.items():
            if len(values) != self.rows:
                raise ValueError(f"{name} has {len(values)} rows, not {self.rows}")
        flags = {name: (whole["flags"] >> place & 1).astype(bool) for place, name in enumerate(_FLAGS)}
        return Table(
            field=whole["field"], true_label=whole["true_label"] - 1, found_label=whole["found_label"] - 1,
            true_attributes=words[0], found_attributes=words[1], true_ratio=ratio(fractions["true_nc"]),
            found_ratio=np.nan_to_num(ratio(fractions["found_nc"])), weight=np.ones(self.rows), **flags, **fractions,
        )  # fmt: skip

    def _numbers(self, name: str, count: int) -> np.ndarray:
        found = unpack_numbers(getattr(self, name), 2 * count + 1)
        if len(found) != count:
            raise ValueError(f"{name} has {len(found)} numbers, not {count}")
        return found


class CellRecord(_Strict):
    """One cell model on one benchmark: every field tested once, by the model of the fold that it was left out of."""

    schema_version: Literal[1] = CELLS_SCHEMA
    kind: Literal["cells"] = "cells"
    """What tells it from a record of episodes."""
    benchmark: Name
    dataset: str
    subset: str | None
    """Name of the part of the dataset that was there, None when it was whole."""
    synthetic: bool
    classes: list[str]
    attributes: Annotated[list[AttributeWords], Field(max_length=MOST_ATTRIBUTES)]
    model: Name
    model_settings: dict[str, Any]
    backbone: Name
    seed: int
    height: int
    """Of the fields as they were packed, in pixels, as `width`"""
    width: int
    labels_seen: int
    """Labelled training cells of one fold, the most of any."""
    fields: Names
    """Names of the tested fields; numbers elsewhere are positions in this list."""
    groups: Numbers
    """Duplicate group (or patient) of each field."""
    folds: Numbers
    """Fold of each field, from 0."""
    constants: list[Constants]
    """What the floors say in each fold, from its training fields."""
    cells: Columns
    figures: dict[str, Figure]
    """metric -> its value over the fields of all folds; metrics that nothing counts for are left out."""
    attribute_figures: dict[str, dict[str, Figure]]
    """attribute -> metric -> the same of that attribute alone."""
    fold_figures: dict[str, list[float | None]]
    """metric -> its value in each fold."""
    floors: dict[Floor, dict[str, Figure]]
    """floor -> metric -> what it scores on the same cells."""
    attribute_floors: dict[Floor, dict[str, dict[str, Figure]]]
    """floor -> attribute -> metric -> the same of that attribute alone."""
    provenance: Provenance
    """Its item_set_sha256 is of the fields, its bank_sha256 of their folds (`folds_hash`)."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        fields, count = len(self.fields), len(self.constants)
        if not fields:
            raise ValueError("fields: there is none")
        if not fields == len(self.groups) == len(self.folds):
            raise ValueError("fields, groups and folds differ in length")
        if len(set(self.fields)) != fields:
            raise ValueError("fields: one is named twice")
        if set(self.folds) != set(range(count)):
            raise ValueError(f"folds: there are constants of {count} folds, but other folds have fields")
        if any(len(one.classes) != len(self.classes) for one in self.constants):
            raise ValueError("constants: not one of each class")
        if not all(self._can_say(said) for one in self.constants for said in (one.every, *one.classes)):
            raise ValueError("constants: a class or a word is out of range")
        return self

    def _can_say(self, said: Said) -> bool:
        counts = [len(attribute.values) for attribute in self.attributes]
        words = len(said.words) == len(counts) and all(
            -1 <= word < count for word, count in zip(said.words, counts, strict=True)
        )
        return words and said.label < len(self.classes)

    def table(self) -> Table:
        """Every true and every spurious cell. ValueError where the columns are damaged."""
        return self.cells.table(len(self.attributes))

    @property
    def settings_sha256(self) -> str:
        """Hash of every choice that makes this row differ from another of the same name."""
        made = self.provenance
        return settings_hash(
            self.model_settings, self.seed, made.weights_sha256, made.item_set_sha256, made.bank_sha256,
            self.height, self.width, made.precision,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Path of the record below `records/` or `runs/`, without a leading slash."""
        return cell_record_key(self.benchmark, self.backbone, self.model, self.settings_sha256)


def cell_record_key(benchmark: str, backbone: str, model: str, settings_sha256: str) -> str:
    """Path of a cell record below `records/` or `runs/`: its names, and a hash of everything that was chosen."""
    return f"{FOLDER}/{benchmark}/{backbone}/{model}/{settings_sha256[:12]}.json"


def folds_hash(fields: Sequence[str], folds: Sequence[int] | np.ndarray) -> str:
    """SHA-256 of which tested field is in which fold, whatever their order."""
    pairs = sorted(zip(fields, map(int, folds), strict=True))
    return hashlib.sha256(json.dumps(pairs, separators=(",", ":")).encode()).hexdigest()
