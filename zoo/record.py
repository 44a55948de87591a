"""The words that do not need torch: Episode, Bank, Record."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from zoo.packing import LARGEST, pack_names, pack_numbers, unpack_bytes, unpack_names, unpack_numbers

SCHEMA = 3
"""1 and 2: numbers packed as words, predictions in the order of their episodes, names and classes as lists; 1 also
figures without `draws`."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._+@-]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=120)]
"""A name that is part of a path: it can neither climb out of a folder nor hide."""
Names = Annotated[
    list[str],
    BeforeValidator(lambda found: unpack_names(found) if isinstance(found, str) else found),
    PlainSerializer(pack_names, when_used="json"),
]
"""Packed in a file."""
Numbers = Annotated[
    list[int],
    BeforeValidator(lambda found: unpack_numbers(found).tolist() if isinstance(found, str) else found),
    PlainSerializer(pack_numbers, when_used="json"),
]
"""Of 0..65,535; packed in a file."""


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Figure(_Strict):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float
    draws: str = ""
    """Its values in the resamples of the bootstrap, packed (`pack_draws`). Two records of the same bank use the same
    resamples, so that subtracting their draws pairs them. Empty where they are made from the raw values when needed."""


class Predictions(_Strict):
    """Every prediction of the bank, so that every figure can be computed again."""

    items: Names
    """Names of the items that occur; numbers below are positions in this list."""
    truth: Numbers
    """Class of each item."""
    groups: Numbers
    """Duplicate group of each item."""
    lengths: list[int]
    """Queries of each episode."""
    query: str
    """Packed steps (modulo 65,536) from one queried item number to the next, from zero, episode after episode."""
    predicted: str
    """Packed predicted classes (numbers into the record's `classes`), by item and then by episode: what one item was
    taken for over all episodes lies together and packs best."""

    @classmethod
    def pack(
        cls, items: list[str], truth: np.ndarray, groups: np.ndarray, lengths: list[int], query: np.ndarray,
        predicted: np.ndarray,
    ) -> Self:  # fmt: skip
        """From the item number and the predicted class of each query, episode after episode, in any order within."""
        groups = np.unique(groups, return_inverse=True)[1]
        episode = np.repeat(np.arange(len(lengths)), lengths)
        ascending = np.lexsort((query, episode))
        steps = np.diff(query[ascending], prepend=0) % 65_536
        return cls(
            items=items, truth=truth.tolist(), groups=groups.tolist(), lengths=lengths, query=pack_numbers(steps),
            predicted=pack_numbers(predicted[np.lexsort((episode, query))]),
        )  # fmt: skip

    def unpack(self, limit: int = LARGEST) -> tuple[np.ndarray, np.ndarray]:
        """(item numbers, episode after episode; predicted classes, as stored: by item). ValueError where damaged."""
        return np.cumsum(unpack_numbers(self.query, limit)) % 65_536, unpack_numbers(self.predicted, limit)


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


class AttributeAnswers(_Strict):
    """What one set of heads says of the items of the predictions, in their order."""

    words: dict[str, Numbers]  # attribute -> number of the word it is given
    classes: Numbers
    """The class that follows from the words alone; empty where the heads know other classes than those tested"""
    changed: dict[str, Numbers]
    """attribute -> the class that follows when it alone is set to its likeliest other word; empty as `classes`"""


class Attributes(_Strict):
    """Of the items of the predictions: what is known, and what heads on the backbone say."""

    words: dict[str, list[str]]
    """attribute -> its words"""
    truth: dict[str, Numbers]
    """attribute -> 1 + number of the true word; 0 where it is undefined, or nobody has said"""
    usual: dict[str, int]
    """attribute -> 1 + number of the commonest word of the `trained_on` training items: a floor"""
    usual_of_class: dict[str, list[int]]
    """attribute -> the same of each class: what the true class alone gives away; 0 = none"""
    trained_on: int
    heads: AttributeAnswers
    permuted: AttributeAnswers  # the floor: heads fitted on attributes dealt to the training items at random
    figures: dict[str, Figure]  # see `zoo.board.attributes`


