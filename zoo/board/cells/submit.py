"""Which records of cells may enter the leaderboard: those whose every figure follows from the cells they store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo import registry
from zoo.board import form
from zoo.board.cells import figures, store
from zoo.board.store import one_line
from zoo.board.submit import MOST_CLASSES, another_bank, differences, sound
from zoo.cell_record import FOLDER, CellRecord, folds_hash
from zoo.cell_table import LEAST, Table
from zoo.errors import ZooError, unknown
from zoo.record import Figure

MOST_FIELDS = 20_000
MOST_COUNTS = 20_000_000
"""Rows times classes times attributes times words, which the figures of attributes take in memory."""
_STEP = 1 / 65_534


def accept(records: Sequence[Path], root: Path, protocols: Mapping[str, str]) -> list[CellRecord]:
    """Check record files. protocols: name of each benchmark of cells -> SHA-256 of its file today.

    Raises ZooError naming the file and what is wrong in it; nothing is written, `store.write` does that.
    """

    def wrong(record: CellRecord, others: Iterable[tuple[Path, CellRecord]]) -> list[str]:
        return list(problems(record, protocols)) or list(_fold_problems(record, root, others))

    return sound(records, store.read, wrong)


def problems(record: CellRecord, protocols: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a record, one line each; nothing for a good one. What bounds the work comes first."""
    for check in (_form(record), _benchmark_problems(record, protocols), _size_problems(record), _table(record)):
        found = list(check)
        yield from found
        if found:
            return
    computed = figures.of_record(record)
    yield from differences("figures", record.figures, computed.figures, figures.FOLDER)
    for place, stored, made in (
        ("attribute_figures", record.attribute_figures, computed.attribute_figures),
        ("floors", {**record.floors}, {**computed.floors}),
        *(
            (f"attribute_floors.{floor}", record.attribute_floors.get(floor, {}), made)
            for floor, made in computed.attribute_floors.items()
        ),
    ):
        yield from _of_each(place, stored, made)
    yield from _of_folds(record.fold_figures, computed.fold_figures)


def _form(record: CellRecord) -> Iterator[str]:
    content = record.model_dump()
    packed = [f"cells.{name}" for name, value in content["cells"].items() if isinstance(value, str)]
    yield from form.of_values(content, packed)
    yield from form.of_settings("model_settings", record.model_settings)
    yield from form.of_names("fields", record.fields)
    yield from form.of_dataset(record.dataset, record.subset, record.provenance)
    for what, words in (
        ("classes", record.classes),
        ("attributes", [attribute.name for attribute in record.attributes]),
        *((f"attributes.{one_line(attribute.name, 40)}", attribute.values) for attribute in record.attributes),
    ):
        if len(set(words)) != len(words):
            yield f"{what}: one is named twice"
    counts = {"labels_seen": record.labels_seen, "seed": record.seed}
    counts |= {"height": record.height - 1, "width": record.width - 1}
    yield from form.of_provenance(record.provenance, counts)


def _benchmark_problems(record: CellRecord, protocols: Mapping[str, str]) -> Iterator[str]:
    if record.benchmark not in protocols:
        error = unknown("benchmark", record.benchmark, protocols, "zoo list benchmarks")
        yield f"{error}; `zoo leaderboard --records runs` needs none"
    elif protocols[record.benchmark] != record.provenance.benchmark_sha256:
        yield f"benchmark {record.benchmark} has changed since this record was made; run it again"


def _size_problems(record: CellRecord) -> Iterator[str]:
    words = max((len(attribute.values) for attribute in record.attributes), default=0) + 1
    counts = record.cells.rows * len(record.classes) * len(record.attributes) * words
    for wrong, text in (
        (len(record.fields) > MOST_FIELDS, f"{len(record.fields)} fields are too many, {MOST_FIELDS} are allowed"),
        (not 1 <= len(record.classes) <= MOST_CLASSES, f"{len(record.classes)} classes, from 1 to {MOST_CLASSES}"),
        (counts > MOST_COUNTS, "cells, classes, attributes and words are too many together"),
    ):
        if wrong:
            yield text
    if folds_hash(record.fields, record.folds) != record.provenance.bank_sha256:
        yield "provenance.bank_sha256: is not that of the record's fields and folds"


