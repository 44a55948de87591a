"""What the pages show of cell models: a board's tables, floors, papers' figures and pictures. No HTML here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from zoo.board.cells import columns, figures, paired, rows
from zoo.board.cells.rows import MAIN, Board, Row
from zoo.board.published import Published, Reported
from zoo.board.rows import named
from zoo.board.site.naming import slug
from zoo.board.site.pictures import Drawn, drawn
from zoo.cell_record import CellRecord
from zoo.record import Figure, settings_hash

_TABLES = (
    ("Classes and places", columns.PLACES, MAIN),
    ("Masks and N:C", columns.MASKS, "nc_nmse"),
    ("Attributes", columns.ATTRIBUTES, "attribute_accuracy"),
)
"""Title, metrics, and the one that ranks."""


class Shown(NamedTuple):
    """One figure of one line."""

    text: str
    """With its interval; a dash where there is none"""
    value: float | None


class Line(NamedTuple):
    """A row, a floor or what a paper reports."""

    rank: str
    name: str
    settings: str
    """Settings that tell the row from the others of its model"""
    about: str
    """Backbone and training seeds, or the paper"""
    cells: list[Shown]
    kind: str
    """measured, floor or reported"""


class Table(NamedTuple):
    """Some figures of every row."""

    title: str
    heads: list[str]
    lines: list[Line]


@dataclass(eq=False)
class CellSheet:
    """One board of cells with its page."""

    board: Board
    reported: Sequence[Reported]
    stale: bool
    """Whether the benchmark's file has changed since."""
    pictures: list[Drawn]

    @property
    def first(self) -> CellRecord:
        return self.board.first

    @cached_property
    def page(self) -> str:
        made = self.first.provenance
        digest = settings_hash(made.benchmark_sha256, made.item_set_sha256, made.bank_sha256, *self.first.classes)[:8]
        return f"cells/{slug(self.board.benchmark)}-{digest}.html"

    @cached_property
    def rows(self) -> list[Row]:
        return rows.rows(self.board)

    @property
    def fields(self) -> str:
        record, folds = self.first, max(self.first.folds) + 1
        part = f"subset {record.subset}" if record.subset else "whole dataset"
        divided = f"{folds} folds" if folds > 1 else "one test split"
        return f"{record.dataset}, {part}: {len(record.fields)} fields tested, {divided}"

    @cached_property
    def front(self) -> Table:
        """What the papers give."""
        return self._table("", (MAIN, *columns.FRONT), MAIN, floors=False)

    @cached_property
    def tables(self) -> list[Table]:
        known = figures.metrics().keys() & {name for one in self.rows for seed in one.seeds for name in seed.figures}
        wanted = [(title, tuple(name for name in own if name in known), by) for title, own, by in _TABLES]
        every = [self._table(title, own, by) for title, own, by in wanted if own]
        return every + [
            self._of_attributes(metric)
            for metric in ("attribute_accuracy", "attribute_within_class_accuracy")
            if any(one.values(metric, attribute.name) for one in self.rows for attribute in self.first.attributes)
        ]

    @cached_property
    def labels(self) -> list[tuple[str, str]]:
        """Model and telling settings of each row."""
        keys = rows.tellings(one.first for one in self.rows)
        return [(one.first.model, named(one.first.model_settings, keys[one.first.model])) for one in self.rows]

    def _table(self, title: str, wanted: Sequence[str], by: str, floors: bool = True) -> Table:
        ranks = paired.ranks(self.rows, by)
        found = [
            Line(rank, *label, _about(row), [_shown(name, row.figure(name)) for name in wanted], "measured")
            for rank, label, row in zip(ranks, self.labels, self.rows, strict=True)
        ]
        for floor, of in self.first.floors.items() if floors else ():
            if of.keys() & set(wanted):
                found.append(Line("", floor, "", "", [_shown(name, of.get(name)) for name in wanted], "floor"))
        for one in self.reported:
            if one.row.figures.keys() & set(wanted):
                cells = [_said(name, one.row.figures.get(name)) for name in wanted]
                about = f"{one.row.backbone_title}; {one.paper.authors} {one.paper.year}"
                found.append(Line("", one.row.title, "", about, cells, "reported"))
        return Table(title, [columns.label(name) for name in wanted], found)

    def _of_attributes(self, metric: str) -> Table:
        wanted = [a.name for a in self.first.attributes if any(one.values(metric, a.name) for one in self.rows)]
        found = [
            Line("", *label, _about(row), [_shown(metric, row.figure(metric, name)) for name in wanted], "measured")
            for label, row in zip(self.labels, self.rows, strict=True)
        ]
        for floor, of in self.first.attribute_floors.items():
            cells = [_shown(metric, of.get(name, {}).get(metric)) for name in wanted]
            if any(cell.value is not None for cell in cells):
                found.append(Line("", floor, "", "", cells, "floor"))
        heads = [name.replace("_", " ") for name in wanted]
        return Table(f"Each attribute: {columns.title(metric)}", heads, found)


def sheets(
    records: Iterable[CellRecord], papers: Published, protocols: Mapping[str, str],
    pictures: Callable[[CellRecord], Path | None],
) -> list[CellSheet]:  # fmt: skip
    """The boards of the records. protocols: name -> SHA-256 of each benchmark of cells as it is today."""
    return [
        CellSheet(
            board, papers.for_benchmark(board.benchmark), board.stale(protocols),
            [one for record in board.records if (one := drawn(pictures(record), record.key, _caption(record)))],
        )
        for board in rows.boards(records)
    ]  # fmt: skip


def _caption(record: CellRecord) -> str:
    settings = f", seed {record.seed}" if record.seed else ""
    return f"{record.model}, {record.backbone}{settings}"


def _about(row: Row) -> str:
    seeds = f", {len(row.seeds)} training seeds" if len(row.seeds) > 1 else ""
    return f"{row.first.backbone}{seeds}"


def _shown(metric: str, figure: Figure | None) -> Shown:
    return Shown(columns.shown(metric, figure), figure.value if figure else None)


def _said(metric: str, value: float | None) -> Shown:
    return Shown(columns.alone(metric, value), value)
