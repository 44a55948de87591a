"""A comparison of two rows as the terminal shows it."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zoo.board import store
from zoo.board.compare import Comparison, Part
from zoo.board.explained import higher_is_better
from zoo.board.markdown import difference, percent
from zoo.record import Figure


def show(found: Comparison) -> RenderableType:
    """The comparison for a terminal."""
    metric = _plain(found.metric.replace("_", " "))
    table = Table("in per cent")
    for column in ("A", "B", "A less B (95 %)", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row(metric, *_cells(found.whole, found.whole.difference.p), style="bold")
    for part in found.classes:
        table.add_row(_plain(part.name), *_cells(part, part.holm))
    figures = (found.whole.a, found.whole.b)
    lines = [f"{side}  {title}: {_percent(one)}" for side, title, one in zip("AB", found.titles, figures, strict=True)]
    parts: list[RenderableType] = [Text(store.one_line(line, 300)) for line in lines]
    parts.append(table)
    if found.apart:
        apart = Table(f"{found.unit} where they differ most", "A", "B", "difference")
        for one in found.apart:
            values = (f"{100 * value:.2f}" for value in (one.a, one.b))
            apart.add_row(_plain(one.name), *values, f"{100 * (one.a - one.b):+.2f}")
        parts.append(apart)
    if found.explained:
        parts.append(_explanations(found.explained))
    said = "↑ higher is better, ↓ lower. " if found.explained else ""
    groups = [name for name, some in (("classes", found.classes), ("explanations", found.explained)) if some]
    apart = ", each group apart" if len(groups) > 1 else ""
    said += f"p of the {' and of the '.join(groups)} is corrected after Holm{apart}. " if groups else ""
    said += f"Such a pair shows a true difference of {100 * found.whole.difference.detectable:.2f} points "
    notes = (*found.notes, f"{said}in {metric} in 80 % of all cases, smaller ones more seldom.")
    parts += [Text(store.one_line(note, 300)) for note in notes]
    return Group(*parts)


def _explanations(found: list[Part]) -> Table:
    table = Table("explanations, in per cent")
    for column in ("A", "B", "A less B (95 %)", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for part in found:
        better = "↑" if higher_is_better(part.name) else "↓"
        table.add_row(_plain(f"{part.name.replace('_', ' ')} {better}"), *_cells(part, part.holm))
    return table


def _cells(part: Part, p: float) -> list[str]:
    found = part.difference
    shown = "< 0.001" if p < 0.001 else f"{p:.3f}"
    values = (f"{100 * figure.value:.2f}" for figure in (part.a, part.b))
    return [*values, difference(found.figure), shown]


def _percent(figure: Figure) -> str:
    return percent(figure) if figure.low < figure.high else f"{100 * figure.value:.2f}"


def _plain(name: str) -> str:
    return escape(store.one_line(name))
