"""Every explainer of a classifier beside the floors: what can be compared, and the tests of it. No torch."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo import registry
from zoo.board import paired, resampling, statistics
from zoo.board.paired import Ties
from zoo.board.rows import Board, by_classifier, telling
from zoo.errors import ZooError
from zoo.record import ExplanationRow, Figure, Record, settings_hash

FLOORS = ("random", "centre", "otsu")
"""Floors that every explainer is shown beside: no knowledge, of where cells are, of what stands out from its ground."""
_FIRST = ("deletion", "insertion", "saliency_jaccard", "pointing_game")


class Compared(NamedTuple):
    """Every two explainers of a block by one metric."""

    numbers: list[int]
    """Of the rows that have it"""
    ties: Ties
    """Of those rows"""
    drawn: np.ndarray
    """(rows, resamples) of their means"""


@dataclass(frozen=True, eq=False)
class Block:
    """The explainers of one classifier, seed and set of queries: what can be compared."""

    record: Record
    """Any of its records"""
    groups: np.ndarray
    """(n,) of the explained images: one number for an image and its duplicates"""
    rows: list[tuple[str, ExplanationRow]]
    """(explainer, row): explainers, then floors"""

    @property
    def metrics(self) -> list[str]:
        """Of any of the rows."""
        return metric_order(row for _, row in self.rows)

    @functools.cached_property
    def compared(self) -> dict[str, Compared]:
        """By each metric of which it is known which way is better."""
        having = [
            (metric, number)
            for metric in self.metrics
            for number, (_, row) in enumerate(self.rows)
            if higher_is_better(metric) is not None and len(row.values.get(metric, ())) == len(self.groups)
        ]
        if not having:
            return {}
        values = np.array([self.rows[number][1].values[metric] for metric, number in having])
        drawn, found = resampling.cluster_means(values, self.groups), {}
        for metric in dict.fromkeys(metric for metric, _ in having):
            places = [place for place, (name, _) in enumerate(having) if name == metric]
            higher = bool(higher_is_better(metric))
            tested = paired.explained_ties(values[places], self.groups, higher, drawn[places])
            found[metric] = Compared([having[place][1] for place in places], tested, drawn[places])
        return found

    @functools.cached_property
    def ranks(self) -> dict[str, dict[int, str]]:
        """Metric by which explainers may be ranked -> number of a row -> its rank."""
        ranking = {metric: found for metric, found in self.compared.items() if ranks_by(metric) is not None}
        return {
            metric: dict(zip(found.numbers, found.ties.ranks, strict=True)) for metric, found in ranking.items()
        }  # fmt: skip

    def rank(self, metric: str, number: int) -> str:
        """Of one row; "-" of one that has none."""
        return self.ranks.get(metric, {}).get(number, "-")

    def settings(self, number: int) -> str:
        """The settings that tell a row from others of its name."""
        name, row = self.rows[number]
        return telling(row.settings, (other.settings for other_name, other in self.rows if other_name == name))

    def having(self, metric: str) -> list[int]:
        """Numbers of the rows that have a figure of it, the best first where it is known which way is better."""
        found = [number for number, (_, row) in enumerate(self.rows) if metric in row.figures]
        if (higher := higher_is_better(metric)) is not None:
            found.sort(key=lambda number: self.rows[number][1].figures[metric].value, reverse=higher)
        return found

    def floor(self, name: str) -> int | None:
        """The number of a floor's row; None where the block does not have it."""
        return next((number for number, (found, row) in enumerate(self.rows) if row.floor and found == name), None)

    def beside(self, metric: str, number: int, name: str) -> Figure | None:
        """Paired difference of a row to a floor, positive where it is better; None of the floor itself, and where one
        of them lacks the metric."""
        if (places := self._places(metric, number, name)) is None:
            return None
        found, (one, floor) = self.compared[metric], places
        draws = (found.drawn[one] - found.drawn[floor]) * (1 if higher_is_better(metric) else -1)
        low, high = np.quantile(draws, (0.025, 0.975)).tolist()
        return Figure(value=float(found.ties.difference[one, floor]), low=low, high=high)

    def sign(self, metric: str, number: int, name: str) -> int | None:
        """1 where a row is better than a floor, -1 where it is worse, 0 where no test, corrected, tells them apart."""
        if (places := self._places(metric, number, name)) is None:
            return None
        better = self.compared[metric].ties.better
        return int(better[places]) - int(better[places[::-1]])

    def _places(self, metric: str, number: int, name: str) -> tuple[int, int] | None:
        """Of a row and of a floor among the rows that a metric compares."""
        numbers, floor = self.compared[metric].numbers if metric in self.compared else [], self.floor(name)
        if floor is None or floor == number or not {floor, number} <= {*numbers}:
            return None
        return numbers.index(number), numbers.index(floor)


def blocks(board: Board) -> list[Block]:
    """Everything that was explained, in the order of the records."""
    return [_block(records) for records in by_classifier(board)]


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


def higher_is_better(metric: str) -> bool | None:
    """What the metric's plug-in declares; None where there is no such metric here."""
    return _declared("metrics/explanation", metric, "higher_is_better", None)


def about(metric: str) -> str:
    """What the metric judges; empty where there is no such metric here."""
    return _declared("metrics/explanation", metric, "about", "")


def shuffles(metric: str) -> str:
    """The metric that this one takes of the saliency made with shuffled weights; empty where it is none of these."""
    return _declared("metrics/explanation", metric, "shuffles", "")


def meaning(metric: str) -> str:
    """A line on a metric without its name; empty where there is no such metric here."""
    if higher_is_better(metric) is None:
        return ""
    line = registry.summary("metrics/explanation", metric)
    _, named, rest = line.partition(": ")
    return rest[:1].upper() + rest[1:] if named else line


def ranks_by(metric: str) -> bool | None:
    """Whether higher is better, of a metric by which explainers may be ranked; else None."""
    return higher_is_better(metric) if _declared("metrics/explanation", metric, "ranked", True) else None


def is_ceiling(explainer: str) -> bool:
    """Whether it shows what is known of the image and not of the classifier, as `oracle` does."""
    return _declared("explainers", explainer, "needs", "") == "masks"


@functools.cache
def _declared(folder: str, name: str, constant: str, otherwise: Any) -> Any:
    try:
        return registry.declared(folder, name, constant)
    except ZooError:  # no such plug-in here, or one that leaves it as the contract has it
        return otherwise


def _block(records: Sequence[Record]) -> Block:
    first = records[0]
    assert first.explanations is not None
    return Block(first, statistics.clusters(first.explanations.items, first.predictions), merge(records))
