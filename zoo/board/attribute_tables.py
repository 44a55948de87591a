"""The tables of attributes: at the end of a run, and on a board."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape as plain
from rich.table import Table
from rich.text import Text

from zoo.attributes import HEMAX
from zoo.board.accuracy import backbone_cell, method_cell
from zoo.board.attributes import MEANS
from zoo.board.markdown import escape, percent, table
from zoo.board.rows import Board, tellings
from zoo.board.store import one_line
from zoo.record import Attributes, Figure

HEADER = (
    "attribute", "accuracy", "macro F1", "within class", "permuted heads", "commonest word", "word of the class",
    "the same within class", "class changes", "by permuted heads",
)  # fmt: skip
_COLUMNS = (
    "heads.accuracy", "heads.macro_f1", "heads.within_class_accuracy", "permuted.accuracy", "majority.accuracy",
    "class.accuracy", "class.within_class_accuracy", "heads.changed", "permuted.changed",
)  # fmt: skip
_NAMES = {"mean": "mean", "hemax": "mean of HemaX's five"}
_NOTE = (
    "Heads on the method's backbone, fitted on the attributes of the training items, asked of every test item whose "
    "attribute is known; in per cent, with 95 % intervals over the images. *Within class*: accuracy inside each class "
    "in which the attribute varies, mean over these classes. Floors: *permuted heads* were fitted on attributes dealt "
    "at random, *commonest word* is that of training, *word of the class* that of the true class, which is what the "
    "class alone gives away. *Class changes*: how often the class that follows from the words alone changes when this "
    "one is set to its likeliest other word; where several attributes say the same, none of them decides alone. "
    "Classes of which all attributes are undefined cannot be told apart by words."
)


def show(found: Attributes) -> RenderableType:
    """For a terminal."""
    lines = Table(*HEADER[:1])
    for title in HEADER[1:]:
        lines.add_column(title, justify="right")
    for name, *cells in _rows(found):
        lines.add_row(plain(one_line(name)), *cells)
    return Group(Text(f"attributes told by heads on the backbone, fitted on {found.trained_on} items"), lines,
                 Text(_class(found)))  # fmt: skip


def section(board: Board) -> list[str]:
    """Lines of a board from the heading on; none where no record tells attributes."""
    keys, lines = tellings(board.records), []
    for record in board.records:
        if record.explanations and (found := record.explanations.attributes):
            row = f"{method_cell(record, keys)} on {backbone_cell(record)}, seed {record.seed}"
            lines += [f"{row}: {_class(found)}", ""]
            lines += [*table(list(HEADER), [[escape(name), *cells] for name, *cells in _rows(found)]), ""]
    return ["### Attributes", "", _NOTE, "", *lines] if lines else []


def _rows(found: Attributes) -> Iterator[list[str]]:
    five = [name for name in found.words if name in HEMAX]
    means = [name for name in MEANS if name == "mean" or len(five) < len(found.words)]
    for name in (*found.words, *means):
        figures = [found.figures.get(f"{column}.{name}") for column in _COLUMNS]
        if any(figures):
            yield [_NAMES.get(name, name.replace("_", " ")), *map(_cell, figures)]


def _class(found: Attributes) -> str:
    own, floor = found.figures.get("heads.class"), found.figures.get("permuted.class")
    if own is None or floor is None:
        return "the attributes were learned of other classes than those tested"
    return f"class from the attributes alone {percent(own)}, from permuted ones {percent(floor)}"


def _cell(figure: Figure | None) -> str:
    return percent(figure) if figure else "-"
