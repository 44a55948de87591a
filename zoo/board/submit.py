"""Take records into the leaderboard: only valid ones whose every figure follows from the raw values they store."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from zoo import registry
from zoo.board import attributes, form, statistics, store
from zoo.data.benchmark import Benchmark
from zoo.errors import ZooError, unknown
from zoo.record import ExplanationRow, Figure, Predictions, Provenance, Record

TOLERANCE = 1e-6
MOST = 10_000_000
"""Predictions of a record; 100 draws x 15,000 images are 1,500,000."""
MOST_CLASSES = 200
_SHOWN = 5


class _Keyed(Protocol):
    provenance: Provenance

    @property
    def key(self) -> str: ...


Row = TypeVar("Row", bound=_Keyed)
"""A record of one kind or the other"""


def submit(records: Sequence[Path], root: Path, benchmarks: Mapping[str, Benchmark]) -> list[Path]:
    """Check record files and copy them below `root` (`leaderboard/records`), all of them or none.

    `benchmarks` are today's, by name. Raises ZooError naming the file and what is wrong in it: a broken record, one
    of a benchmark or bank that has changed, figures that do not follow from the stored values.
    """

    def wrong(record: Record, others: Iterable[tuple[Path, Record]]) -> list[str]:
        return list(problems(record, benchmarks)) or list(_bank_problems(record, root, others))

    return [store.write(record, root) for record in sound(records, store.read, wrong)]


def sound(
    records: Sequence[Path], read: Callable[[Path], Row], wrong: Callable[[Row, Iterable[tuple[Path, Row]]], list[str]]
) -> list[Row]:
    """The records of these files, each another row, with nothing wrong in any, given those before it. ZooError naming
    the file and what is wrong in it, otherwise."""
    accepted: dict[str, tuple[Path, Row]] = {}
    for path in records:
        record = read(path)
        form.no_repeats(path)
        if found := wrong(record, accepted.values()):
            more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
            raise ZooError(f"{path}: {'; '.join(found[:_SHOWN] + more)}")
        if record.key in accepted:
            raise ZooError(f"{path}: is the same row as {accepted[record.key][0]}; give one of them")
        accepted[record.key] = path, record
    return [record for _, record in accepted.values()]


def problems(record: Record, benchmarks: Mapping[str, Benchmark]) -> Iterator[str]:
    """What is wrong with a record, one line each; nothing for a good one.

    What bounds the work comes first and ends the list: nothing large is unpacked for a record that lies about it.
    """
    for check in (form.problems(record), _benchmark_problems(record, benchmarks), _size_problems(record)):
        found = list(check)
        yield from found
        if found:
            return
    try:
        whole, by_class = statistics.figures(record.predictions, record.classes, record.bank)
        yield from differences("figures", record.figures, whole, "metrics/prediction")
        yield from differences("class_accuracy", record.class_accuracy, by_class)
        yield from _explanation_problems(record)
    except ZooError as error:
        yield str(error)


def _benchmark_problems(record: Record, benchmarks: Mapping[str, Benchmark]) -> Iterator[str]:
    if record.benchmark not in benchmarks:
        error = unknown("benchmark", record.benchmark, benchmarks, "zoo list benchmarks")
        yield f"{error}; own data need a protocol file (CONTRIBUTING.md), `zoo leaderboard --records runs` needs none"
        return
    benchmark = benchmarks[record.benchmark]
    if benchmark.sha256 != record.provenance.benchmark_sha256:
        yield f"benchmark {record.benchmark} has changed since this record was made; run it again"
    for field, said, wanted in (
        ("bank", record.bank.model_dump(), benchmark.bank.model_dump()),
        ("classes", set(record.classes), set(benchmark.classes or record.classes)),
        ("dataset", record.dataset, _dataset(record, benchmark)),
        ("explanations.steps", record.explanations and record.explanations.steps, benchmark.steps),
    ):
        if said is not None and said != wanted:
            yield f"{field}: is not what the benchmark {record.benchmark} says; {_again(record, benchmark, benchmarks)}"


def _again(record: Record, benchmark: Benchmark, benchmarks: Mapping[str, Benchmark]) -> str:
    """How to run it again: a method that adapts in each episode runs fewer of them than most benchmarks have."""
    like = {"bank": record.bank, "dataset": benchmark.dataset, "classes": benchmark.classes}
    fits = [name for name, other in benchmarks.items() if all(getattr(other, key) == like[key] for key in like)]
    return f"run it again with --benchmark {fits[0]}" if fits and record.benchmark not in fits else "run it again"


def _dataset(record: Record, benchmark: Benchmark) -> str:
    """The dataset's name as a record writes it: of own data the folder's name, or the table's without its suffix."""
    path = Path(benchmark.dataset)
    return record.dataset if record.dataset in (benchmark.dataset, path.name, path.stem) else benchmark.dataset


def _size_problems(record: Record) -> Iterator[str]:
    """Whether the counts are those of the bank, so that what is packed can be unpacked and counted at no risk."""
    predictions, bank = record.predictions, record.bank
    items, classes, drawn = len(predictions.items), len(record.classes), len(predictions.lengths)
    total = sum(predictions.lengths)
    explained = len(record.explanations.items) if record.explanations else 0
    for wrong, text in (
        (drawn > bank.episodes, f"{drawn} episodes, but the bank has {bank.episodes}"),
        (not bank.way <= classes <= MOST_CLASSES, f"{classes} classes, from {bank.way} to {MOST_CLASSES} are allowed"),
        (any(not 1 <= length <= items for length in predictions.lengths), "an episode has no query, or one twice"),
        (total > MOST, f"{total} are too many, {MOST} are allowed"),
        (explained > max(total, 1), f"{explained} of {total} queries are explained"),
    ):
        if wrong:
            yield f"predictions: {text}"
            return
    yield from _packed_problems(predictions, total)


