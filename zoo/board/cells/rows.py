"""Which records of cells stand in one table, and which of them are one row."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from zoo.board import resampling, statistics
from zoo.board.cells import columns, figures
from zoo.board.rows import differing
from zoo.cell_record import CellRecord
from zoo.record import Figure, settings_hash

MAIN = "cell_accuracy"
"""The figure that ranks."""
_EXPLAINED = {"cell_jaccard", *columns.MASKS, *columns.ATTRIBUTES}


class Board(NamedTuple):
    """Records that may be ranked together: the same benchmark, fields and folds."""

    benchmark: str
    records: tuple[CellRecord, ...]

    @property
    def first(self) -> CellRecord:
        """Any record of the board: what it says of fields, folds and floors, all of them say."""
        return self.records[0]

    def stale(self, protocols: Mapping[str, str]) -> bool:
        """Whether the benchmark's file has changed since; `protocols` maps names to today's SHA-256."""
        made = self.first.provenance.benchmark_sha256
        return protocols.get(self.benchmark, made) != made


@dataclass(frozen=True, eq=False)
class Row:
    """One model: one record a training seed, the newest of each."""

    seeds: tuple[CellRecord, ...]

    @property
    def first(self) -> CellRecord:
        return self.seeds[0]

    def values(self, name: str, attribute: str | None = None) -> dict[int, float]:
        """A metric (of one attribute) in each training seed that has it: seed -> value."""
        return {record.seed: found.value for record, found in self._stored(name, attribute)}

    def draws(self, name: str, attribute: str | None = None) -> np.ndarray:
        """The same under the resamples of the fields, (seeds, resamples)."""
        return np.stack([figures.draws(record, name, attribute) for record, _ in self._stored(name, attribute)])

    def figure(self, name: str, attribute: str | None = None) -> Figure | None:
        """A metric, averaged over the seeds; None where it has no value.

        Where there are several, the interval covers what they vary as well, as in `zoo.board.statistics`.
        """
        if (key := (name, attribute)) not in self._known:
            found = self._stored(name, attribute)
            self._known[key] = found[0][1] if len(found) == 1 else self._averaged(name, attribute) if found else None
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[str, str | None], Figure | None]:
        return {}

    def _averaged(self, name: str, attribute: str | None) -> Figure:
        values = np.array(list(self.values(name, attribute).values()))
        together = self.draws(name, attribute).mean(0)
        together = together + resampling.seed_draws(statistics.seed_error(values), len(values))
        most = 1 if figures.metric(name).unit == "percent" else np.inf
        return figures.figure(float(values.mean()), together.clip(0, most))

    def _stored(self, name: str, attribute: str | None) -> list[tuple[CellRecord, Figure]]:
        parts = (
            (one, one.figures if attribute is None else one.attribute_figures.get(attribute, {})) for one in self.seeds
        )
        return [(record, part[name]) for record, part in parts if name in part and tells(record, name)]


def tells(record: CellRecord, metric: str) -> bool:
    """Whether a metric of the record is of something that its model learned to say.

    A model whose setting `explains` is false learns neither masks nor attributes. What stands in their place, an
    ellipse and an attribute's first word, is no answer: no board shows or ranks it."""
    return record.model_settings.get("explains") is not False or metric not in _EXPLAINED


def boards(records: Iterable[CellRecord]) -> list[Board]:
    """One board for each benchmark, set of fields and folds: whole real datasets first, then subsets by name."""
    ordered = sorted(records, key=lambda one: (one.benchmark, one.synthetic, one.subset or "", *_board(one), one.key))
    return [Board(group[0].benchmark, tuple(group)) for group in _grouped(ordered, _board)]


def rows(board: Board) -> list[Row]:
    """One row for each model, settings and backbone, the highest accuracy on cells first."""
    found = [row(group) for group in _grouped(board.records, _model)]
    return sorted(found, key=lambda one: (-np.mean([*one.values(MAIN).values()] or [-1.0]), one.first.key))


def row(records: Sequence[CellRecord]) -> Row:
    """Records of one model as a row: of each training seed the newest."""
    by_seed = {one.seed: one for one in sorted(records, key=lambda one: (one.provenance.created, one.key))}
    return Row(tuple(by_seed[seed] for seed in sorted(by_seed)))


def tellings(records: Iterable[CellRecord]) -> dict[str, set[str]]:
    """Model -> the settings in which its rows differ."""
    groups = _grouped(records, lambda one: one.model)
    return {group[0].model: differing(one.model_settings for one in group) for group in groups}


def _board(record: CellRecord) -> tuple[str, ...]:
    made = record.provenance
    return record.benchmark, made.benchmark_sha256, made.item_set_sha256, made.bank_sha256, *record.classes


def _model(record: CellRecord) -> tuple[Any, ...]:
    settings, weights = settings_hash(record.model_settings), record.provenance.weights_sha256
    return record.model, settings, record.backbone, weights, record.height, record.width


def _grouped(records: Iterable[CellRecord], key: Callable[[CellRecord], Hashable]) -> list[list[CellRecord]]:
    groups: dict[Hashable, list[CellRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return list(groups.values())
