"""`zoo compare A B` of records of cells: every metric, and whether their accuracies are the same."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo.board.cells import columns, paired, rows, store
from zoo.board.cells.paired import Equivalence, Part
from zoo.board.markdown import difference
from zoo.board.rows import differing
from zoo.board.store import one_line
from zoo.cell_record import CellRecord
from zoo.errors import ZooError

ASKED = ("cell_accuracy", "field_accuracy")
"""Metrics that are tested for equivalence: those of the paper's claim that explaining does not hurt accuracy."""


def are_cells(*places: str) -> bool:
    """Whether all of these files, or folders of records, are of cells."""
    return all(any(map(store.is_cells, _files(place)[:1])) for place in places)


def show(a: str, b: str, margin: float) -> RenderableType:
    """Two files, or folders of the training seeds of one row. margin: the largest difference that counts as none."""
    one, other = _records(a), _records(b)
    parts = paired.compare(one, other)
    table = Table("figure", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)  # fits 80 columns
    for name in ("A", "B", "A - B (95 %)", "p", "better"):
        table.add_column(name, justify="right", no_wrap=True)
    for part in parts:
        table.add_row(*map(Text, _cells(part)))
    asked = [name for name in ASKED if any(part.metric == name for part in parts)]
    tests = [_said(paired.equivalence(one, other, name, margin)) for name in asked]
    telling = differing((one[0].model_settings, other[0].model_settings)) if one[0].model == other[0].model else set()
    heads = [Text(one_line(f"{name}  {_title(side, telling)}", 300)) for name, side in (("A", one), ("B", other))]
    note = Text(
        "Paired over the same fields, resampled by groups; training seeds are covered where there are several on both "
        "sides. p is not corrected for the number of figures."
    )
    return Group(*heads, table, note, *map(Text, tests))


def _files(place: str) -> list[Path]:
    path = Path(place)
    return sorted(path.rglob("*.json")) if path.is_dir() else [path]


def _records(place: str) -> list[CellRecord]:
    records = [store.read(file) for file in _files(place)]
    found = [row for board in rows.boards(records) for row in rows.rows(board)]
    if len(found) != 1:
        what = "no record" if not found else f"records of {len(found)} rows"
        raise ZooError(f"{place}: holds {what}; give one record, or the folder of one row's training seeds")
    return list(found[0].seeds)


def _title(side: Sequence[CellRecord], telling: set[str]) -> str:
    first, seeds = side[0], f"seed{'s' if len(side) > 1 else ''} {', '.join(str(one.seed) for one in side)}"
    settings = "".join(f", {key}={first.model_settings.get(key)}" for key in sorted(telling))
    return f"{first.model}{settings} on {first.benchmark}, {first.backbone}, {seeds}"


def _cells(part: Part) -> tuple[str, ...]:
    name = part.metric
    values = columns.alone(name, part.a.value), columns.alone(name, part.b.value)
    return (
        columns.label(name), *values, columns.apart(name, part.difference.figure), f"{part.difference.p:.3f}",
        part.better.upper(),
    )  # fmt: skip


def _said(test: Equivalence) -> str:
    points = f"{100 * test.margin:g} point{'' if test.margin == 0.01 else 's'}"
    verdict = "equivalent" if test.equivalent else "not shown to be equivalent"
    below = "A is not below B" if test.not_worse else "it is not ruled out that A is below B"
    return (
        f"{columns.label(test.metric)}: {verdict} within {points} (TOST p {test.p:.4f}; "
        f"A - B {difference(test.difference)}, 90 %); {below} by {points} or more (p {test.p_lower:.4f})"
    )
