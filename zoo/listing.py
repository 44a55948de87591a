"""What `zoo list` and `zoo data` print.

Listing imports neither torch nor a plug-in; the details of one plug-in do, and so does the matrix.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo import paths, registry
from zoo.errors import ZooError, unknown

if TYPE_CHECKING:
    from zoo.data.audit import Report

_VALUES = {int: "whole number", float: "number", bool: "true | false", str: "text"}
_METRICS = ("metrics/prediction", "metrics/explanation", "metrics/cell")
_MATRIX = ("method", "explained by", "refused, and why")


def table(kind: str) -> RenderableType:
    """Everything of a kind, with a line on each."""
    return _TABLES[kind]()


def details(kind: str, name: str) -> RenderableType:
    """The settings of one plug-in with their meaning, or the card or protocol of one dataset or benchmark."""
    if kind == "datasets":
        from zoo.data import card

        return _fields(card.read(name).model_dump())
    if kind == "benchmarks":
        from zoo.data import benchmark, cell_benchmark

        of_cells = name in cell_benchmark.names()
        return _fields((cell_benchmark.read(name) if of_cells else benchmark.benchmark(name)).model_dump())
    if kind == "matrix":
        return _row(name)
    folders = _METRICS if kind == "metrics" else (kind,)
    folder = next((folder for folder in folders if name in registry.names(folder)), None)
    if folder is None:
        known = [known for folder in folders for known in registry.names(folder)]
        raise unknown(kind.removesuffix("s").replace("_", " "), name, known, f"zoo list {kind}")
    cls: Any = registry.plugin(folder, name)
    parts: list[RenderableType] = [Text(registry.summary(folder, name))]
    if getattr(cls, "paper", ""):
        parts.append(Text(f"paper: {cls.paper}"))
    if hasattr(cls, "known"):
        parts.append(Text("names: " + ", ".join(cls.known())))
    return Group(*parts, _settings(cls))


def report(found: "Report") -> RenderableType:
    """An audit's report: how many of each finding, and the first few by name."""
    total, part = sum(found.counts.values()), f" ({found.subset})" if found.subset else ""
    shift = found.shift
    background = "nothing to compare" if shift is None else ", ".join(f"{value:+.1f}" for value in shift)
    lines = _table("finding", "count", "which", right=(1,))
    for finding, count, which in (
        ("classes", len(found.counts), _counted(found.counts)),
        ("largest to smallest class", f"{found.imbalance:.1f}", ""),
        ("byte-identical groups", len(found.duplicates), _first(" = ".join(group) for group in found.duplicates)),
        ("twins with another class", len(found.conflicts), _first(found.conflicts)),
        ("groups that look the same", len(found.near), _first(" ~ ".join(group) for group in found.near)),
        ("other files", len(found.other_files), _first(found.other_files)),
        ("unreadable images", len(found.unreadable), _first(found.unreadable)),
        ("sizes (width x height)", len(found.sizes), _counted(found.sizes)),
        ("images of an odd size", len(found.odd), _counted(found.odd_per_class)),
        ("their background (R, G, B)", "", f"{background} grey levels against the rest" if shift else background),
    ):
        lines.add_row(finding, Text(str(count)), Text(which))
    return Group(Text(f"{found.dataset}{part}: {total} images"), lines)


