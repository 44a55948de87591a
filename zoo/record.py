"""The words that do not need torch: Episode, Bank, Record. Imports nothing of zoo."""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1


class Episode(NamedTuple):
    """One few-shot problem, in item numbers of its dataset."""

    classes: np.ndarray
    """(way,) class numbers, ascending; the episode's label i stands for classes[i]"""
    support: np.ndarray
    """(k,) item numbers, sorted by class"""
    support_labels: np.ndarray
    """(k,) 0..way-1"""
    query: np.ndarray
    """(q,) item numbers"""
    query_labels: np.ndarray
    """(q,) 0..way-1"""


class BankSpec(BaseModel):
    """What a bank is made from, together with the item set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["standard", "disjoint", "dirichlet", "all"]
    way: Annotated[int, Field(ge=2)]
    shot: Annotated[int, Field(ge=1)]
    query: Annotated[int, Field(ge=1)] = 15
    """Queries per class (for `dirichlet`: on average; unused by `all`)."""
    episodes: Annotated[int, Field(ge=1)] = 600
    """How many episodes (for `disjoint`: at most)."""
    seed: int = 0


@dataclass(frozen=True)
class Bank:
    """A stored set of episodes: its specification and what it drew."""

    spec: BankSpec
    episodes: tuple[Episode, ...]

    @cached_property
    def sha256(self) -> str:
        """Hash of the specification and of every drawn number."""
        digest = hashlib.sha256(self.spec.model_dump_json().encode())
        for episode in self.episodes:
            for part in episode:
                digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes() + b"|")
        return digest.hexdigest()


def pack_numbers(values: np.ndarray) -> str:
    """Unsigned integers below 65,536 as base64 of zlib of little-endian 16-bit words."""
    return base64.b64encode(zlib.compress(np.asarray(values).astype("<u2").tobytes(), 9)).decode()


def unpack_numbers(text: str, limit: int = 50_000_000) -> np.ndarray:
    """The inverse of `pack_numbers`; refuses more than `limit` bytes."""
    inflate = zlib.decompressobj()
    raw = inflate.decompress(base64.b64decode(text, validate=True), limit)
    if inflate.unconsumed_tail or len(raw) % 2:
        raise ValueError("packed numbers are damaged or too long")
    return np.frombuffer(raw, "<u2").astype(np.int64)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Figure(_Strict):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Predictions(_Strict):
    """Every prediction of the bank, so that every figure can be computed again."""

    items: list[str]
    """Names of the items that occur; numbers below are positions in this list."""
    truth: list[int]
    """Class of each item."""
    groups: list[int]
    """Duplicate group of each item."""
    lengths: list[int]
    """Queries of each episode."""
    query: str
    """Packed item numbers, episode after episode."""
    predicted: str
    """Packed predicted classes (numbers into the record's `classes`), in the same order."""


class ExplanationRow(_Strict):
    """One explainer's scores on the same explained queries."""

    settings: dict[str, Any]
    floor: bool
    values: dict[str, list[float]]
    """metric -> one number per explained query, in the order of `Explanations.items`."""
    figures: dict[str, Figure]
    """metric -> mean with its interval."""
    against_random: dict[str, Figure]
    """metric -> paired difference to the `random` floor, positive where this explainer is better."""
    seconds: float


class Explanations(_Strict):
    """The explained queries and every explainer's row: the one asked for, then the floors."""

    items: list[str]
    correct: list[bool]
    steps: int
    temperature: float
    rows: dict[str, ExplanationRow]


class Provenance(_Strict):
    """All that is needed to make the record again."""

    command: str
    benchmark_sha256: str
    item_set_sha256: str
    bank_sha256: str
    weights: str
    weights_sha256: str
    """Of the backbone as pretrained or given; empty for random weights."""
    trained_sha256: str
    """Of the backbone and head after training; empty where nothing was trained."""
    code_sha256: str
    versions: dict[str, str]
    device: str
    precision: str
    threads: int
    seconds: dict[str, float]
    peak_memory_mb: float
    created: str


class Record(_Strict):
    """One method (and explainer) on one benchmark: raw values first, figures computed from them."""

    schema_version: Literal[1] = SCHEMA
    benchmark: str
    dataset: str
    subset: str | None
    """Name of the part of the dataset that was there, None when it was whole."""
    synthetic: bool
    classes: list[str]
    bank: BankSpec
    method: str
    method_settings: dict[str, Any]
    transductive: bool
    explainer: str | None
    backbone: str
    image_size: int
    seed: int
    labels_seen: int
    """Labelled training images the row has used, supports not counted."""
    predictions: Predictions
    figures: dict[str, Figure]
    """accuracy (mean over episodes), mean_class_accuracy, macro_f1: fractions in 0..1."""
    class_accuracy: dict[str, Figure]
    validation_accuracy: float | None
    explanations: Explanations | None
    provenance: Provenance

    @property
    def settings_sha256(self) -> str:
        """Hash of every choice that makes this row differ from another of the same name."""
        return settings_hash(
            self.method_settings, self.seed, self.provenance.weights_sha256, self.image_size,
            self.provenance.item_set_sha256, self.provenance.bank_sha256,
            {} if self.explanations is None else self.explanations.rows[self.explainer or ""].settings,
        )

    @property
    def key(self) -> str:
        """Path of the record below `records/` or `runs/`, without a leading slash."""
        row = self.method + (f"+{self.explainer}" if self.explainer else "")
        return f"{self.benchmark}/{self.backbone}/{row}/{self.settings_sha256[:12]}.json"


def settings_hash(*choices: Any) -> str:
    """SHA-256 of choices as canonical JSON."""
    return hashlib.sha256(json.dumps(choices, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
