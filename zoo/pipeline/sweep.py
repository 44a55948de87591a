"""`zoo sweep`: many rows from one file of names, one after the other in one process."""

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import zoo
from zoo import registry
from zoo.errors import ZooError
from zoo.pipeline.progress import say
from zoo.pipeline.views import parse

Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Block(_Strict):
    """Every combination of these is a row."""

    benchmarks: Names
    methods: Names
    backbones: Names = ("",)
    """Empty text: the benchmark's own."""
    explainers: Names = ("",)
    """Empty text: no explaining."""
    seeds: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (0,)
    settings: Annotated[tuple[dict[str, Any], ...], Field(strict=False, min_length=1)] = ({},)
    """Each a table of `key = value`, as `--set` takes them."""


class Grid(_Strict):
    """A file of benchmarks/grids, or a user's own."""

    title: str
    weights: dict[str, str] = {}
    """Backbone -> file name below `--weights-folder`; a backbone that is not named takes its own weights."""
    blocks: Annotated[tuple[Block, ...], Field(strict=False, min_length=1)]


class Row(NamedTuple):
    """The arguments of one `zoo.run`, or `zoo.run_cells`."""

    method: str
    explainer: str | None
    choices: dict[str, Any]


def read(file: Path) -> Grid:
    """ZooError names the file and the first wrong line or field."""
    try:
        return Grid.model_validate(tomllib.loads(file.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ZooError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise ZooError(f"{file}: not a readable TOML file ({error})") from None


def rows(grid: Grid, weights: Path) -> Iterator[Row]:
    """Benchmark by benchmark and backbone by backbone, so that images and embeddings are at hand."""
    for block in grid.blocks:
        parts = block.benchmarks, block.backbones, block.methods, block.settings, block.seeds, block.explainers
        for benchmark, backbone, method, settings, seed, explainer in itertools.product(*parts):
            named = grid.weights.get(parse(backbone)[0])
            choices = {
                "benchmark": benchmark, "backbone": backbone or None, "seed": seed,
                "weights": str(weights / named) if named else None,
                "settings": {key: _text(value) for key, value in settings.items()},
            }  # fmt: skip
            yield Row(method, explainer or None, choices)


def sweep(file: Path, weights: Path, out: Path, shared: Mapping[str, Any]) -> tuple[list[Path], list[str]]:
    """Run every row that has no record yet: the records, and one line for each row that could not be run.

    `shared` are choices of every row (device, precision). Started again, it goes on where it was stopped.
    """
    every = list(rows(read(file), weights))
    done, failed = [], []
    for number, (method, explainer, choices) in enumerate(every, start=1):
        words = [method, explainer, choices["benchmark"], choices["backbone"], *choices["settings"].values()]
        name = " ".join(filter(None, words)) + f" seed {choices['seed']}"
        try:
            if method in registry.names("cell_models"):
                if explainer:
                    raise ZooError(f"{method} finds cells in whole fields and is not explained by {explainer}")
                result = zoo.run_cells(method, out=out, **choices, **shared)
            else:
                result = zoo.run(method, explainer, out=out, **choices, **shared)
        except ZooError as problem:
            failed.append(f"{name}: {problem}")
            say(f"{number}/{len(every)} {name}: {problem}")
            continue
        done.append(result.path)
        figures = result.record.figures
        figure = figures.get("mean_class_accuracy") or figures.get("cell_accuracy")
        value = f"{100 * figure.value:.2f} ({100 * figure.low:.1f}-{100 * figure.high:.1f})" if figure else "done"
        say(f"{number}/{len(every)} {name}: {value}{' (was there)' if result.reused else ''}")
    return done, failed


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
