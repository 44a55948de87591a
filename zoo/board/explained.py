"""The explanation table of a board: every explainer of a classifier beside the floors."""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from zoo import registry
from zoo.board import paired, resampling, statistics
from zoo.board.accuracy import backbone_cell, method_cell
from zoo.board.markdown import difference, escape, percent, table
from zoo.board.rows import Board, by_classifier, telling, tellings
from zoo.errors import ZooError
from zoo.record import ExplanationRow, Figure, Record, settings_hash

_FIRST = ("deletion", "insertion", "saliency_jaccard", "pointing_game")
_NOTE = (
    "Means over the explained queries, in per cent, with 95 % intervals that cover the images: a query explained in "
    "two episodes, or a duplicate, is one image. Other support draws, training seeds and patients are not covered. "
    "*Rank* is among the explainers and floors of the same classifier and seed, by paired tests with Holm's correction "
    "(1-3: not told from the first, second and third); nothing is ranked by *pseudo* figures. Beside it the paired "
    "difference to the `random` floor, positive where the explainer is better (for *deletion* lower is better), in "
    "bold where its interval excludes 0."
)


class Block(NamedTuple):
    """The explainers of one classifier, seed and set of queries: what can be compared."""

    record: Record
    """Any of its records"""
    groups: np.ndarray
    """(n,) of the explained images: one number for an image and its duplicates"""
    rows: list[tuple[str, ExplanationRow]]
    """(explainer, row): explainers, then floors"""
    ranks: dict[str, list[str]]
    """metric -> rank of each row, "-" of one without it"""


def blocks(board: Board) -> list[Block]:
    """Everything that was explained, in the order of the records."""
    return [_block(records) for records in by_classifier(board)]


def section(found: Sequence[Block], board: Board) -> list[str]:
    """Lines from the heading on; none where nothing was explained."""
    if not found:
        return []
    metrics = metric_order(row for block in found for _, row in block.rows)
    header = ["method", "backbone", "seed", "explained (of them right)", "explainer"]
    for metric in metrics:
        header += [escape(metric.replace("_", " ")), "better than random by", "rank"]
    keys = tellings(board.records)
    lines = []
    for block in found:
        said = [method_cell(block.record, keys), backbone_cell(block.record), str(block.record.seed), _count(block)]
        lines += [[*said, *_explainer(block, number, metrics)] for number in range(len(block.rows))]
    return ["### Explanations", "", _NOTE, "", *table(header, lines), ""]


def merge(records: Iterable[Record]) -> list[tuple[str, ExplanationRow]]:
    """Rows of records of the same classifier, each explainer with the same settings once: explainers, then floors."""
    found: dict[tuple[bool, str, str], ExplanationRow] = {}
    for record in sorted(records, key=lambda record: (record.provenance.created, record.key)):
        for name, row in record.explanations.rows.items() if record.explanations else ():
            found[row.floor, name, settings_hash(row.settings)] = row
    return [(name, found[floor, name, digest]) for floor, name, digest in sorted(found)]


def metric_order(rows: Iterable[ExplanationRow]) -> list[str]:
    """Names of all metrics of the rows, the ones everybody knows first."""
    names = {metric for row in rows for metric in row.figures}
    return [name for name in _FIRST if name in names] + sorted(names - set(_FIRST))


def beats_random(figure: Figure) -> bool:
    """Whether the interval of a difference to the floor excludes 0, on the better side."""
    return figure.low > 0


@functools.cache
def higher_is_better(metric: str) -> bool | None:
    """What the metric's plug-in declares; None where there is no such metric here."""
    try:
        return bool(registry.declared("metrics/explanation", metric, "higher_is_better"))
    except ZooError:
        return None


@functools.cache
def ranks_by(metric: str) -> bool | None:
    """Whether higher is better, of a metric by which explainers may be ranked; else None."""
    try:
        ranked = registry.declared("metrics/explanation", metric, "ranked")
    except ZooError:  # not in its own file: as the contract has it
        ranked = True
    return higher_is_better(metric) if ranked else None


def _block(records: Sequence[Record]) -> Block:
    found, first = merge(records), records[0]
    assert first.explanations is not None
    groups = statistics.clusters(first.explanations.items, first.predictions)
    having = [
        (metric, number)
        for metric in metric_order(row for _, row in found)
        for number, (_, row) in enumerate(found)
        if len(row.values.get(metric, ())) == len(groups)
    ]
    values = np.array([found[number][1].values[metric] for metric, number in having])
    return Block(first, groups, found, _ranks(having, values, groups, len(found)) if having else {})


def _ranks(
    having: Sequence[tuple[str, int]], values: np.ndarray, groups: np.ndarray, rows: int
) -> dict[str, list[str]]:
    """Metric -> rank of each of the rows, from the values (m, n) of each (metric, row) there is."""
    drawn, ranks = resampling.cluster_means(values, groups), {}
    for metric in dict.fromkeys(metric for metric, _ in having):
        ranks[metric] = ["-"] * rows
        if (higher := ranks_by(metric)) is None:
            continue
        places = [place for place, (name, _) in enumerate(having) if name == metric]
        tested = paired.explained_ties(values[places], groups, higher, drawn[places])
        for place, rank in zip(places, tested.ranks, strict=True):
            ranks[metric][having[place][1]] = rank
    return ranks


def _count(block: Block) -> str:
    found = block.record.explanations
    return f"{len(found.items)} ({sum(found.correct)})" if found else "-"


def _explainer(block: Block, number: int, metrics: Sequence[str]) -> list[str]:
    name, row = block.rows[number]
    settings = telling(row.settings, (other.settings for other_name, other in block.rows if other_name == name))
    cells = [escape(name) + (f" {escape(settings)}" if settings else "") + (" (*floor*)" if row.floor else "")]
    for metric in metrics:
        figure, against = row.figures.get(metric), row.against_random.get(metric)
        rank = block.ranks[metric][number] if metric in block.ranks else "-"
        cells += [percent(figure), _against(against) if against else "-", rank]
    return cells


def _against(figure: Figure) -> str:
    text = difference(figure)
    return f"**{text}**" if figure.low > 0 or figure.high < 0 else text
