"""The Markdown page of one benchmark of cells."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from zoo.board.cells import columns, figures, paired, rows
from zoo.board.cells.rows import MAIN, Board, Row
from zoo.board.markdown import escape, table
from zoo.board.published import Reported
from zoo.board.rows import named
from zoo.cell_record import CellRecord
from zoo.record import Figure

_NOTES = """\
True and found cells of a field are paired by the Hungarian assignment on the IoU of their masks (of their boxes where \
there are none); from 0.5 on they are the same cell. *Cell accuracy* counts a missed cell and a spurious one as one \
mistake each; *field accuracy* is whether the largest found cell has the class of the field's largest true one, \
wherever it is; *AP 0.5* is COCO's, on boxes. *Jaccard* and *Dice* are means over true and spurious cells, 0 for what \
is missed or spurious. *N:C NMSE* is the sum of squared errors of N/(N+C) over the sum of its squares, a missed cell \
found as 0; *of variance* divides by the squares around the mean instead; *N/C NMSE* is of N/C. *Within-class \
accuracy* is the accuracy of an attribute inside each class in which it varies. All figures are in per cent but the \
NMSE, where lower is better. Papers' figures are *reported* and never ranked among ours."""
_COVERS = """\
Intervals are 95 %, of {resamples} resamples of the groups of fields (duplicates drawn together) with a fixed seed. \
{seeds} **Variation between patients is covered only where the groups are patients; most datasets carry no patient \
ids.** *Floors* are told where the cells are: `majority` says the commonest class, the mean N:C and the commonest \
words of the training fields, `class` is told the true class as well."""
_RANKS = """\
*Rank* is by {main}; 1-3: no paired test over the same fields, corrected after Holm for all pairs of this table, tells \
the row from the first, the second and the third."""

_RANKING = ("nc_nmse", "attribute_accuracy")
"""By which the rows of the later tables are ranked."""
_RANKED = [f"Ranks here are by {' and by '.join(map(columns.label, _RANKING))}.", ""]

Cell = Callable[[str], str]


def page(
    name: str, boards: Sequence[tuple[Board, bool]], papers: Sequence[Reported], records_at: str, file: str
) -> str:
    """All boards of a benchmark, each with whether it is stale; `file` is the same as a table."""
    lines = [
        f"# {escape(name)}",
        "",
        f"[All benchmarks](README.md). The same as a table: [{file}]({file}).",
        "",
        _NOTES,
    ]
    for board, stale in boards:
        lines += ["", f"## {heading(board)}{' (stale)' if stale else ''}", "", *_provenance(board, stale), ""]
        lines += _tables(board, rows.rows(board), papers, records_at)
    return "\n".join(lines).rstrip() + "\n"


def heading(board: Board) -> str:
    """The fields of a board."""
    record = board.first
    part = f"subset {escape(record.subset)}" if record.subset else "whole"
    folds = max(record.folds) + 1
    divided = f"{folds} folds" if folds > 1 else "one test split"
    return f"{escape(record.dataset)}, {part}{', synthetic fields' if record.synthetic else ''}: {divided}"


def names(found: Sequence[Row]) -> list[str]:
    """Of each row the model's name, with the settings that tell it from the other rows of that model."""
    keys = rows.tellings(one.first for one in found)
    told = [named(one.first.model_settings, keys[one.first.model]) for one in found]
    return [f"`{one.first.model}`" + (f" {escape(t)}" if t else "") for one, t in zip(found, told, strict=True)]


def beside(row: Row, papers: Sequence[Reported]) -> str:
    """Where the figures that a paper gives lie beside it; a dash where it gives none of them."""
    for reported in papers:
        said = [(name, value, row.figure(name)) for name, value in reported.row.figures.items()]
        standing = [f"{columns.label(name)} {columns.standing(name, one, value)}" for name, value, one in said if one]
        if standing:
            return ", ".join(standing) + ("" if same_setting(row.first, reported) else " (another set-up)")
    return "-"


def same_setting(record: CellRecord, reported: Reported) -> bool:
    """Whether a record has the paper's model, backbone and fields (all of them, real)."""
    row = reported.row
    same = (record.model, record.backbone, record.dataset) == (row.method, row.backbone, reported.paper.dataset)
    return same and record.subset is None and not record.synthetic


