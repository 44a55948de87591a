"""Records of an older schema written again as today's, every figure made anew from the raw values they store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from zoo import registry
from zoo.board import statistics, store
from zoo.record import SCHEMA, ExplanationRow, Record


def upgrade(root: Path) -> list[Path]:
    """Rewrite every record below `root` that is of an older schema, or whose figures have no draws."""
    written = []
    for path in store.files(root):
        record = store.read(path)
        whole = all(figure.draws for figure in (*record.figures.values(), *record.class_accuracy.values()))
        if not whole or from_json(path.read_bytes())["schema_version"] != SCHEMA:
            store.write_text(path, store.dumps(renewed(record)))
            written.append(path)
    return written


def renewed(record: Record) -> Record:
    """The record with every figure, interval and draw made anew from its raw values."""
    figures, by_class = statistics.figures(record.predictions, record.classes, record.bank)
    changes: dict[str, Any] = {"figures": figures, "class_accuracy": by_class}
    if found := record.explanations:
        groups = statistics.clusters(found.items, record.predictions)
        random = found.rows["random"].values if "random" in found.rows else None
        rows = {
            name: _renewed(row, None if name == "random" else random, groups) for name, row in found.rows.items()
        }
        changes["explanations"] = found.model_copy(update={"rows": rows})
    return record.model_copy(update=changes)


def _renewed(row: ExplanationRow, random: Mapping[str, list[float]] | None, groups: np.ndarray) -> ExplanationRow:
    better = {name: bool(registry.declared("metrics/explanation", name, "higher_is_better")) for name in row.values}
    figures, against = statistics.explanation_figures(row.values, random, better, groups)
    return row.model_copy(update={"figures": figures, "against_random": against})