def _table(record: CellRecord) -> Iterator[str]:
    """What contradicts itself in the columns."""
    try:
        table = figures.table(record)
    except ZooError as error:
        yield str(error)
        return
    words = np.array([len(attribute.values) for attribute in record.attributes], np.int64)
    classes, alone = len(record.classes), table.real & ~table.seen
    overlap = np.where(np.isnan(table.cell_jaccard), table.box_jaccard, table.cell_jaccard)
    both = table.real & table.seen
    for wrong, text in (
        (table.field >= len(record.fields), "the number of a field is out of range"),
        (np.diff(table.field, prepend=0) < 0, "rows are not in the order of their fields"),
        (~(table.real | table.seen), "a row has neither a true nor a found cell"),
        ((table.true_label >= classes) | (table.spurious & (table.true_label >= 0)), "a true class is out of range"),
        ((table.found_label >= classes) | (table.seen != (table.found_label >= 0)), "a found class is out of range"),
        ((table.true_attributes >= words).any(1), "a true word is out of range"),
        ((table.found_attributes >= words).any(1), "a found word is out of range"),
        ((table.true_attributes >= 0).any(1) & table.spurious, "a spurious cell has a true attribute"),
        ((table.found_attributes >= 0).any(1) & alone, "a missed cell has a found attribute"),
        (np.isnan(table.score) == table.seen, "a score stands where nothing was found, or is missing"),
        (both & ~(np.fmax(overlap, table.box_jaccard) >= LEAST - _STEP), f"a pair has an IoU below {LEAST}"),
        (alone & (overlap > LEAST + _STEP), f"a missed cell has an IoU above {LEAST}"),
        (~np.isnan(table.true_nc) & table.spurious, "a spurious cell has a true N:C"),
        (np.isnan(table.found_nc) | (alone & (table.found_nc > 0)), "a missed cell has an N:C"),
        (table.largest & ~table.real, "a flag has no cell"),
        ((table.largest_found | table.hit) & ~table.seen, "a flag has no cell"),
    ):
        if wrong.any():
            yield f"cells: {text} (row {int(wrong.argmax())})"
            return
    yield from _flags(table, len(record.fields), classes)


def _flags(table: Table, fields: int, classes: int) -> Iterator[str]:
    """One true cell of each field is its largest, one found cell its largest, and no more cells hit than there are."""
    for flags, cells, text in (
        (table.largest, table.real, "largest true cell"),
        (table.largest_found, table.seen, "largest found cell"),
    ):
        has = np.bincount(table.field[cells], minlength=fields) > 0
        if (np.bincount(table.field[flags], minlength=fields) != has).any():
            yield f"cells: a field has none, or more than one, {text}"
    known = table.true_label >= 0
    true = np.bincount(table.field[known] * classes + table.true_label[known], minlength=fields * classes)
    hit = np.bincount(table.field[table.hit] * classes + table.found_label[table.hit], minlength=fields * classes)
    if (hit > true).any():
        yield "cells: more found cells of a class are right than a field has"


def _fold_problems(record: CellRecord, root: Path, others: Iterable[tuple[Path, CellRecord]]) -> Iterator[str]:
    """A benchmark divides the same fields into the same folds: a record that says another is wrong, or another is."""
    for path, own, its in another_bank(record, root / FOLDER / record.benchmark, store.read, others):
        yield f"folds {own} are not {its}, which {path} made of the same fields"


def _of_each(
    place: str, stored: Mapping[str, Mapping[str, Figure]], computed: Mapping[str, Mapping[str, Figure]]
) -> Iterator[str]:
    for name in sorted(stored.keys() | computed.keys()):
        where = f"{place}.{one_line(name, 60)}"
        yield from differences(where, stored.get(name, {}), computed.get(name, {}), figures.FOLDER)


def _of_folds(
    stored: Mapping[str, Sequence[float | None]], computed: Mapping[str, Sequence[float | None]]
) -> Iterator[str]:
    # a metric that another package adds may be missing, as in `differences`
    for name in sorted(stored.keys() | (computed.keys() & set(registry.own(figures.FOLDER)))):
        said, found = ([np.nan if v is None else v for v in part.get(name, ())] for part in (stored, computed))
        if len(said) != len(found) or not np.allclose(said, found, rtol=0, atol=1e-6, equal_nan=True):
            yield f"fold_figures.{one_line(name, 60)} does not follow from the stored values; run again"