def _packed_problems(predictions: Predictions, total: int) -> Iterator[str]:
    try:
        query, predicted = predictions.unpack(limit=2 * total + 1)
    except ValueError:
        yield "predictions: their numbers are damaged, or more than the lengths say; run again to make the record anew"
        return
    if not len(query) == len(predicted) == total:
        yield f"predictions: the lengths say {total}, but there are {len(query)} queries and {len(predicted)} answers"
        return
    episode = np.repeat(np.arange(len(predictions.lengths)), predictions.lengths)
    if len(np.unique(episode * 65536 + query)) != total:
        yield "predictions: an item is queried twice in one episode"


def _bank_problems(record: Record, root: Path, others: Iterable[tuple[Path, Record]]) -> Iterator[str]:
    """A benchmark draws one bank from the same images: a record that says another is wrong, or another is."""
    for path, own, its in another_bank(record, root / record.benchmark, store.read, others):
        yield f"bank {own} is not {its}, which {path} drew from the same images"


def another_bank(
    record: Row, folder: Path, read: Callable[[Path], Row], others: Iterable[tuple[Path, Row]]
) -> Iterator[tuple[Path, str, str]]:
    """The first record, of a folder or of `others`, with the same benchmark and items but another bank, or folds: where
    it is, and both hashes, shortened. None for a sound record."""
    made = record.provenance
    for path, other in (*((path, read(path)) for path in sorted(folder.rglob("*.json"))), *others):
        same = other.provenance
        alike = (made.benchmark_sha256, made.item_set_sha256) == (same.benchmark_sha256, same.item_set_sha256)
        if alike and made.bank_sha256 != same.bank_sha256:
            yield path, made.bank_sha256[:12], same.bank_sha256[:12]
            return


def _explanation_problems(record: Record) -> Iterator[str]:
    if record.explanations is None:
        return
    rows, explained = record.explanations.rows, len(record.explanations.items)
    if len(record.explanations.correct) != explained:
        yield f"explanations: {explained} items but {len(record.explanations.correct)} entries in correct"
    if not set(record.explanations.items) <= set(record.predictions.items):
        yield "explanations: an explained item is not among the predictions"
        return
    yield from _correct_problems(record)
    if "random" not in rows:
        yield "explanations: the random floor is missing; run again to make the record anew"
    groups = statistics.clusters(record.explanations.items, record.predictions)
    for name, row in rows.items():
        place = f"explanations.{store.one_line(name, 60)}"
        lengths = {len(values) for values in row.values.values()}
        if lengths != {explained}:
            yield f"{place}: each metric needs {explained} values, one an explained item"
            return
        yield from _row_problems(place, row, None if name == "random" else rows.get("random"), groups)
    if (told := record.explanations.attributes) is not None:
        truth, own = np.array(record.predictions.truth), np.array(record.predictions.groups)
        yield from differences("explanations.attributes.figures", told.figures, attributes.figures(told, truth, own))


def _correct_problems(record: Record) -> Iterator[str]:
    """An item explained as right (or wrong) was answered so in one episode at least."""
    explanations = record.explanations
    answers = statistics.unpack(record.predictions, record.classes, record.bank)
    query, _ = record.predictions.unpack()
    names, right = record.predictions.items, answers.truth == answers.predicted
    found = {(names[number], verdict) for number, verdict in set(zip(query.tolist(), right.tolist(), strict=True))}
    assert explanations is not None
    for item, correct in zip(explanations.items, explanations.correct, strict=False):
        if (item, correct) not in found:
            word = "right" if correct else "wrong"
            yield f"explanations.correct: {store.one_line(item, 60)} is never predicted {word}"
            return


def _row_problems(
    place: str, row: ExplanationRow, random: ExplanationRow | None, groups: np.ndarray
) -> Iterator[str]:
    better = {
        metric: bool(registry.declared("metrics/explanation", metric, "higher_is_better")) for metric in row.values
    }
    figures, against = statistics.explanation_figures(row.values, random.values if random else None, better, groups)
    yield from differences(f"{place}.figures", row.figures, figures)
    yield from differences(f"{place}.against_random", row.against_random, against)


def differences(
    place: str, stored: Mapping[str, Figure], computed: Mapping[str, Figure], folder: str | None = None
) -> Iterator[str]:
    """One line for each figure that is missing, not known, or off by more than `TOLERANCE`.

    A metric of `folder` that another package adds may be missing: the record was made without that package.
    """
    own = registry.own(folder) if folder else computed.keys()
    for name in sorted(stored.keys() ^ computed.keys()):
        if name in stored or name in own:
            what = "does not follow from the stored values" if name in stored else "is missing"
            yield f"{place}.{store.one_line(name, 60)} {what}; run again to make the record anew"
    for name in sorted(stored.keys() & computed.keys()):
        for part in ("value", "low", "high"):
            said, found = getattr(stored[name], part), getattr(computed[name], part)
            if not abs(said - found) <= TOLERANCE:
                yield (
                    f"{place}.{store.one_line(name, 60)}: {part} says {said:.6f}, the stored values give {found:.6f} "
                    f"({said - found:+.6f})"
                )
        if not statistics.same_draws(stored[name], computed[name]):
            yield f"{place}.{store.one_line(name, 60)}: its draws are not those of the bootstrap; run it again"