def _tables(board: Board, found: list[Row], papers: Sequence[Reported], records_at: str) -> list[str]:
    record, labels = board.first, names(found)
    known = figures.metrics().keys() & {name for one in found for seed in one.seeds for name in seed.figures}
    ranks = paired.ranks(found, MAIN)
    places = _shown(columns.PLACES, known)
    head = ["rank", "model", "backbone", "training seeds", *map(columns.title, places)]
    lines = [
        [rank, label, _backbone(one.first), _seeds(one), *(columns.shown(name, one.figure(name)) for name in places),
         "measured", beside(one, papers), _links(one, records_at)]
        for rank, label, one in zip(ranks, labels, found, strict=True)
    ]  # fmt: skip
    lines += [
        ["-", label, "-", "-", *map(cell, places), "*floor*", "-", "-"] for label, cell in _floors(record, places)
    ]
    lines += [
        ["-", escape(one.row.title), escape(one.row.backbone_title), "-", *(_reported(one, name) for name in places),
         "*reported*", escape(f"{one.paper.authors} {one.paper.year}, {one.paper.identifier}"), "-"]
        for one in papers
    ]  # fmt: skip
    text = ["### Classes and places", "", *table([*head, "source", "beside the paper", "records"], lines), ""]
    text += [_covered(found), "", _RANKS.format(main=columns.title(MAIN)), ""]
    for title, wanted in (("Masks and N:C", columns.MASKS), ("Attributes", columns.ATTRIBUTES)):
        if wanted := _shown(wanted, known):
            text += [f"### {title}", "", *_plain(wanted, labels, found, record, papers), ""]
    text += _RANKED if known & {"nc_nmse", "attribute_accuracy"} else []
    if others := columns.other(known):
        text += ["### Other figures", "", *_plain(others, labels, found, record, papers), ""]
    for metric in ("attribute_accuracy", "attribute_within_class_accuracy"):
        text += _each_attribute(metric, labels, found, record)
    text += _differences(labels, found)
    text += ["### Each fold", "", *_folds(labels, found), ""] if len(record.constants) > 1 else []
    return [*text, "### Cost and origin", "", *_cost(labels, found), ""]


def _shown(wanted: Iterable[str], known: set[str]) -> tuple[str, ...]:
    return tuple(name for name in wanted if name in known)


def _floors(record: CellRecord, wanted: Sequence[str]) -> list[tuple[str, Cell]]:
    """(label, what it scores in a metric) of each floor that has one of these metrics."""
    return [
        (f"`{escape(floor)}`", lambda name, of=found: columns.shown(name, of.get(name)))
        for floor, found in record.floors.items()
        if found.keys() & set(wanted)
    ]


def _plain(
    wanted: Sequence[str], labels: Sequence[str], found: Sequence[Row], record: CellRecord, papers: Sequence[Reported]
) -> list[str]:
    """With the rank by the table's own figure, where it has one."""
    by = next((name for name in _RANKING if name in wanted), None)
    ranks = paired.ranks(found, by) if by else ["-"] * len(found)
    lines = [
        [rank, label, *(columns.shown(name, one.figure(name)) for name in wanted), "measured"]
        for rank, label, one in zip(ranks, labels, found, strict=True)
    ]
    lines += [["-", label, *map(cell, wanted), "*floor*"] for label, cell in _floors(record, wanted)]
    for one in papers:
        if any(name in one.row.figures for name in wanted):
            lines.append(["-", escape(one.row.title), *(_reported(one, name) for name in wanted), "*reported*"])
    return table(["rank", "model", *map(columns.title, wanted), "source"], lines)


def _each_attribute(metric: str, labels: Sequence[str], found: Sequence[Row], record: CellRecord) -> list[str]:
    wanted = [a.name for a in record.attributes if any(one.values(metric, a.name) for one in found)]
    if not wanted:
        return []
    lines = [
        [label, *(columns.shown(metric, one.figure(metric, name)) for name in wanted), "measured"]
        for label, one in zip(labels, found, strict=True)
    ]
    for floor, of in record.attribute_floors.items():
        said: list[Figure | None] = [of.get(name, {}).get(metric) for name in wanted]
        if any(said):
            lines.append([f"`{escape(floor)}`", *(columns.shown(metric, one) for one in said), "*floor*"])
    head = ["model", *map(escape, wanted), "source"]
    return [f"### Each attribute: {columns.title(metric)}", "", *table(head, lines), ""]


