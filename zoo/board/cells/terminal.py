"""The table at the end of a run of a cell model."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo.board.cells import columns, page, rows
from zoo.board.published import Published, Reported
from zoo.board.store import one_line
from zoo.cell_record import CellRecord
from zoo.record import Figure

_COLOURS = {"better": "green", "within": "yellow", "worse": "red"}
_HEADS = {"majority": "majority\nfloor", "class": "told the\nclass"}


def show(record: CellRecord, papers: Published) -> RenderableType:
    """Every figure beside the floors and the paper's row, each attribute, and the cost."""
    paper = next(iter(papers.for_benchmark(record.benchmark)), None)
    parts: list[RenderableType] = [Text(one_line(_title(record))), _figures(record, paper), _summary(record, paper)]
    if record.attribute_figures and rows.tells(record, "attribute_accuracy"):
        parts += [Text(), _attributes(record)]
    return Group(*parts, Text(), _cost(record))


def _figures(record: CellRecord, paper: Reported | None) -> Table:
    floors = {floor: found for floor, found in record.floors.items() if found}
    table = _table("figure", ("% or number (95 %)", *(_HEADS[floor] for floor in floors)))
    if paper:
        table.add_column("paper", justify="right", no_wrap=True)
    for names in (columns.PLACES, columns.MASKS, columns.ATTRIBUTES, columns.other(set(record.figures))):
        table.add_section()
        for name in (name for name in names if name in record.figures and rows.tells(record, name)):
            of_floors = (_alone(name, found.get(name)) for found in floors.values())
            cells = (columns.label(name), columns.shown(name, record.figures[name]), *of_floors)
            table.add_row(*map(_plain, cells), *_beside(record, paper, name))
    return table


def _beside(record: CellRecord, paper: Reported | None, name: str) -> tuple[Text, ...]:
    if paper is None:
        return ()
    said = paper.row.figures.get(name)
    if said is None:
        return (Text("-"),)
    standing = columns.standing(name, record.figures[name], said)
    return (Text.assemble(columns.alone(name, said), " ", (standing, _COLOURS[standing])),)


def _attributes(record: CellRecord) -> Table:
    """Each attribute's accuracy and its accuracy inside the classes, beside what the class alone gives."""
    whole, within = "attribute_accuracy", "attribute_within_class_accuracy"
    of_class = record.attribute_floors.get("class", {})
    table = _table("attribute", ("accuracy %\n(95 %)", _HEADS["class"], "within class %\n(95 %)", _HEADS["class"]))
    for name, found in record.attribute_figures.items():
        floor = of_class.get(name, {})
        cells = [
            cell
            for metric in (whole, within)
            for cell in (columns.shown(metric, found.get(metric)), _alone(metric, floor.get(metric)))
        ]
        table.add_row(*map(_plain, (name, *cells)))
    return table


def _title(record: CellRecord) -> str:
    fields = record.dataset + (f", subset {record.subset}" if record.subset else "")
    return f"{record.model} on {record.benchmark}: {fields}{', synthetic fields' if record.synthetic else ''}"


def _summary(record: CellRecord, paper: Reported | None) -> Text:
    folds = f"{len(record.constants)} folds" if len(record.constants) > 1 else "one test split"
    size = f"{record.width} x {record.height} pixels"
    lines = [
        f"{len(record.fields)} fields of {size}, {folds}, {record.backbone}, {record.labels_seen} labelled cells seen",
    ]
    if paper:
        setting = "the same set-up" if page.same_setting(record, paper) else "another set-up"
        source = f"{paper.paper.authors} {paper.paper.year}, {paper.paper.dataset}"
        lines.append(f"paper: {paper.row.title}, {paper.row.backbone_title} ({source}); {setting}")
    return Text("\n".join(one_line(line, 300) for line in lines))


def _cost(record: CellRecord) -> Text:
    made = record.provenance
    stages = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in made.seconds.items())
    cost = f"{sum(made.seconds.values()):.1f} s ({stages}); peak memory {made.peak_memory_mb:.0f} MB"
    return Text(one_line(f"{cost}, {made.device}, {made.precision}", 300))


def _alone(name: str, figure: Figure | None) -> str:
    return columns.alone(name, figure and figure.value)


def _table(first: str, numbers: tuple[str, ...]) -> Table:
    table = Table()
    table.add_column(first, min_width=12, overflow="fold")  # names go on in the next line, numbers stay whole
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _plain(text: str) -> Text:
    """Text from a file: neither markup nor control characters reach the terminal."""
    return Text(one_line(text))
