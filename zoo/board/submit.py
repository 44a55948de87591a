"""Take records into the leaderboard: only valid ones whose every figure follows from the raw values they store."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zoo import registry
from zoo.board import statistics, store
from zoo.errors import ZooError, unknown
from zoo.record import ExplanationRow, Figure, Record

TOLERANCE = 1e-6


def submit(records: Sequence[Path], root: Path, benchmarks: Mapping[str, str]) -> list[Path]:
    """Check record files and copy them below `root` (`leaderboard/records`), all of them or none.

    `benchmarks` maps the name of each benchmark to the SHA-256 of its protocol as it is today. Raises ZooError
    naming the file where a record is broken, its benchmark has changed, or a figure does not follow from its values.
    """
    accepted = []
    for path in records:
        record = store.read(path)
        for problem in problems(record, benchmarks):
            raise ZooError(f"{path}: {problem}")
        accepted.append(record)
    return [store.write(record, root) for record in accepted]


def benchmark_hashes(protocols: Path) -> dict[str, str]:
    """Name -> SHA-256 of the bytes of each protocol file."""
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(protocols.glob("*.toml"))}


def problems(record: Record, benchmarks: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a record, one line each; nothing for a good one."""
    try:
        yield from _benchmark_problems(record, benchmarks)
        whole, by_class = statistics.figures(record.predictions, record.classes, record.bank)
        yield from _differences("figures", record.figures, whole)
        yield from _differences("class_accuracy", record.class_accuracy, by_class)
        yield from _explanation_problems(record)
    except ZooError as error:
        yield str(error)


def _benchmark_problems(record: Record, benchmarks: Mapping[str, str]) -> Iterator[str]:
    if record.benchmark not in benchmarks:
        yield str(unknown("benchmark", record.benchmark, benchmarks, "zoo list benchmarks"))
    elif benchmarks[record.benchmark] != record.provenance.benchmark_sha256:
        yield f"benchmark {record.benchmark} has changed since this record was made; run it again"


def _explanation_problems(record: Record) -> Iterator[str]:
    if record.explanations is None:
        return
    rows, explained = record.explanations.rows, len(record.explanations.items)
    if len(record.explanations.correct) != explained:
        yield f"explanations: {explained} items but {len(record.explanations.correct)} entries in correct"
    if not set(record.explanations.items) <= set(record.predictions.items):
        yield "explanations: an explained item is not among the predictions"
    for name, row in rows.items():
        place = f"explanations.{store.one_line(name)}"
        lengths = {len(values) for values in row.values.values()}
        if lengths != {explained}:
            yield f"{place}: each metric needs {explained} values, one an explained item"
            return
        yield from _row_problems(place, row, None if name == "random" else rows.get("random"))


def _row_problems(place: str, row: ExplanationRow, random: ExplanationRow | None) -> Iterator[str]:
    better = {
        metric: bool(registry.declared("metrics/explanation", metric, "higher_is_better")) for metric in row.values
    }
    figures, against = statistics.explanation_figures(row.values, random.values if random else None, better)
    yield from _differences(f"{place}.figures", row.figures, figures)
    yield from _differences(f"{place}.against_random", row.against_random, against)


def _differences(place: str, stored: Mapping[str, Figure], computed: Mapping[str, Figure]) -> Iterator[str]:
    """One line for each figure that is missing, not known, or off by more than `TOLERANCE`."""
    for name in sorted(stored.keys() ^ computed.keys()):
        what = "is missing" if name in computed else "does not follow from the stored values"
        yield f"{place}.{store.one_line(name)} {what}; run again to make the record anew"
    for name in sorted(stored.keys() & computed.keys()):
        for part in ("value", "low", "high"):
            said, found = getattr(stored[name], part), getattr(computed[name], part)
            if not abs(said - found) <= TOLERANCE:
                yield (
                    f"{place}.{store.one_line(name)}: {part} says {said:.6f}, the stored values give {found:.6f} "
                    f"({said - found:+.6f})"
                )