def _differences(labels: Sequence[str], found: Sequence[Row]) -> list[str]:
    """Every row less the first, in what the paper gives."""
    if len(found) < 2:
        return []
    lines, wanted = [], [name for name in columns.FRONT if found[0].values(name)]
    for label, one in zip(labels[1:], found[1:], strict=True):
        parts = {part.metric: part.difference for part in paired.of_rows(one, found[0], wanted)}
        told = {name: f"{columns.apart(name, part.figure)}, p {part.p:.3f}" for name, part in parts.items()}
        lines.append([label, *(told.get(name, "-") for name in wanted)])
    head = ["model", *map(columns.label, wanted)]
    said = f"Paired over the same fields: the row less {labels[0]}, with 95 % intervals; p without correction."
    return ["### Differences", "", said, "", *table(head, lines), ""]


def _folds(labels: Sequence[str], found: Sequence[Row]) -> list[str]:
    count = max(found[0].first.folds) + 1
    lines = [
        [label, str(seed.seed), columns.label(name), *(columns.alone(name, value) for value in seed.fold_figures[name])]
        for label, one in zip(labels, found, strict=True)
        for seed in one.seeds
        for name in columns.FRONT
        if len(seed.fold_figures.get(name, ())) == count
    ]
    return table(["model", "seed", "figure", *(f"fold {fold}" for fold in range(count))], lines)


def _cost(labels: Sequence[str], found: Sequence[Row]) -> list[str]:
    made = [(label, seed) for label, one in zip(labels, found, strict=True) for seed in one.seeds]
    stages = list(dict.fromkeys(chain.from_iterable(seed.provenance.seconds for _, seed in made)))
    head = ["model", "seed", "labels seen", *(f"{escape(stage)}, s" for stage in stages), "peak memory, MB", "device"]
    lines = []
    for label, seed in made:
        origin = seed.provenance
        spent = [f"{origin.seconds[stage]:.1f}" if stage in origin.seconds else "-" for stage in stages]
        device = escape(f"{origin.device}, {origin.precision}, {origin.threads} threads")
        hashes = [
            f"`{escape(digest[:12])}`" if digest else "-" for digest in (origin.trained_sha256, origin.code_sha256)
        ]
        lines.append([
            label, str(seed.seed), str(seed.labels_seen), *spent, f"{origin.peak_memory_mb:.0f}", device, *hashes,
            escape(origin.command), escape(origin.created[:10]),
        ])  # fmt: skip
    return table([*head, "trained", "code", "command", "made"], lines)


def _provenance(board: Board, stale: bool) -> list[str]:
    record, made = board.first, board.first.provenance
    cells = figures.table(record)
    hashes = {"fields": made.item_set_sha256, "folds": made.bank_sha256, "benchmark": made.benchmark_sha256}
    said = ", ".join(f"{what} `{escape(digest[:12])}`" for what, digest in hashes.items())
    count = (
        f"{len(record.fields)} fields of {record.width} x {record.height} pixels in {len(set(record.groups))} groups"
    )
    lines = [f"{count}, {int(cells.real.sum())} cells of {len(record.classes)} classes; {said}."]
    if stale:
        lines.append("**Stale: the benchmark's file has changed since.**")
    if record.synthetic:
        lines.append("**The fields are drawn by a program; nothing here says how a model does on real ones.**")
    if record.subset:
        lines.append(f"**Only the subset {escape(record.subset)} of the dataset's fields was there.**")
    return lines


def _covered(found: Sequence[Row]) -> str:
    several = any(len(one.seeds) > 1 for one in found)
    seeds = "Where a row has several training seeds they are covered too." if several else "Training seeds are not."
    return _COVERS.format(resamples="1,000", seeds=seeds)


def _backbone(record: CellRecord) -> str:
    weights = record.provenance.weights_sha256
    start = f"weights `{escape(weights[:8])}`" if weights else "random weights"
    return f"`{record.backbone}`, {start}"


def _seeds(row: Row) -> str:
    values = [columns.alone(MAIN, value) for value in row.values(MAIN).values()]
    return f"{len(values)}: {' '.join(values)}" if len(values) > 1 else str(len(row.seeds))


def _links(row: Row, records_at: str) -> str:
    return " ".join(f"[{number}]({records_at}/{one.key})" for number, one in enumerate(row.seeds, start=1))


def _reported(reported: Reported, name: str) -> str:
    return columns.alone(name, reported.row.figures.get(name))
