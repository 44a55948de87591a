"""Which records stand in one table, and which of them are one row."""

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from zoo.board import statistics
from zoo.record import Figure, Record, settings_hash

MAIN = "mean_class_accuracy"
"""The figure that ranks."""


class Board(NamedTuple):
    """Records that may be ranked together: the same benchmark, images and episodes."""

    benchmark: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """Any record of the board: what it says of images and bank, all of them say."""
        return self.records[0]

    def stale(self, protocols: Mapping[str, str]) -> bool:
        """Whether the benchmark's protocol file has changed since; `protocols` maps names to today's SHA-256."""
        return protocols.get(self.benchmark, self.first.provenance.benchmark_sha256) != (
            self.first.provenance.benchmark_sha256
        )


@dataclass(frozen=True, eq=False)
class Row:
    """One classifier: one record a training seed (the newest, where several explainers share it), and all records."""

    seeds: tuple[Record, ...]
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        return self.seeds[0]

    def values(self, name: str, of_class: bool = False) -> dict[int, float]:
        """A figure (or the accuracy of a class) of each training seed that has it: seed -> fraction."""
        return {record.seed: found.value for record, found in self._stored(name, of_class)}

    def draws(self, name: str, of_class: bool = False) -> np.ndarray:
        """A figure under the resamples of the bank, (seeds, resamples), in the order of `values`."""
        made = [part for part in self._with_draws if name in part[of_class]]
        return np.stack([statistics.draws(part[of_class][name]) for part in made])

    def figure(self, name: str) -> Figure | None:
        """A figure, averaged over the seeds; None where the benchmark does not ask for it."""
        return self._figures[False].get(name)

    def class_figure(self, name: str) -> Figure | None:
        """The accuracy of a class, averaged over the seeds; None where the bank has no query of it."""
        return self._figures[True].get(name)

    @cached_property
    def episode_accuracy(self) -> np.ndarray:
        """Accuracy of each episode, (seeds, episodes) in 0..1."""
        answers = (statistics.unpack(record.predictions, record.classes, record.bank) for record in self.seeds)
        return np.stack([statistics.episode_accuracy(answer) for answer in answers])

    def spread(self) -> statistics.Spread:
        """Over the episodes of all seeds."""
        return statistics.spread(self.episode_accuracy.ravel())

    @cached_property
    def _with_draws(self) -> list[tuple[dict[str, Figure], dict[str, Figure]]]:
        return [statistics.with_draws(record) for record in self.seeds]

    @cached_property
    def _figures(self) -> dict[bool, dict[str, Figure]]:
        """The figures, and the accuracies of classes (True)."""
        return {flag: {name: self._averaged(name, flag) for name in self._names(flag)} for flag in (False, True)}

    def _names(self, of_class: bool) -> list[str]:
        parts = (record.class_accuracy if of_class else record.figures for record in self.seeds)
        return list(dict.fromkeys(name for part in parts for name in part))

    def _stored(self, name: str, of_class: bool) -> list[tuple[Record, Figure]]:
        parts = [(record, record.class_accuracy if of_class else record.figures) for record in self.seeds]
        return [(record, part[name]) for record, part in parts if name in part]

    def _averaged(self, name: str, of_class: bool) -> Figure:
        found = self._stored(name, of_class)
        if len(found) == 1:
            return found[0][1].model_copy(update={"draws": ""})
        return statistics.over_seeds(np.array([one.value for _, one in found]), self.draws(name, of_class))


def boards(records: Iterable[Record]) -> list[Board]:
    """One board for each benchmark, item set and bank: whole real datasets first, then subsets by name."""
    ordered = sorted(records, key=_place)
    return [Board(group[0].benchmark, tuple(group)) for group in _grouped(ordered, _same_board)]


def rows(board: Board) -> list[Row]:
    """One row for each classifier, the best mean class accuracy first."""
    found = [_row(group) for group in _grouped(board.records, _same_classifier)]
    return sorted(found, key=lambda row: (-_main(row), row.first.key))


def apart(found: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(kind, rows) of each kind that there is, in their order: inductive and transductive rows are ranked apart."""
    kinds = {"inductive": False, "transductive": True}
    parts = [(kind, [row for row in found if row.first.transductive == flag]) for kind, flag in kinds.items()]
    return [part for part in parts if part[1]]


def by_classifier(board: Board) -> list[list[Record]]:
    """Records whose explanations are of the same classifier, seed and queries: their explainers share one block."""
    explained = [record for record in board.records if record.explanations]
    return _grouped(explained, _same_explained)


def telling(of: dict[str, Any], alike: Iterable[dict[str, Any]]) -> str:
    """`key=value` of the settings in which this row differs from others of its name; empty where it is alone."""
    return named(of, differing([of, *alike]))


def named(of: dict[str, Any], keys: Container[str]) -> str:
    """`key=value` of those of its settings that are among the keys."""
    return ", ".join(f"{key}={of[key]}" for key in sorted(of) if key in keys)


def differing(settings: Iterable[dict[str, Any]]) -> set[str]:
    """Keys whose values are not the same in all of the settings."""
    found = list(settings)
    keys = {key for one in found for key in one}
    return {key for key in keys if any(one.get(key) != found[0].get(key) for one in found)}


def tellings(records: Iterable[Record]) -> dict[str, set[str]]:
    """Method -> the settings in which its rows differ: what `named` has to show beside its name."""
    groups = _grouped(records, lambda record: record.method)
    return {group[0].method: differing(record.method_settings for record in group) for group in groups}


def _main(row: Row) -> float:
    values = row.values(MAIN)
    return float(np.mean(list(values.values()))) if values else -1


def _row(records: Sequence[Record]) -> Row:
    by_seed = {record.seed: record for record in sorted(records, key=lambda r: (r.provenance.created, r.key))}
    return Row(tuple(by_seed[seed] for seed in sorted(by_seed)), tuple(sorted(records, key=lambda r: (r.seed, r.key))))


def _grouped(records: Iterable[Record], key: Callable[[Record], Hashable]) -> list[list[Record]]:
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return list(groups.values())


def _place(record: Record) -> tuple[Any, ...]:
    return record.benchmark, record.synthetic, record.subset or "", *_same_board(record), record.key


def _same_board(record: Record) -> tuple[str, ...]:
    made = record.provenance
    return record.benchmark, made.benchmark_sha256, made.item_set_sha256, made.bank_sha256, *record.classes


def _same_classifier(record: Record) -> tuple[Any, ...]:
    settings, weights = settings_hash(record.method_settings), record.provenance.weights_sha256
    return record.method, settings, record.backbone, weights, record.image_size, record.labels_seen


def _same_explained(record: Record) -> tuple[Any, ...]:
    found = record.explanations
    assert found is not None
    return *_same_classifier(record), record.seed, found.steps, found.temperature, tuple(found.items)
