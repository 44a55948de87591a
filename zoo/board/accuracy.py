"""The accuracy tables of a board: the ranking, and the accuracy of each class."""

from collections.abc import Sequence

from zoo.board import published
from zoo.board.markdown import escape, percent, table
from zoo.board.published import Reported
from zoo.board.rows import Board, Row, telling
from zoo.record import Record

FIGURES = ("mean_class_accuracy", "accuracy", "macro_f1")


def ranking(found: Sequence[Row], reported: Sequence[Reported], records_at: str) -> list[str]:
    """Lines of the table of measured rows, best first, and below them what papers report."""
    header = [
        "#", "method", "backbone", "labels seen", "mean class accuracy", "accuracy", "macro F1",
        "worst / median / best draw", "training seeds", "kind", "training minutes", "source", "beside the paper",
        "records",
    ]
    measured = [_measured(place, row, found, reported, records_at) for place, row in enumerate(found, start=1)]
    return table(header, [*measured, *map(_reported, reported)])


def by_class(board: Board, found: Sequence[Row], reported: Sequence[Reported]) -> list[str]:
    """Lines of the table of class accuracies, with the paper's row last and our standing beside it."""
    classes = [name for name in board.first.classes if any(row.class_figure(name) for row in found)]
    paper = published.main_row(reported, classes)
    said = paper.row.class_accuracy if paper else {}
    lines = [
        [method_cell(row, found), backbone_cell(row.first), *(_class_cell(row, name, said) for name in classes)]
        for row in found
    ]
    if paper:
        cells = (f"{100 * said[name]:.2f}" if name in said else "-" for name in classes)
        lines.append([f"{escape(paper.row.title)} (*reported*)", escape(paper.row.backbone_title), *cells])
    return table(["method", "backbone", *map(escape, classes)], lines)


def method_cell(row: Row, alike: Sequence[Row]) -> str:
    """The method's name, with the settings that tell it from the other rows of that method."""
    record = row.first
    others = [other.first for other in alike if other.first.method == record.method]
    settings = telling(record.method_settings, (other.method_settings for other in others))
    return f"`{record.method}`" + (f" {escape(settings)}" if settings else "")


def backbone_cell(record: Record) -> str:
    """The backbone's name, the hash of its starting weights, and the side of its images."""
    weights = record.provenance.weights_sha256
    start = f"weights `{escape(weights[:8])}`" if weights else "random weights"
    return f"`{record.backbone}`, {start}, {record.image_size} px"


def _class_cell(row: Row, name: str, said: dict[str, float]) -> str:
    figure = row.class_figure(name)
    return percent(figure) + (f" {published.verdict(figure, said[name])}" if figure and name in said else "")


def _measured(
    place: int, row: Row, found: Sequence[Row], reported: Sequence[Reported], records_at: str
) -> list[str]:
    values = (record.figures.get("mean_class_accuracy") for record in row.seeds)
    seeds = " ".join(f"{100 * value.value:.2f}" for value in values if value)
    source, beside = _standing(row, reported)
    return [
        str(place),
        method_cell(row, found),
        backbone_cell(row.first),
        str(row.first.labels_seen),
        *(percent(row.figure(name)) for name in FIGURES),
        " / ".join(f"{100 * value:.2f}" for value in row.spread()),
        f"{len(row.seeds)}: {seeds}" if len(row.seeds) > 1 else "1",
        "transductive" if row.first.transductive else "inductive",
        _minutes(row),
        source,
        beside,
        " ".join(f"[{number}]({records_at}/{record.key})" for number, record in enumerate(row.records, start=1)),
    ]


def _reported(reported: Reported) -> list[str]:
    paper, row = reported
    values = [row.figures.get(name) for name in FIGURES]
    return [
        "-",
        escape(row.title),
        escape(row.backbone_title),
        "-" if row.labels_seen is None else str(row.labels_seen),
        *("-" if value is None else f"{100 * value:.2f}" for value in values),
        *["-"] * 4,
        "*reported*",
        escape(f"{paper.authors} {paper.year}, {paper.identifier}"),
        "-",
    ]


def _standing(row: Row, reported: Sequence[Reported]) -> tuple[str, str]:
    """Source of the row, and where its mean class accuracy lies beside the paper's."""
    figure = row.figure("mean_class_accuracy")
    for paper in reported:
        if not figure or "mean_class_accuracy" not in paper.row.figures:
            continue
        beside = published.verdict(figure, paper.row.figures["mean_class_accuracy"])
        if not published.same_setting(row.first, paper):
            return "measured", f"{beside} (another set-up)"
        return "reproduced" if beside != "below" else "not reproduced", beside
    return "measured", "-"


def _minutes(row: Row) -> str:
    """Minutes of training, averaged over the seeds; a dash where nothing was trained."""
    seconds = [record.provenance.seconds.get("train", 0) for record in row.seeds]
    return f"{sum(seconds) / len(seconds) / 60:.1f}" if any(seconds) else "-"
