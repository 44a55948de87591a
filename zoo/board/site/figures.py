"""From what a page shows to its plots: which rows, in which order, leading where."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from scipy import stats

from zoo.board import explained, paired
from zoo.board.site import bars, forest, matrix, plots
from zoo.board.site.forest import Column, Mark
from zoo.board.site.plots import Cells, Point, Series
from zoo.board.site.view import Entry, Explained, ExplainedLine, Sheet, Table
from zoo.record import Figure, settings_hash

_LINES = 7
_RANKED = 24


def cost(sheet: Sheet, root: str) -> Markup | None:
    """Accuracy against seconds, of rows whose seconds are known in full; None where there are fewer than two."""
    points = [
        Point(entry.name, root + entry.page, _exact(entry.seconds), entry.figure, _mark(entry))
        for entry in sheet.entries
        if entry.figure and entry.seconds > 0 and not entry.first.weights_trained
    ]
    return plots.cost(points) if len(points) > 1 else None


def explanations(found: Sequence[Explained], root: str) -> list[Markup]:
    """One plot a metric, but for those of shuffled weights, by which no explanation is good."""
    known = sorted(((one.accuracy, one) for one in found if one.accuracy), key=lambda pair: -pair[0].value)
    plotted = []
    for metric in explained.metric_order(line.row for one in found for line in one.lines):
        columns = []
        for accuracy, one in known:
            marks = [
                Mark(
                    " ".join(filter(None, (line.name, line.settings))), line.row.against_random[metric], line.row.floor
                )
                for line in one.lines
                if metric in line.row.against_random
            ]
            if marks:
                columns.append(Column(one.entry.name, root + one.entry.page, accuracy, marks))
        if columns and explained.about(metric) != "randomisation":
            plotted.append(forest.explanations(columns, metric.replace("_", " ")))
    return plotted


def ranks(table: Table, root: str) -> Markup | None:
    """The critical-difference diagram of the best rows; None where there is nothing to tell apart."""
    tests, rows = table.ranking.ties, [entry for entry in table.entries if entry.figure]
    if tests is None or not 1 < len(rows) == len(tests.holm):
        return None
    rows = rows[:_RANKED]
    drawn = min(entry.row.episode_accuracy.shape[1] for entry in rows)
    accuracies = np.stack([entry.row.episode_accuracy[:, :drawn].mean(0) for entry in rows])
    mean = stats.rankdata(-accuracies, axis=0).mean(1)
    named = [(entry.name, root + entry.page, float(rank)) for entry, rank in zip(rows, mean, strict=True)]
    return plots.ranks(named, tests.holm[: len(rows), : len(rows)] > paired.LEVEL, len(table.entries))


def shots(sheets: Sequence[Sheet], root: str, method: str | None = None) -> Markup | None:
    """Curves of the rows that were measured at two shots or more; the best where there are many."""
    curves: dict[str, dict[int, Entry]] = {}
    for sheet in sheets:
        for entry in sheet.entries:
            if entry.figure and method in (None, entry.first.method):
                curves.setdefault(_same(entry), {}).setdefault(sheet.first.bank.shot, entry)
    series = []
    for curve in curves.values():
        ordered = [curve[shot] for shot in sorted(curve)]
        if len(ordered) > 1:
            points = [(entry.sheet.first.bank.shot, entry.figure) for entry in ordered if entry.figure]
            series.append(Series(ordered[-1].name, root + ordered[-1].page, points))
    series.sort(key=lambda one: -one.points[-1][1].value)
    return plots.shots(series[:_LINES]) if series else None


def class_errors(entry: Entry) -> Markup | None:
    """Errors of a row's classes beside the paper's; None where the bank has no query."""
    said = {name: figure for name, _ in entry.by_class if (figure := entry.sheet.said(name))}
    return bars.class_errors(entry.by_class, said, entry.name) if entry.by_class else None


def draws(entry: Entry) -> Markup:
    return bars.draws(entry.accuracies)


def confusion(entry: Entry) -> Markup:
    return matrix.picture(entry.confusion, entry.first.classes, entry.name)


def accuracy_cells(entries: Sequence[Entry], paper: float | None) -> Cells:
    return plots.accuracy_cells([entry.figure for entry in entries if entry.figure], paper)


def against_cells(found: Sequence[ExplainedLine], metric: str, floor: str) -> Cells:
    return plots.difference_cells([f for line in found if (f := line.beside(metric, floor))])


def _mark(entry: Entry) -> str:
    return "transductive" if entry.first.transductive else "control" if entry.kind == "control" else "dot"


def _exact(value: float) -> Figure:
    return Figure(value=value, low=value, high=value)


def _same(entry: Entry) -> str:
    record = entry.first
    return settings_hash(
        record.method, record.method_settings, record.backbone, record.provenance.weights_sha256, record.image_size
    )
