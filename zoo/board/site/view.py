"""What the pages show: boards, their rows with names and places, explained rows, and pictures. No HTML here."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.board import accuracy, explained, published, reliability, rows, statistics
from zoo.board.accuracy import Ranking
from zoo.board.explained import Block
from zoo.board.floors import Verdict, verdict
from zoo.board.published import Published, Reported
from zoo.board.rows import MAIN, Board, Row
from zoo.board.site import matrix, plugins, svg
from zoo.board.site.cells import CellSheet
from zoo.board.site.naming import distinguish, grouped, slug
from zoo.board.site.pictures import drawn
from zoo.record import ExplanationRow, Figure, Record, settings_hash


class Explained(NamedTuple):
    """Every explainer of one classifier, on the same queries."""

    entry: "Entry"
    block: Block

    @property
    def record(self) -> Record:
        return self.block.record

    @property
    def accuracy(self) -> Figure | None:
        return self.record.figures.get(MAIN)

    @property
    def lines(self) -> list["ExplainedLine"]:
        """Explainers first, then floors."""
        return [ExplainedLine(self, number, name, row) for number, (name, row) in enumerate(self.block.rows)]

    def best_first(self, metric: str) -> list["ExplainedLine"]:
        """Those that have the metric."""
        lines = self.lines
        return [lines[number] for number in self.block.having(metric)]

    @property
    def floors(self) -> list[str]:
        """Those that every explainer is shown beside."""
        return [name for name in explained.FLOORS if self.block.floor(name) is not None]

    @property
    def verdict(self) -> Verdict | None:
        return verdict(self.block)

    @property
    def agreement(self) -> reliability.Agreement | None:
        return reliability.agreement(self.block)


class ExplainedLine(NamedTuple):
    """One explainer of one classifier."""

    of: Explained
    number: int
    name: str
    row: ExplanationRow

    @property
    def settings(self) -> str:
        """Settings that tell this explainer from others of its name."""
        return self.of.block.settings(self.number)

    def rank(self, metric: str) -> str:
        return self.of.block.rank(metric, self.number)

    def beside(self, metric: str, floor: str) -> Figure | None:
        """Paired difference to a floor, positive where this explainer is better."""
        return self.of.block.beside(metric, self.number, floor)


class Picture(NamedTuple):
    """A gallery that a run drew beside its record."""

    entry: "Entry"
    record: Record
    file: Path
    page: str
    """Where the copy lies in the site."""
    width: int
    height: int


@dataclass(eq=False)
class Entry:
    """One row of a board."""

    sheet: "Sheet"
    row: Row
    rank: str
    """Its place among the rows of its kind: "1-3" where no test tells it from its neighbours."""
    settings: str = ""
    """Settings in which it differs from the other rows of its method."""
    name: str = ""
    """Method and all that tells it from the others, for plots."""
    explained: list[Explained] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def first(self) -> Record:
        return self.row.first

    @cached_property
    def page(self) -> str:
        digest = settings_hash(self.sheet.digest, self.first.key, self.row.first.labels_seen)[:10]
        return f"rows/{slug(self.first.method)}-{digest}.html"

    @cached_property
    def figure(self) -> Figure | None:
        return self.row.figure(MAIN)

    @property
    def plugin(self) -> plugins.Plugin:
        return plugins.read("methods", self.first.method)

    @property
    def kind(self) -> str:
        """What sort of method it is: the filter of the pages."""
        if self.first.transductive:
            return "transductive"
        kind = self.plugin.kind or "of another package"
        return "frozen backbone" if kind == "trained backbone" and not self.first.labels_seen else kind

    @property
    def seconds(self) -> float:
        """To train and to judge the whole bank; embedding is shared and cached, so left out."""
        spent = accuracy.seconds(self.row)
        return (spent["train"] or 0) + (spent["evaluate"] or 0)

    @property
    def compute(self) -> str:
        """`seconds` for people."""
        return svg.duration(self.seconds) + (" + weights" if self.first.weights_trained else "")

    @cached_property
    def explainers(self) -> list[str]:
        return sorted({record.explainer for record in self.row.records if record.explainer})

    @cached_property
    def confusion(self) -> np.ndarray:
        """Over all seeds, (classes, classes) counts."""
        size = len(self.first.classes)
        counts = np.zeros((size, size), np.int64)
        for record in self.row.seeds:
            found = statistics.unpack(record.predictions, record.classes, record.bank)
            counts += matrix.confusion(found.truth, found.predicted, size)
        return counts

    @property
    def accuracies(self) -> np.ndarray:
        """Of every draw of every seed."""
        return self.row.episode_accuracy.ravel()

    @property
    def by_class(self) -> list[tuple[str, Figure]]:
        figures = ((name, self.row.class_figure(name)) for name in self.first.classes)
        return [(name, figure) for name, figure in figures if figure]

    @property
    def standing(self) -> tuple[str, str]:
        """(measured | reproduced | not reproduced, where its figure lies beside the paper's)."""
        return accuracy.standing(self.row, self.figure, self.sheet.reported)


@dataclass(eq=False)
class Sheet:
    """One board with its page."""

    board: Board
    reported: list[Reported]
    stale: bool
    """Whether the benchmark's protocol has changed since."""
    tables: list["Table"] = field(default_factory=list)

    @property
    def first(self) -> Record:
        return self.board.first

    @property
    def entries(self) -> list[Entry]:
        """The best inductive row first."""
        return [entry for table in self.tables for entry in table.entries]

    @cached_property
    def digest(self) -> str:
        made = self.first.provenance
        return settings_hash(
            made.benchmark_sha256, made.item_set_sha256, made.bank_sha256, *self.first.classes
        )[:8]  # fmt: skip

    @property
    def page(self) -> str:
        return f"boards/{slug(self.board.benchmark)}-{self.digest}.html"

    @property
    def images(self) -> str:
        record = self.first
        return f"{record.dataset}, " + (f"subset {record.subset}" if record.subset else "whole dataset")

    @property
    def explained(self) -> list[Explained]:
        return [one for entry in self.entries for one in entry.explained]

    @property
    def pictures(self) -> list[Picture]:
        return [picture for entry in self.entries for picture in entry.pictures]

    @property
    def family(self) -> tuple[Hashable, ...]:
        """The same for boards that differ in the number of shots alone."""
        record = self.first
        return record.dataset, record.subset, record.synthetic, *record.classes, record.bank.kind, record.bank.way

    @property
    def paper_figure(self) -> float | None:
        return next((one.row.figures[MAIN] for one in self.reported if MAIN in one.row.figures), None)

    def said(self, name: str) -> Figure | None:
        """The paper's accuracy of a class, with what its number of images leaves uncertain."""
        return published.uncertain(self.class_paper.row, name, of_class=True) if self.class_paper else None

    @property
    def class_paper(self) -> Reported | None:
        """The reported row that has a figure for each class."""
        return published.main_row(self.reported, self.first.classes)


class Table(NamedTuple):
    """Rows of one kind, ranked together."""

    ranking: Ranking
    entries: list[Entry]


class View(NamedTuple):
    """Everything there is to show."""

    sheets: list[Sheet]
    cells: list[CellSheet]
    papers: Published

    @property
    def entries(self) -> list[Entry]:
        return [entry for sheet in self.sheets for entry in sheet.entries]

    def methods(self) -> dict[str, list[Entry]]:
        return grouped(self.entries, lambda entry: [entry.first.method])

    def explainers(self) -> dict[str, list[ExplainedLine]]:
        lines = (line for sheet in self.sheets for one in sheet.explained for line in one.lines)
        return grouped(lines, lambda line: [line.name])

    def families(self) -> dict[tuple[Hashable, ...], list[Sheet]]:
        return grouped(self.sheets, lambda sheet: [sheet.family])


def view(
    records: Iterable[Record], cells: list[CellSheet], papers: Published, protocols: Mapping[str, str],
    pictures: Callable[[Record], Path | None],
) -> View:  # fmt: skip
    """The boards of the records, beside those of cells.

    protocols: name -> SHA-256 of each benchmark as it is today. pictures: where the gallery of a record lies, if it
    has one.
    """
    sheets = []
    for board in rows.boards(records):
        sheet = Sheet(board, papers.for_benchmark(board.benchmark), board.stale(protocols))
        for ranking in accuracy.rankings(rows.rows(board)):
            pairs = zip(ranking.rows, ranking.ranks, strict=True)
            sheet.tables.append(Table(ranking, [Entry(sheet, row, rank) for row, rank in pairs]))
        distinguish(sheet.entries)
        for entry in sheet.entries:
            own = Board(board.benchmark, entry.row.records)
            entry.explained = [Explained(entry, block) for block in explained.blocks(own)]
            entry.pictures = [p for record in entry.row.records if (p := _picture(entry, record, pictures(record)))]
        sheets.append(sheet)
    return View(sheets, cells, papers)


def _picture(entry: Entry, record: Record, file: Path | None) -> Picture | None:
    found = drawn(file, record.key)
    return found and Picture(entry, record, found.file, found.page, found.width, found.height)
