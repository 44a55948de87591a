"""Which records stand in one table, and which of them are one row."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.board import statistics
from zoo.record import Figure, Record, settings_hash


class Board(NamedTuple):
    """Records that may be ranked together: the same benchmark, images and episodes."""

    benchmark: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """Any record of the board: what it says of images and bank, all of them say."""
        return self.records[0]


class Row(NamedTuple):
    """One classifier: one record a training seed (the newest, where several explainers share it), and all records."""

    seeds: tuple[Record, ...]
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        return self.seeds[0]

    def figure(self, name: str) -> Figure | None:
        """A figure, averaged over the seeds; None where the benchmark does not ask for it."""
        return mean_figure([record.figures[name] for record in self.seeds if name in record.figures])

    def class_figure(self, name: str) -> Figure | None:
        """The accuracy of a class, averaged over the seeds; None where the bank has no query of it."""
        return mean_figure([record.class_accuracy[name] for record in self.seeds if name in record.class_accuracy])

    def spread(self) -> statistics.Spread:
        """Over the episodes of all seeds."""
        answers = [statistics.unpack(record.predictions, record.classes, record.bank) for record in self.seeds]
        return statistics.spread(np.concatenate([statistics.episode_accuracy(answer) for answer in answers]))


def mean_figure(figures: Sequence[Figure]) -> Figure | None:
    """Mean of the figures of several seeds and of the ends of their intervals; None of none."""
    if not figures:
        return None
    return Figure(**{part: float(np.mean([getattr(f, part) for f in figures])) for part in ("value", "low", "high")})


def boards(records: Iterable[Record]) -> list[Board]:
    """One board for each benchmark, item set and bank: whole real datasets first, then subsets by name."""
    ordered = sorted(records, key=_place)
    return [Board(group[0].benchmark, tuple(group)) for group in _grouped(ordered, _same_board)]


def rows(board: Board) -> list[Row]:
    """One row for each classifier, the best mean class accuracy first."""
    found = [_row(group) for group in _grouped(board.records, _same_classifier)]
    return sorted(found, key=lambda row: (-_main(row), row.first.key))


def by_classifier(board: Board) -> list[list[Record]]:
    """Records whose explanations are of the same classifier, seed and queries: their explainers share one block."""
    explained = [record for record in board.records if record.explanations]
    return _grouped(explained, _same_explained)


def telling(of: Any, alike: Iterable[dict[str, Any]]) -> str:
    """`key=value` of the settings in which this row differs from others of its name; empty where it is alone."""
    others = list(alike)
    differing = [key for key in sorted(of) if any(other.get(key) != of[key] for other in others)]
    return ", ".join(f"{key}={of[key]}" for key in differing)


def _main(row: Row) -> float:
    figure = row.figure("mean_class_accuracy")
    return figure.value if figure else -1


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
