"""The accuracy tables of a board: the ranking, the accuracy of each class, and what the rows cost."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zoo.board import paired, published
from zoo.board.markdown import escape, percent, table
from zoo.board.paired import Ties
from zoo.board.published import Reported
from zoo.board.rows import MAIN, Board, Row, apart, named, tellings
from zoo.record import Figure, Record

FIGURES = (MAIN, "accuracy", "macro_f1")
STAGES = ("train", "embed", "evaluate", "explain")


class Ranking(NamedTuple):
    """Rows of one kind with their ranks: what the tables, the files and the site of a board all show."""

    kind: str
    """inductive or transductive"""
    rows: list[Row]
    """The best first"""
    ranks: list[str]
    """"1", or "1-3" where no test tells a row from its neighbours; "-" of a row without the figure"""
    ties: Ties | None


def rankings(found: Sequence[Row]) -> list[Ranking]:
    """The rows of a board, each kind ranked by itself."""
    return [Ranking(kind, part, *paired.ranked(part)) for kind, part in apart(found)]


def ranking(ranked: Ranking, reported: Sequence[Reported], records_at: str) -> list[str]:
    """Lines of the table of measured rows, best first, and below them what papers report."""
    header = [
        "rank", "method", "backbone", "labels seen", "mean class accuracy", "accuracy", "macro F1",
        "worst / median / best draw", "training seeds", "source", "beside the paper", "records",
    ]  # fmt: skip
    names = method_cells(ranked.rows)
    measured = [
        [rank, name, *_measured(row, reported, records_at)]
        for rank, name, row in zip(ranked.ranks, names, ranked.rows, strict=True)
    ]
    return table(header, [*measured, *map(_reported, reported)])


def by_class(board: Board, found: Sequence[Row], reported: Sequence[Reported]) -> list[str]:
    """Lines of the table of class accuracies, with the paper's row last and our standing beside it."""
    figures = [{name: row.class_figure(name) for name in board.first.classes} for row in found]
    classes = [name for name in board.first.classes if any(figure[name] for figure in figures)]
    paper = published.main_row(reported, classes)
    said = paper.row.class_accuracy if paper else {}
    lines = [
        [name, backbone_cell(row.first), *(_class_cell(own[one], said.get(one)) for one in classes)]
        for name, row, own in zip(method_cells(found), found, figures, strict=True)
    ]
    if paper:
        cells = (_said(published.uncertain(paper.row, name, of_class=True)) for name in classes)
        lines.append([f"{escape(paper.row.title)} (*reported*)", escape(paper.row.backbone_title), *cells])
    return table(["method", "backbone", *map(escape, classes)], lines)


def cost(found: Sequence[Row]) -> list[str]:
    """Lines of the table of what each row has cost."""
    header = ["method", "backbone", "labels seen", *(f"{stage}, s" for stage in STAGES), "peak memory, MB", "device"]
    lines = []
    for name, row in zip(method_cells(found), found, strict=True):
        spent, made = seconds(row), row.first.provenance
        cells = ["-" if spent[stage] is None else f"{spent[stage]:.1f}" for stage in STAGES]
        if row.first.weights_trained:
            cells[STAGES.index("train")] = "before"
        memory, device = f"{peak_memory(row):.0f}", escape(f"{made.device}, {made.precision}")
        lines.append([name, backbone_cell(row.first), str(row.first.labels_seen), *cells, memory, device])
    return table(header, lines)


def seconds(row: Row) -> dict[str, float | None]:
    """Seconds of each stage, the largest of the records that have it, as the others may have found it in the cache;
    None where none has."""
    spent = [record.provenance.seconds for record in row.records]
    return {stage: max((one[stage] for one in spent if stage in one), default=None) for stage in STAGES}


def peak_memory(row: Row) -> float:
    """Largest peak memory of the row's records, in MB."""
    return max(record.provenance.peak_memory_mb for record in row.records)


def method_cells(found: Sequence[Row]) -> list[str]:
    """Of each row the method's name, with the settings that tell it from the other rows of that method."""
    keys = tellings(row.first for row in found)
    return [method_cell(row.first, keys) for row in found]


def method_cell(record: Record, keys: Mapping[str, set[str]]) -> str:
    """The method's name, with those of its settings that are among the keys (method -> settings)."""
    settings = named(record.method_settings, keys[record.method])
    return f"`{record.method}`" + (f" {escape(settings)}" if settings else "")


def backbone_cell(record: Record) -> str:
    """The backbone's name, the hash of its starting weights, and the side of its images."""
    weights = record.provenance.weights_sha256
    start = f"weights `{escape(weights[:8])}`" if weights else "random weights"
    return f"`{record.backbone}`, {start}, {record.image_size} px"


def standing(row: Row, figure: Figure | None, reported: Sequence[Reported]) -> tuple[str, str]:
    """Source of the row, and where its mean class accuracy lies beside the paper's."""
    for paper in reported:
        if not figure or MAIN not in paper.row.figures:
            continue
        beside = published.verdict(figure, paper.row.figures[MAIN])
        if not published.same_setting(row.first, paper):
            return "measured", f"{beside} (another set-up)"
        return "reproduced" if beside != "below" else "not reproduced", beside
    return "measured", "-"


def _said(figure: Figure | None) -> str:
    """A paper's figure, with its interval where it has one."""
    return percent(figure) if figure is None or figure.low < figure.high else f"{100 * figure.value:.2f}"


def _class_cell(figure: Figure | None, said: float | None) -> str:
    return percent(figure) + (f" {published.verdict(figure, said)}" if figure and said is not None else "")


def _measured(row: Row, reported: Sequence[Reported], records_at: str) -> list[str]:
    seeds = [f"{100 * value:.2f}" for value in row.values(MAIN).values()]
    figures = [row.figure(name) for name in FIGURES]
    return [
        backbone_cell(row.first),
        str(row.first.labels_seen),
        *map(percent, figures),
        " / ".join(f"{100 * value:.2f}" for value in row.spread()),
        f"{len(seeds)}: {' '.join(seeds)}" if len(seeds) > 1 else "1",
        *standing(row, figures[0], reported),
        " ".join(f"[{number}]({records_at}/{record.key})" for number, record in enumerate(row.records, start=1)),
    ]


def _reported(reported: Reported) -> list[str]:
    paper, row = reported
    return [
        "-",
        escape(row.title),
        escape(row.backbone_title),
        "-" if row.labels_seen is None else str(row.labels_seen),
        *(_said(published.uncertain(row, name)) for name in FIGURES),
        *["-"] * 2,
        "*reported*",
        escape(f"{paper.authors} {paper.year}, {paper.identifier}"),
        "-",
    ]
