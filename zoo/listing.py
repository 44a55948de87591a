"""What `zoo list` and `zoo data` print. Listing imports neither torch nor a plug-in."""

import dataclasses
import typing
from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from zoo import registry
from zoo.data import benchmark, card, load
from zoo.errors import unknown

_METRICS = ("metrics/prediction", "metrics/explanation")


def table(kind: str) -> RenderableType:
    """Everything of a kind, with a line on each."""
    return _TABLES[kind]()


def details(kind: str, name: str) -> RenderableType:
    """The settings of one plug-in with their defaults, or the card or protocol of one dataset or benchmark."""
    if kind == "datasets":
        return _fields(card.read(name).model_dump())
    if kind == "benchmarks":
        return _fields(benchmark.benchmark(name).model_dump())
    folders = [folder for folder in (_METRICS if kind == "metrics" else (kind,)) if name in registry.names(folder)]
    if not folders:
        known = [known for folder in (_METRICS if kind == "metrics" else (kind,)) for known in registry.names(folder)]
        raise unknown(kind.removesuffix("s"), name, known, f"zoo list {kind}")
    cls = registry.plugin(folders[0], name)
    lines = Table("setting", "type", "default", title=escape(f"{name}: {registry.summary(folders[0], name)}"))
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        kind_ = typing.get_type_hints(cls)[field.name]
        choices = typing.get_args(kind_)
        accepts = " | ".join(choices) if choices else kind_.__name__
        lines.add_row(field.name, escape(accepts), escape(str(field.default)))
    return Group(lines, escape(f"paper: {getattr(cls, 'paper', 'none')}"))


def report(found: object) -> RenderableType:
    """An audit's report."""
    return str(found)


def _plugins(folder: str) -> Callable[[], Table]:
    def make() -> Table:
        lines = Table("name", "what it is")
        for name in registry.names(folder):
            lines.add_row(name, escape(registry.summary(folder, name)))
        return lines

    return make


def _metrics() -> Table:
    lines = Table("name", "of", "what it is")
    for folder in _METRICS:
        for name in registry.names(folder):
            lines.add_row(name, folder.split("/")[1], escape(registry.summary(folder, name)))
    return lines


def _datasets() -> Table:
    lines = Table("name", "here", "what it is", "licence")
    for name in load.cards():
        one = card.read(name)
        lines.add_row(name, "yes" if load.present(name) else "no", escape(one.title), escape(one.licence))
    return lines


def _benchmarks() -> Table:
    lines = Table("name", "data here", "what it is")
    for name in benchmark.names():
        one = benchmark.benchmark(name)
        lines.add_row(name, "yes" if load.present(one.dataset) else "no", escape(one.title))
    return lines


def _fields(values: dict) -> Table:
    lines = Table("field", "value")
    for key, value in values.items():
        lines.add_row(escape(key), escape(str(value)))
    return lines


_TABLES: dict[str, Callable[[], RenderableType]] = {
    "methods": _plugins("methods"),
    "explainers": _plugins("explainers"),
    "backbones": _plugins("backbones"),
    "datasets": _datasets,
    "benchmarks": _benchmarks,
    "metrics": _metrics,
}
