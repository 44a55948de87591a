"""Each board as CSV and JSON, for spreadsheets and programs: the figures of the Markdown, as fractions in 0..1."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from zoo.board import reliability
from zoo.board.accuracy import FIGURES, Ranking, peak_memory, seconds
from zoo.board.explained import FLOORS, Block
from zoo.board.rows import Board, Row
from zoo.board.store import one_line
from zoo.record import Figure

_DIGITS = 6


class Sheet(NamedTuple):
    """A board with all that its tables show."""

    board: Board
    rows: list[Row]
    """All rows, the best first"""
    rankings: list[Ranking]
    blocks: list[Block]
    stale: bool
    """Whether the protocol file has changed since"""


def files(name: str, sheets: Sequence[Sheet]) -> dict[str, str]:
    """File name -> content of the boards of one benchmark."""
    rows = [line for sheet in sheets for ranked in sheet.rankings for line in _rows(sheet, ranked)]
    explained = [line for sheet in sheets for block in sheet.blocks for line in _explained(sheet, block)]
    found = {f"{name}.csv": csv(rows)}
    if explained:
        found[f"{name}.explanations.csv"] = csv(explained)
    if reliable := [line for sheet in sheets for block in sheet.blocks for line in _reliable(sheet, block)]:
        found[f"{name}.reliability.csv"] = csv(reliable)
    return found | {f"{name}.json": _json({"benchmark": name, "rows": rows, "explanations": explained})}


def names(benchmark: str) -> list[str]:
    """Every file that `files` may make."""
    return [f"{benchmark}{end}" for end in (".csv", ".explanations.csv", ".reliability.csv", ".json")]


def _about(sheet: Sheet) -> dict[str, Any]:
    """What tells boards of one benchmark apart: rows with another bank or item set must not be ranked together."""
    record, made = sheet.board.first, sheet.board.first.provenance
    return {
        "benchmark": record.benchmark, "dataset": record.dataset, "subset": record.subset or "",
        "synthetic": record.synthetic, "bank": record.bank.kind, "way": record.bank.way, "shot": record.bank.shot,
        "episodes": len(record.predictions.lengths), "item_set_sha256": made.item_set_sha256,
        "bank_sha256": made.bank_sha256, "benchmark_sha256": made.benchmark_sha256, "stale": sheet.stale,
    }  # fmt: skip


def _rows(sheet: Sheet, ranked: Ranking) -> list[dict[str, Any]]:
    about, lines = _about(sheet), []
    for rank, row in zip(ranked.ranks, ranked.rows, strict=True):
        record, spread = row.first, row.spread()
        line = about | {
            "kind": ranked.kind, **rank_columns("", rank), "method": record.method,
            "settings": json.dumps(record.method_settings, sort_keys=True), "backbone": record.backbone,
            "weights_sha256": record.provenance.weights_sha256, "image_size": record.image_size,
            "labels_seen": record.labels_seen, "training_seeds": " ".join(str(one.seed) for one in row.seeds),
        }  # fmt: skip
        for name in FIGURES:
            line |= figure_columns(name, row.figure(name))
        line |= {f"{part}_draw": value for part, value in spread._asdict().items()}
        for name in sheet.board.first.classes:
            line |= figure_columns(f"class {name}", row.class_figure(name))
        line |= {f"{stage}_seconds": spent for stage, spent in seconds(row).items()}
        lines.append(line | {"peak_memory_mb": peak_memory(row), "device": record.provenance.device})
    return lines


def _classifier(sheet: Sheet, block: Block) -> dict[str, Any]:
    record = block.record
    return _about(sheet) | {
        "method": record.method, "settings": json.dumps(record.method_settings, sort_keys=True),
        "backbone": record.backbone, "seed": record.seed, "explained": len(block.groups),
    }  # fmt: skip


def _explained(sheet: Sheet, block: Block) -> list[dict[str, Any]]:
    about, lines = _classifier(sheet, block), []
    for number, (name, row) in enumerate(block.rows):
        line = about | {"explainer": name, "explainer_settings": json.dumps(row.settings, sort_keys=True)}
        line["floor"] = row.floor
        for metric in block.metrics:
            line |= figure_columns(metric, row.figures.get(metric))
            line |= rank_columns(f"{metric}_", block.rank(metric, number))
            for floor in FLOORS:
                line |= figure_columns(f"{metric}_beside_{floor}", block.beside(metric, number, floor))
        lines.append(line | {"seconds": row.seconds})
    return lines


def _reliable(sheet: Sheet, block: Block) -> list[dict[str, Any]]:
    """A line for each metric on two halves of the images, and for each pair of metrics."""
    if (said := reliability.agreement(block)) is None:
        return []
    about = _classifier(sheet, block)
    alone = {(name, "the other half"): half for name, half in zip(said.metrics, said.halves, strict=True)}
    return [
        about | {"metric": one, "beside": other} | figure_columns("tau", figure)
        for (one, other), figure in (alone | said.pairs).items()
    ]


def rank_columns(prefix: str, rank: str) -> dict[str, int | None]:
    """A rank in two columns, as a spreadsheet would take 1-3 for a date."""
    first, _, last = rank.partition("-")
    return {f"{prefix}rank_first": int(first) if first else None, f"{prefix}rank_last": int(last or first or 0) or None}


def figure_columns(name: str, figure: Figure | None) -> dict[str, float | None]:
    """A figure and both ends of its interval."""
    parts = (None,) * 3 if figure is None else (figure.value, figure.low, figure.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), parts, strict=True))


def csv(rows: Sequence[dict[str, Any]]) -> str:
    """A table with one line a row."""
    frame = pd.DataFrame(rows).rename(columns=_cell)
    for name in frame.select_dtypes(exclude=["number", "bool"]).columns:
        frame[name] = frame[name].map(_cell)
    return frame.to_csv(index=False, float_format=f"%.{_DIGITS}f", lineterminator="\n")


def _cell(value: Any) -> Any:
    """Text on one line that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    plain = value if value.isprintable() else one_line(value, 1000)
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@") and plain != "-" else plain


def _json(content: dict[str, Any]) -> str:
    """With one line a row, so that two boards can be compared line by line."""
    parts = []
    for key, value in _rounded(content).items():
        lines = value if isinstance(value, list) else ()
        rows = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in lines)
        parts.append(f"{json.dumps(key)}: " + (f"[\n{rows}\n]" if rows else json.dumps(value)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value