class Explanations(_Strict):
    """The explained queries and every explainer's row: the one asked for, then the floors."""

    items: list[str]
    correct: list[bool]
    steps: int
    temperature: float
    rows: dict[str, ExplanationRow]
    attributes: Attributes | None = None


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

    schema_version: Literal[3] = SCHEMA
    benchmark: Name
    dataset: str
    subset: str | None
    """Name of the part of the dataset that was there, None when it was whole."""
    synthetic: bool
    classes: list[str]
    bank: BankSpec
    method: Name
    method_settings: dict[str, Any]
    transductive: bool
    explainer: Name | None
    backbone: Name
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

    @model_validator(mode="after")
    def _explained_by_its_explainer(self) -> Self:
        if self.explanations and self.explainer not in self.explanations.rows:
            raise ValueError("explanations has no row of the record's own explainer")
        return self

    @property
    def weights_trained(self) -> bool:
        """Whether its weights were trained on labels in another run, whose time is not in `provenance.seconds`."""
        return bool(self.labels_seen) and not self.provenance.trained_sha256

    @property
    def settings_sha256(self) -> str:
        """Hash of every choice that makes this row differ from another of the same name."""
        made = self.provenance
        explained = self.explanations.rows[self.explainer].settings if self.explanations and self.explainer else {}
        return settings_hash(
            self.method_settings, explained, self.seed, made.weights_sha256, made.item_set_sha256, made.bank_sha256,
            self.image_size, made.precision,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Path of the record below `records/` or `runs/`, without a leading slash."""
        return record_key(self.benchmark, self.backbone, self.method, self.explainer, self.settings_sha256)


def record_key(benchmark: str, backbone: str, method: str, explainer: str | None, settings_sha256: str) -> str:
    """Path of a record below `records/` or `runs/`: its names, and a hash of everything that was chosen."""
    row = method + (f"+{explainer}" if explainer else "")
    return f"{benchmark}/{backbone}/{row}/{settings_sha256[:12]}.json"


def settings_hash(*choices: Any) -> str:
    """SHA-256 of choices as canonical JSON."""
    text = json.dumps(choices, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def migrate(fields: Any) -> Any:
    """The JSON of a record of an older schema as one of today's; anything else as it is, for the checks to refuse."""
    if not isinstance(fields, dict):
        return fields
    version = fields.get("schema_version", SCHEMA)
    if isinstance(version, int) and version > SCHEMA:
        raise ValueError(f"schema_version {version} is newer than this zoo, which reads up to {SCHEMA}: update it")
    if version in (1, 2) and version is not True:
        old = {"predictions": _repacked(fields.get("predictions"))}
        old |= {name: _without_draws(fields.get(name)) for name in ("figures", "class_accuracy")}
        fields = fields | old | {"schema_version": SCHEMA}
    return fields


def _without_draws(figures: Any) -> Any:
    """Figures whose draws, packed as they no longer are, are to be made anew."""
    if not isinstance(figures, dict) or not all(isinstance(figure, dict) for figure in figures.values()):
        return figures
    return {name: figure | {"draws": ""} for name, figure in figures.items()}


def _repacked(old: Any) -> Any:
    """Predictions of schema 1 and 2, whose numbers were packed as words in the order of the episodes."""
    try:
        query, predicted = (
            np.frombuffer(unpack_bytes(old[name]), "<u2").astype(np.int64) for name in ("query", "predicted")
        )
        lists = old["items"], np.array(old["truth"]), np.array(old["groups"]), old["lengths"]
        if not sum(old["lengths"]) == len(query) == len(predicted):
            raise ValueError("the predictions are not as many as their lengths say")
        return Predictions.pack(*lists, query, predicted).model_dump()
    except (KeyError, TypeError, IndexError, OverflowError):
        return old
