"""What rows are called in plots, and what names become in paths."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from zoo.board import rows
from zoo.record import Record

if TYPE_CHECKING:
    from zoo.board.site.view import Entry

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def slug(name: str) -> str:
    """A name as part of a file name or an attribute: itself where it is harmless, else its hash."""
    return name if _SAFE.fullmatch(name) else "x" + hashlib.sha256(name.encode()).hexdigest()[:11]


def distinguish(entries: Sequence["Entry"]) -> None:
    """Names that tell the rows of one method apart: settings first, then whatever else differs."""
    for group in grouped(entries, lambda entry: [entry.first.method]).values():
        settings = rows.differing(entry.first.method_settings for entry in group)
        beside = sorted(rows.differing(_beside(entry.first) for entry in group))
        for entry in group:
            own, others = entry.first.method_settings, _beside(entry.first)
            entry.settings = rows.named(own, settings)
            said = [entry.settings, *(str(others[key]) for key in beside)]
            entry.name = ", ".join([entry.first.method, *filter(None, said)])
    backbones = Counter(entry.first.backbone for entry in entries)
    if len(backbones) > 1:
        for entry in entries:
            if entry.first.backbone not in entry.name:
                entry.name += f", {entry.first.backbone}"


def _beside(record: Record) -> dict[str, Any]:
    weights = record.provenance.weights_sha256
    return {
        "backbone": record.backbone,
        "weights": f"weights {weights[:8]}" if weights else "random weights",
        "side": f"{record.image_size} px",
        "labels": f"{record.labels_seen} labels",
    }


def grouped(things: Iterable[Any], keys: Callable[[Any], list[Any]]) -> dict[Any, list[Any]]:
    """Things by each of their keys, in the order in which the keys first come."""
    groups: dict[Any, list[Any]] = {}
    for thing in things:
        for key in keys(thing):
            groups.setdefault(key, []).append(thing)
    return groups
