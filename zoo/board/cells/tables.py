"""The boards of cells as Markdown and CSV, and their part of the front page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.board import exports
from zoo.board.cells import columns, page, paired, rows
from zoo.board.cells.rows import MAIN, Board, Row
from zoo.board.markdown import escape, table
from zoo.board.published import Published
from zoo.cell_record import CellRecord
from zoo.record import Figure


def files(
    records: Iterable[CellRecord], papers: Published, mark: str, records_at: str, protocols: Mapping[str, str]
) -> dict[str, str]:
    """File name -> content of the boards of all records. mark: the first line of every Markdown file that we write."""
    boards = rows.boards(records)
    found: dict[str, str] = {}
    for name in dict.fromkeys(board.benchmark for board in boards):
        own = [(board, board.stale(protocols)) for board in boards if board.benchmark == name]
        text = page.page(name, own, papers.for_benchmark(name), records_at, f"{name}.csv")
        found |= {f"{name}.md": f"{mark}\n\n{text}", f"{name}.csv": exports.csv(list(_lines(own)))}
    return found


def index(records: Iterable[CellRecord], papers: Published) -> list[str]:
    """Lines of the front page; none without a record."""
    lines = [_front(board, rows.rows(board), papers) for board in rows.boards(records)]
    head = ["benchmark", "fields", "rows", "best model", "backbone", columns.title(MAIN)]
    head += [*map(columns.label, columns.FRONT), "reported by a paper"]
    said = (
        "Smear fields: white cells found, classified, segmented, measured and described. Figures of the row with the "
    )
    said += f"highest {columns.title(MAIN)}."
    return ["## Cells in fields", "", said, "", *table(head, lines), ""] if lines else []


def _front(board: Board, found: Sequence[Row], papers: Published) -> list[str]:
    best, record = found[0], board.first
    said = [
        f"{columns.label(name)} {columns.alone(name, value)}"
        for one in papers.for_benchmark(record.benchmark)
        for name, value in one.row.figures.items()
        if name in best.first.figures
    ]
    return [
        f"[{escape(record.benchmark)}]({record.benchmark}.md)",
        page.heading(board),
        str(len(found)),
        page.names(found)[0],
        f"`{best.first.backbone}`",
        *(columns.shown(name, best.figure(name)) for name in (MAIN, *columns.FRONT)),
        ", ".join(said) or "-",
    ]


def _lines(boards: Iterable[tuple[Board, bool]]) -> Iterable[dict[str, Any]]:
    """A line of the CSV for each row, and for each floor."""
    for board, stale in boards:
        record, made = board.first, board.first.provenance
        about = {
            "benchmark": record.benchmark, "dataset": record.dataset, "subset": record.subset or "",
            "synthetic": record.synthetic, "fields": len(record.fields), "folds": len(record.constants),
            "item_set_sha256": made.item_set_sha256, "folds_sha256": made.bank_sha256,
            "benchmark_sha256": made.benchmark_sha256, "stale": stale,
        }  # fmt: skip
        found = rows.rows(board)
        every = [*columns.PLACES, *columns.MASKS, *columns.ATTRIBUTES]
        for rank, row in zip(paired.ranks(found, MAIN), found, strict=True):
            one = row.first
            line = about | _rank(rank) | {
                "kind": "measured", "model": one.model, "settings": json.dumps(one.model_settings, sort_keys=True),
                "backbone": one.backbone, "weights_sha256": one.provenance.weights_sha256,
                "training_seeds": " ".join(str(seed.seed) for seed in row.seeds), "labels_seen": str(one.labels_seen),
            }  # fmt: skip
            for name in every:
                line |= exports.figure_columns(name, row.figure(name))
            for attribute in record.attributes:
                for name in columns.ATTRIBUTES:
                    line |= exports.figure_columns(f"{attribute.name} {name}", row.figure(name, attribute.name))
            yield line
        for floor, figures in record.floors.items():
            yield about | {"kind": "floor", "model": floor} | _all(every, figures)


def _rank(rank: str) -> dict[str, str]:
    """In two columns of text, as a column of numbers with gaps would be one of fractions."""
    places = exports.rank_columns("", rank.strip("-"))
    return {name: "" if place is None else str(place) for name, place in places.items()}


def _all(names: Iterable[str], figures: Mapping[str, Figure]) -> dict[str, float | None]:
    return {key: part for name in names for key, part in exports.figure_columns(name, figures.get(name)).items()}
