"""Benchmarks: what is measured, read from one TOML file each, or put together on the command line."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo import paths
from zoo.data.items import Items
from zoo.errors import ZooError, unknown
from zoo.record import BankSpec

Names = Annotated[tuple[str, ...], Field(strict=False)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=0)]
Marked = Literal["cell", "nucleus", "cytoplasm"]


class Benchmark(BaseModel):
    """A dataset, how it is split, the bank of episodes, and the metrics."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    """Stem of the file."""
    sha256: str
    """Of the file's bytes; without a file, of the fields as canonical JSON."""
    title: str
    dataset: str
    """Name of a card, or a path to the user's own data."""
    classes: Names = ()
    """Names of the classes in use; empty = all."""
    train_classes: Names = ()
    """Names of the (base) classes of training and validation; empty = `classes`. Of the others, which are novel, every
    item may be tested."""
    train_dataset: str = ""
    """Dataset of training and validation, seen as its own card says; empty = `dataset`. Else every item of `dataset`
    may be tested."""
    bank: BankSpec
    train_per_class: Count = 125
    validation_per_class: Count = 125
    backbone: str = "conv4"
    """The one used unless the user names another."""
    crop: Side = 0
    """Side of the centre crop in pixels of the original; 0 = the card's."""
    side: Side = 0
    """Side of the packed square in pixels; 0 = the card's."""
    explained: Count = 200
    """How many queries are explained."""
    steps: Count = 10
    """Perturbation steps of deletion and insertion."""
    explanation_metrics: Names = ("deletion", "insertion")
    marked: Marked = "cell"
    """What of the real masks saliency should lie on: where classes differ in one part alone, that part."""

    def class_numbers(self, items: Items) -> np.ndarray:
        """Numbers (c,) of the benchmark's classes in its dataset, ascending. ZooError for a class it has not."""
        return _numbers(items, self.classes)

    def train_class_numbers(self, items: Items) -> np.ndarray:
        """Numbers (b,) of the classes of training in its dataset, ascending. ZooError for a class it has not."""
        return _numbers(items, self.train_classes or (() if self.train_dataset else self.classes))

    @property
    def novel(self) -> bool:
        """Whether it tests on classes, or on a dataset, that training never saw."""
        return bool(self.train_classes or self.train_dataset)


def _numbers(items: Items, wanted: tuple[str, ...]) -> np.ndarray:
    for name in wanted:
        if name not in items.classes:
            raise unknown(f"class of {items.dataset}", name, items.classes, f"zoo data verify {items.dataset}")
    return np.array([number for number, name in enumerate(items.classes) if name in (wanted or items.classes)])


def names() -> list[str]:
    """Names of the benchmarks that have a file, sorted."""
    return sorted(file.stem for file in paths.protocols().glob("*.toml"))


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name. ZooError where there is none or its file is wrong."""
    if name not in names():
        raise unknown("benchmark", name, names(), "zoo list benchmarks")
    return read(paths.protocols() / f"{name}.toml")


def read(file: Path) -> Benchmark:
    """The benchmark in a TOML file. ZooError names the file and the first wrong line or field."""
    try:
        raw = file.read_bytes()
        fields = tomllib.loads(raw.decode())
    except (OSError, ValueError) as error:
        raise ZooError(f"{file}: not a readable TOML file ({error}): mend it") from None
    if given := {"name", "sha256"} & fields.keys():
        raise ZooError(f"{file}: {', '.join(sorted(given))}: follows from the file itself, remove the line")
    return _checked(str(file), fields | {"name": file.stem, "sha256": hashlib.sha256(raw).hexdigest()})


def ad_hoc(
    dataset: str, way: int = 5, shot: int = 5, bank: str = "standard", episodes: int | None = None
) -> Benchmark:
    """A benchmark without a file: `--dataset D --way --shot --bank --episodes`, named like pbc_5way_1shot_standard600.

    `dataset` is a card's name or a path. What is not said here (classes, split sizes, view, backbone, metrics) is as in
    the benchmark of the same dataset with the most training images that trains on what it tests, the first of several;
    `episodes` is 100 for `all`, else 600.
    """
    kinds = get_args(BankSpec.model_fields["kind"].annotation)
    if bank not in kinds:
        raise unknown("bank", bank, kinds, "zoo run --help")
    others = [other for other in map(benchmark, names()) if other.dataset == dataset and not other.novel]
    alike = max(others, key=lambda other: other.train_per_class, default=None)
    episodes = (100 if bank == "all" else 600) if episodes is None else episodes
    kept = alike.model_dump(exclude={"name", "sha256", "title", "bank"}) if alike else {}
    fields = kept | {
        "title": f"{Path(dataset).name}: {way}-way {shot}-shot, {bank} bank of {episodes}",
        "dataset": dataset,
        "bank": {"kind": bank, "way": way, "shot": shot, "episodes": episodes},
    }
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(dataset).name).strip("-") or "data"
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return _checked("benchmark", fields | {"name": f"{stem}_{way}way_{shot}shot_{bank}{episodes}", "sha256": digest})


def _checked(source: str, fields: dict[str, Any]) -> Benchmark:
    try:
        return Benchmark.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        raise ZooError(f"{source}: {field}: {first['msg']}{given}") from None