def _settings(cls: type) -> RenderableType:
    """The fields of a plug-in, as `--set` takes them."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    if not fields:
        return Text("no settings")
    types, meanings = typing.get_type_hints(cls), registry.meanings(cls)
    lines = _table("setting", "values", "default", "meaning")
    for field in fields:
        kind = types[field.name]
        values = _VALUES.get(kind) or " | ".join(map(str, typing.get_args(kind))) or kind.__name__
        lines.add_row(field.name, Text(values), Text(str(field.default)), Text(meanings.get(field.name, "")))
    return lines


def _plugins(folder: str) -> Callable[[], Table]:
    def make() -> Table:
        lines = _table("name", "what it is")
        for name in registry.names(folder):
            lines.add_row(name, Text(registry.summary(folder, name)))
        return lines

    return make


def _metrics() -> Table:
    lines = _table("name", "of", "what it is")
    for folder in _METRICS:
        for name in registry.names(folder):
            lines.add_row(name, _of(folder, name), Text(registry.summary(folder, name)))
    return lines


def _of(folder: str, name: str) -> str:
    """prediction, cell, or what a metric of explanation judges."""
    try:
        return registry.declared(folder, name, "about")
    except ZooError:
        return folder.split("/")[1]


def _datasets() -> RenderableType:
    from zoo.data import card, load

    lines = _table("name", "here", "what it is", "licence")
    for name in load.cards():
        one = card.read(name)
        lines.add_row(name, _yes(load.present(name)), Text(one.title), Text(one.licence))
    return Group(lines, Text(f"here is {paths.data()}; ZOO_DATA names another folder"))


def _benchmarks() -> RenderableType:
    from zoo.data import benchmark, cell_benchmark, load

    parts: list[RenderableType] = []
    for what, names, read in (
        ("Of methods, in episodes", benchmark.names(), benchmark.benchmark),
        ("Of cell models, in whole fields", cell_benchmark.names(), cell_benchmark.read),
    ):
        lines = _table("name", "data here", "what it is")
        for name in names:
            one = read(name)
            lines.add_row(name, _yes(load.present(one.dataset)), Text(one.title))
        parts += [Text(what), lines]
    return Group(*parts)


def _matrix() -> RenderableType:
    """Every method with the explainers that explain it, and the reason for each that does not."""
    lines = _table(*_MATRIX)
    for name, count, refused in _pairs():
        lines.add_row(name, count, Text("\n".join(refused)))
    return Group(
        lines,
        Text(_picky()),
        Text("One line for each pair: `zoo list matrix NAME` with a method's or an explainer's name."),
    )


def markdown_matrix() -> str:
    """The matrix as a page."""
    from zoo.board import markdown

    rows = ([f"`{name}`", count, "; ".join(map(markdown.escape, refused)) or "-"] for name, count, refused in _pairs())
    head = ["# Which explainer explains which method", "", "Made by `zoo list matrix --markdown` from the contracts."]
    return "\n".join([*head, "", *markdown.table(_MATRIX, rows), "", markdown.escape(_picky())])


def _pairs() -> Iterator[tuple[str, str, list[str]]]:
    """Of each method how many explainers explain it, and the reasons of the others with their names."""
    explainers = _classes("explainers")
    for name, method in _classes("methods").items():
        refused: dict[str, list[str]] = {}
        for explainer, cls in explainers.items():
            if reason := registry.refusal(method, cls):
                refused.setdefault(reason, []).append(explainer)
        left = len(explainers) - sum(map(len, refused.values()))
        yield name, f"{left} of {len(explainers)}", [f"{why}: {', '.join(which)}" for why, which in refused.items()]


def _picky() -> str:
    names = [name for name, cls in _classes("explainers").items() if "refuses" in vars(cls)]
    return f"Some backbones are refused by {', '.join(names)}; the error says why."


def _row(name: str) -> RenderableType:
    """The matrix for one method or one explainer, a line for each of the others."""
    methods, explainers = _classes("methods"), _classes("explainers")
    if name in methods:
        asked = {other: registry.refusal(methods[name], cls) for other, cls in explainers.items()}
    elif name in explainers:
        asked = {other: registry.refusal(cls, explainers[name]) for other, cls in methods.items()}
    else:
        raise unknown("method or explainer", name, [*methods, *explainers], "zoo list matrix")
    lines = _table("explainer" if name in methods else "method", f"together with {name}")
    for other, reason in asked.items():
        lines.add_row(other, Text(f"no: {reason}" if reason else "yes"))
    return lines


def _classes(folder: str) -> dict[str, Any]:
    return {name: registry.plugin(folder, name) for name in registry.usable(folder)}


def _fields(values: dict[str, Any]) -> Table:
    lines = _table("field", "value")
    for key, value in values.items():
        lines.add_row(key, Text(_plain(value), overflow="fold"))
    return lines


def _plain(value: Any) -> str:
    """A field's value without Python's brackets and quotes; a list of tables has a line for each."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items()) or "-"
    if isinstance(value, tuple | list):
        return ("\n" if value and isinstance(value[0], dict) else ", ").join(map(_plain, value)) or "-"
    return _yes(value) if isinstance(value, bool) else "-" if value in ("", None) else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _counted(counts: dict[str, int], most: int = 8) -> str:
    return _first((f"{name} {count}" for name, count in counts.items()), most, ", ")


def _first(texts: Iterable[str], most: int = 3, between: str = "\n") -> str:
    every = list(texts)
    more = [f"and {len(every) - most} more"] if len(every) > most else []
    return between.join(every[:most] + more)


def _table(*columns: str, right: tuple[int, ...] = ()) -> Table:
    """Nothing is cut: what does not fit goes on in the next line, but for names, which stay in one."""
    lines = Table()
    for number, title in enumerate(columns):
        side = "right" if number in right else "left"
        lines.add_column(title, justify=side, overflow="fold", no_wrap=title == "name")
    return lines


_TABLES: dict[str, Callable[[], RenderableType]] = {
    "methods": _plugins("methods"),
    "explainers": _plugins("explainers"),
    "cell_models": _plugins("cell_models"),
    "backbones": _plugins("backbones"),
    "datasets": _datasets,
    "benchmarks": _benchmarks,
    "metrics": _metrics,
    "matrix": _matrix,
}
