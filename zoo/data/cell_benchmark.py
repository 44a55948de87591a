"""Benchmarks of cells in fields, read from one TOML file each."""

import hashlib
import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zoo import paths
from zoo.errors import ZooError, unknown


class CellBenchmark(BaseModel):
    """A dataset of fields, how large they are shown, and which are tested by what was learned from the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    """Stem of the file."""
    sha256: str
    """Of the file's bytes."""
    title: str
    dataset: str
    """Name of a card."""
    side: Annotated[int, Field(ge=16, le=4096)]
    """Longer side of the packed fields in pixels."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    tested: Annotated[tuple[int, ...], Field(strict=False)] = ()
    """Which folds are tested, each by a model of all the others; none named = every one."""
    published: bool = False
    """Whether the folds are the dataset's own split: 0 test, 1 validation, 2 training, 3 left out"""
    aside: Annotated[tuple[int, ...], Field(strict=False)] = ()
    """Folds that nothing is learned from, beside the one that is tested"""
    backbone: str
    """The one used unless the user names another."""
    kind: Literal["cells"] = "cells"

    @model_validator(mode="after")
    def _tests_what_there_is(self) -> "CellBenchmark":
        if len(set(self.tested)) != len(self.tested) or not set(self.tested) <= set(range(self.folds)):
            raise ValueError(f"tested must name folds of 0 to {self.folds - 1}, each once")
        if set(self.tested) & set(self.aside) or self.published != bool(self.aside):
            raise ValueError("aside must name folds of a published split that are not tested")
        return self

    @property
    def rounds(self) -> tuple[int, ...]:
        """The tested folds."""
        return self.tested or tuple(range(self.folds))


def names() -> list[str]:
    """Names of all benchmarks of cells, sorted."""
    return sorted(file.stem for file in paths.cell_protocols().glob("*.toml"))


def read(name: str) -> CellBenchmark:
    """The benchmark of a name. ZooError for an unknown one and for a broken file."""
    if name not in names():
        raise unknown("benchmark of cells", name, names(), "zoo list benchmarks")
    file = paths.cell_protocols() / f"{name}.toml"
    content = file.read_bytes()
    try:
        fields = tomllib.loads(content.decode())
        return CellBenchmark.model_validate(fields | {"name": name, "sha256": hashlib.sha256(content).hexdigest()})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ZooError(f"{file}: {'.'.join(map(str, first['loc'])) or 'benchmark'}: {first['msg']}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{file}: not a TOML file: {error}") from None
