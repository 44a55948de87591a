"""What no record may hold, whatever its figures: the part of a stranger's file that cannot be computed again."""

import datetime
import json
import math
import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from zoo.board.store import one_line
from zoo.errors import ZooError
from zoo.record import NAME, Provenance, Record

LONGEST = 2000
"""Characters of a text; only the packed predictions are longer."""
LARGEST = 10**15
"""Greatest number, either side of 0: sums of squares stay finite, and no page is flooded with digits."""
_HASHES = ("benchmark_sha256", "item_set_sha256", "bank_sha256", "weights_sha256", "trained_sha256", "code_sha256")
_MAY_BE_EMPTY = ("weights_sha256", "trained_sha256")


def no_repeats(path: Path) -> None:
    """ZooError where a field stands twice: what a reader sees first would not be what is taken."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ZooError(f"{path}: the field {one_line(key, 60)} stands twice; run again to make the record anew")
            found[key] = value
        return found

    json.loads(path.read_bytes(), object_pairs_hook=once)


def problems(record: Record) -> Iterator[str]:
    """One line for each text, number, name or hash that a run never writes."""
    yield from of_values(record.model_dump(), ("predictions.query", "predictions.predicted"))
    for place, settings in _settings(record):
        yield from of_settings(place, settings)
    explained = record.explanations.items if record.explanations else ()
    yield from of_names("predictions.items", (*record.predictions.items, *explained))
    yield from of_dataset(record.dataset, record.subset, record.provenance)
    for name in record.explanations.rows if record.explanations else ():
        if not re.fullmatch(NAME, name):
            yield f"explanations.rows: {one_line(name, 40)} is no name of an explainer"
    if len(set(record.classes)) != len(record.classes):
        yield "classes: one is named twice"
    counts = {"labels_seen": record.labels_seen, "seed": record.seed, "image_size": record.image_size - 1}
    yield from of_provenance(record.provenance, counts)


def of_values(content: dict[str, Any], packed: Collection[str]) -> Iterator[str]:
    """Texts and numbers that a run never writes; those at the places `packed` may have any length."""
    for place, value in _leaves("", content):
        if isinstance(value, str) and place not in packed:
            draws = place.endswith(".draws") and len(value) < 50_000 and re.fullmatch("[A-Za-z0-9+/=]*", value)
            if len(value) > LONGEST and not draws:
                yield f"{place}: {len(value)} characters are too many, {LONGEST} are allowed"
            elif not value.isprintable():
                yield f"{place}: holds control characters: {one_line(ascii(value), 60)}"
        elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= LARGEST):
            yield f"{place}: {one_line(f'{value:.3g}')} is not a number that a run gives"


def of_settings(place: str, settings: dict[str, Any]) -> Iterator[str]:
    """Settings that are no plain values."""
    for key, value in settings.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(part, dict | list | tuple) for part in parts):
            yield f"{place}.{one_line(key, 40)}: is no plain value"


def of_names(place: str, names: Iterable[str]) -> Iterator[str]:
    """Names of items that would leave the dataset's folder."""
    for item in names:
        parts = item.replace("\\", "/").split("/")
        if ".." in parts or "" in parts or ":" in parts[0]:
            yield f"{place}: {one_line(item, 60)} is not a path inside the dataset"


def of_dataset(dataset: str, subset: str | None, made: Provenance) -> Iterator[str]:
    """Texts that a spreadsheet would compute."""
    for place, text in (("dataset", dataset), ("subset", subset), ("device", made.device)):
        if text and text[0] in "=+-@":
            yield f"{place}: {one_line(text, 40)} would be a formula in a table"


def _settings(record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "method_settings", record.method_settings
    for name, row in record.explanations.rows.items() if record.explanations else ():
        yield f"explanations.{one_line(name, 40)}.settings", row.settings


def of_provenance(made: Provenance, counts: dict[str, int]) -> Iterator[str]:
    """Hashes, command and time that are none, and counts or costs below 0."""
    for name in _HASHES:
        value = getattr(made, name)
        if not re.fullmatch("[0-9a-f]{64}", value) and not (name in _MAY_BE_EMPTY and value == ""):
            yield f"provenance.{name}: {one_line(value, 20)!r} is no SHA-256"
    try:
        # people paste it into a shell: nothing in it may be more than a word of it
        words = shlex.split(made.command)
        plain = words[:2] == ["zoo", "run"] and shlex.join(words) == made.command
    except ValueError:
        plain = False
    if not plain:
        yield f"provenance.command: {one_line(made.command, 60)} is not a plain `zoo run` command line"
    try:
        datetime.datetime.fromisoformat(made.created)
    except ValueError:
        yield f"provenance.created: {one_line(made.created, 40)} is no time"
    for name, value in (*counts.items(), ("peak_memory_mb", made.peak_memory_mb), *made.seconds.items()):
        if value < 0:
            yield f"{one_line(name, 40)}: {value:g} is too small"


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every text and number, the keys of free tables among them, with where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{place}.{one_line(str(key), 40)}".lstrip(".")
            yield here, key
            yield from _leaves(here, inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(f"{place}.{number}", inner)
    else:
        yield place, value
