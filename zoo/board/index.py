"""The front page of the leaderboard: the best of each board, accuracy by shot, how wide intervals are, the papers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.board import accuracy, published, statistics
from zoo.board.cells import columns
from zoo.board.exports import Sheet
from zoo.board.markdown import escape, percent, table
from zoo.board.published import Published
from zoo.board.rows import MAIN, Row, tellings
from zoo.record import settings_hash

BUDGET = "labels_per_class"
"""The setting of a method that says how many labelled images of each class it trains on."""
MARK = "<!-- Written by `zoo leaderboard`; edit the records, not this file. -->"
_SHOTS = """\
The same classifier on benchmarks that differ in the number of supports alone (same dataset, bank and way), side by \
side. Mean class accuracy in per cent with its 95 % interval, which covers support draws, images and, where a row has \
several, training seeds; nothing is ranked here, as the episodes differ. Variation between patients is not covered: \
the images carry no patient ids."""
_LABELS = """\
The same classifier, trained on fewer labelled images of each class, on the same episodes. Mean class accuracy in per \
cent with its 95 % interval, by how many labelled training images were seen in all. It covers support draws and \
images, and training seeds where a row has several; which images were kept, and variation between patients, are not \
covered."""
_WIDTHS = """\
The few-shot literature takes its intervals over episodes alone. Where the same images come up in many episodes that \
is too short: it treats their number as if it could be raised by asking about them again. Below, the accuracy of the \
rows of one board with the interval of resampling its draws alone, and with the one that every board here shows, of \
resampling draws and images. *Times as wide* is the second over the first. Figures in per cent, of one training seed; \
variation between patients is not covered: the images carry no patient ids."""


def page(sheets: Sequence[Sheet], papers: Published, cells: Sequence[str] = ()) -> str:
    """The Markdown of README.md; `cells` are the lines on boards of cells in fields."""
    header = ["benchmark", "images", "rows", "best method", "backbone", "mean class accuracy", "reported by a paper"]
    lines = [MARK, "", "# Leaderboard", ""]
    if sheets:
        lines += table(header, (_row(one, papers) for one in sheets))
    else:
        lines += ["There is no record yet: `zoo run`, then `zoo submit RECORD`."]
    lines += ["", "Benchmarks and banks are not comparable with one another; each board says how it is measured.", ""]
    lines += cells
    lines += _by_shot(sheets)
    lines += _by_labels(sheets)
    lines += _widths(sheets)
    lines += [
        "## Reported by papers",
        "",
        "Copied from the papers, measured by nobody here. Figures in per cent, NMSE as numbers.",
        "",
    ]
    named = ["paper", "method", "backbone", "way / shot", "labels seen", "figures", "images", "stands beside", "note"]
    lines += table(named, (_paper(paper, row) for paper in papers.papers for row in paper.rows))
    return "\n".join(lines) + "\n"


def title(one: Sheet) -> str:
    """Heading of a board: its images and its bank."""
    bank = one.board.first.bank
    return f"{_images(one)}: {bank.way}-way {bank.shot}-shot, bank `{bank.kind}`{' (stale)' if one.stale else ''}"


def _images(one: Sheet) -> str:
    record = one.board.first
    part = f"subset {escape(record.subset)}" if record.subset else "whole"
    return f"{escape(record.dataset)}, {part}{', synthetic images' if record.synthetic else ''}"


def _row(one: Sheet, papers: Published) -> list[str]:
    record, best = one.board.first, one.rows[0]
    reported = published.main_row(papers.for_benchmark(record.benchmark), record.classes)
    paper = reported.row.figures.get(MAIN) if reported else None
    return [
        f"[{escape(record.benchmark)}]({record.benchmark}.md){' (stale)' if one.stale else ''}",
        _images(one),
        str(len(one.rows)),
        accuracy.method_cells(one.rows)[0],
        accuracy.backbone_cell(best.first),
        percent(best.figure(MAIN)),
        "-" if paper is None else f"{100 * paper:.2f}",
    ]


def _by_shot(sheets: Sequence[Sheet]) -> list[str]:
    """A table for each dataset, bank kind and way that is measured with several numbers of supports."""
    families: dict[tuple[Any, ...], list[Sheet]] = {}
    for one in sheets:
        record = one.board.first
        if not one.stale:
            same = (record.dataset, record.subset, record.synthetic, record.bank.kind, record.bank.way, *record.classes)
            families.setdefault(same, []).append(one)
    lines: list[str] = []
    for family in families.values():
        family.sort(key=lambda one: len(one.board.first.predictions.lengths))
        by_shot = {one.board.first.bank.shot: one for one in family}  # of boards alike, that with the most draws
        if len(by_shot) > 1:
            bank = family[0].board.first.bank
            heading = f"### {_images(family[0])}: {bank.way}-way, bank `{bank.kind}`"
            lines += [heading, "", *_shots([by_shot[shot] for shot in sorted(by_shot)]), ""]
    return ["## Accuracy by shot", "", _SHOTS, "", *lines] if lines else []


def _shots(family: Sequence[Sheet]) -> list[str]:
    found: dict[tuple[Any, ...], dict[int, Row]] = {}
    for place, one in enumerate(family):
        for row in one.rows:
            found.setdefault(_classifier(row), {})[place] = row
    keys = tellings(row.first for one in family for row in one.rows)
    columns = [f"{one.board.first.bank.shot}-shot ([board]({one.board.benchmark}.md))" for one in family]
    lines = []
    for of_row in found.values():
        record = next(iter(of_row.values())).first
        cells = [percent(of_row[place].figure(MAIN)) if place in of_row else "-" for place in range(len(family))]
        said = [accuracy.method_cell(record, keys), accuracy.backbone_cell(record), str(record.labels_seen)]
        lines.append([*said, "transductive" if record.transductive else "inductive", *cells])
    return table(["method", "backbone", "labels seen", "kind", *columns], lines)


def _classifier(row: Row) -> tuple[Any, ...]:
    return *_trained_as(row), row.first.labels_seen


def _trained_as(row: Row) -> tuple[Any, ...]:
    """The classifier, on however many labelled images it was trained."""
    record = row.first
    settings = settings_hash({key: value for key, value in record.method_settings.items() if key != BUDGET})
    return record.method, settings, record.backbone, record.provenance.weights_sha256, record.image_size


def _by_labels(sheets: Sequence[Sheet]) -> list[str]:
    """A table for each board with a classifier that was trained on several numbers of labelled images."""
    lines: list[str] = []
    for one in sheets:
        found: dict[tuple[Any, ...], dict[int, Row]] = {}
        for row in one.rows:
            if BUDGET in row.first.method_settings and not one.stale:
                found.setdefault(_trained_as(row), {})[row.first.labels_seen] = row
        curves = [curve for curve in found.values() if len(curve) > 1]
        if not curves:
            continue
        budgets = sorted({labels for curve in curves for labels in curve})
        keys = tellings(row.first for curve in curves for row in curve.values())
        keys = {method: names - {BUDGET} for method, names in keys.items()}
        body = [
            [
                accuracy.method_cell(record := next(iter(curve.values())).first, keys),
                accuracy.backbone_cell(record),
                *(percent(curve[labels].figure(MAIN)) if labels in curve else "-" for labels in budgets),
            ]
            for curve in curves
        ]
        header = ["method", "backbone", *(f"{labels} labels" for labels in budgets)]
        lines += [f"### {title(one)} ([board]({one.board.benchmark}.md))", "", *table(header, body), ""]
    return ["## Accuracy by labels", "", _LABELS, "", *lines] if lines else []


def _widths(sheets: Sequence[Sheet]) -> list[str]:
    """How much too short an interval over episodes alone is, on the real board with the most predictions."""
    real = [one for one in sheets if not one.board.first.synthetic and len(one.board.first.predictions.lengths) > 1]
    if not real:
        return []
    one = max(real, key=lambda one: sum(one.board.first.predictions.lengths))
    lines = []
    for name, row in zip(accuracy.method_cells(one.rows), one.rows, strict=True):
        record = row.seeds[0]
        if (both := record.figures.get("accuracy")) is None:
            continue
        alone = statistics.mean_interval(row.episode_accuracy[0])
        narrow, wide = (np.float64(figure.high - figure.low) for figure in (alone, both))
        times = f"{wide / narrow:.1f}" if narrow > 0 else "-"
        lines.append([name, accuracy.backbone_cell(record), str(record.seed), percent(alone), percent(both), times])
    header = ["method", "backbone", "seed", "over draws alone", "over draws and images", "times as wide"]
    return ["## Why intervals here are wider", "", f"{_WIDTHS} Board: {title(one)}.", "", *table(header, lines), ""]


def _paper(paper: published.Paper, row: published.Row) -> list[str]:
    figures = [f"{columns.label(name)} {columns.alone(name, value)}" for name, value in row.figures.items()]
    return [
        escape(f"{paper.authors} {paper.year}, {paper.identifier}"),
        escape(row.title),
        escape(row.backbone_title),
        f"{row.way} / {row.shot}" if row.way else "-",
        "-" if row.labels_seen is None else str(row.labels_seen),
        escape(", ".join(figures)),
        escape(paper.images),
        ", ".join(f"`{name}`" for name in paper.benchmarks) or "-",
        escape(row.note) or "-",
    ]
