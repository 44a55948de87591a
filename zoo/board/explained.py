"""The explanation table of a board: every explainer of a classifier beside the floors."""

from collections.abc import Iterable, Sequence

from zoo.board.accuracy import backbone_cell
from zoo.board.markdown import difference, escape, percent, table
from zoo.board.rows import Board, by_classifier, telling
from zoo.record import ExplanationRow, Figure, Record, settings_hash

_FIRST = ("deletion", "insertion", "saliency_jaccard", "pointing_game")
_NOTE = (
    "Means over the explained queries with their 95 % intervals, in per cent. Beside them the paired difference to the "
    "`random` floor, positive where the explainer is better (for *deletion* lower is better), in bold where its "
    "interval excludes 0. Explainers are comparable only under the same classifier and seed."
)


def section(board: Board) -> list[str]:
    """Lines from the heading on; none where nothing was explained."""
    groups = by_classifier(board)
    if not groups:
        return []
    merged = [merge(records) for records in groups]
    metrics = metric_order(row for block in merged for _, row in block)
    header = ["method", "backbone", "seed", "explained (of them right)", "explainer"]
    header += [cell for metric in metrics for cell in (escape(metric.replace("_", " ")), "better than random by")]
    lines = []
    for records, block in zip(groups, merged, strict=True):
        alike = [record.method_settings for record in board.records if record.method == records[0].method]
        lines += [[*_classifier(records[0], alike), *_explainer(name, row, block, metrics)] for name, row in block]
    return ["### Explanations", "", _NOTE, "", *table(header, lines), ""]


def merge(records: Iterable[Record]) -> list[tuple[str, ExplanationRow]]:
    """Rows of records of the same classifier, each explainer with the same settings once: explainers, then floors."""
    found: dict[tuple[bool, str, str], ExplanationRow] = {}
    for record in sorted(records, key=lambda record: (record.provenance.created, record.key)):
        for name, row in record.explanations.rows.items() if record.explanations else ():
            found[row.floor, name, settings_hash(row.settings)] = row
    return [(name, found[floor, name, digest]) for floor, name, digest in sorted(found)]


def metric_order(rows: Iterable[ExplanationRow]) -> list[str]:
    """Names of all metrics of the rows, the ones everybody knows first."""
    names = {metric for row in rows for metric in row.figures}
    return [name for name in _FIRST if name in names] + sorted(names - set(_FIRST))


def beats_random(figure: Figure) -> bool:
    """Whether the interval of a difference to the floor excludes 0, on the better side."""
    return figure.low > 0


def _classifier(record: Record, alike: Sequence[dict]) -> list[str]:
    settings, found = telling(record.method_settings, alike), record.explanations
    count = f"{len(found.items)} ({sum(found.correct)})" if found else "-"
    method = f"`{record.method}`" + (f" {escape(settings)}" if settings else "")
    return [method, backbone_cell(record), str(record.seed), count]


def _explainer(
    name: str, row: ExplanationRow, block: Sequence[tuple[str, ExplanationRow]], metrics: Sequence[str]
) -> list[str]:
    settings = telling(row.settings, (other.settings for other_name, other in block if other_name == name))
    cells = [escape(name) + (f" {escape(settings)}" if settings else "") + (" (*floor*)" if row.floor else "")]
    for metric in metrics:
        figure, against = row.figures.get(metric), row.against_random.get(metric)
        cells += [percent(figure), _against(against) if against else "-"]
    return cells


def _against(figure: Figure) -> str:
    text = difference(figure)
    return f"**{text}**" if figure.low > 0 or figure.high < 0 else text
