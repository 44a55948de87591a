"""Explainers under one another, a column for each classifier that they explain: their figures with intervals."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from zoo.board.site import svg
from zoo.board.site.plots import WIDTH, short
from zoo.board.site.svg import Scale, element, line, text
from zoo.record import Figure

COLUMNS = 3
"""Classifiers that have room beside one another."""
_LINE = 17
_GAP = 34
"""Between columns, so that the last tick of one and the first of the next stand apart."""


class Mark(NamedTuple):
    """One explainer of one classifier."""

    name: str
    figure: Figure
    floor: bool


class Column(NamedTuple):
    """One classifier, and how much better than the random floor each explainer of it is."""

    name: str
    href: str
    accuracy: Figure
    marks: list[Mark]


def explanations(columns: Sequence[Column], metric: str) -> Markup:
    """Columns are given best first; the first orders the explainers, and all have one scale."""
    shown = columns[:COLUMNS]
    order = sorted(shown[0].marks, key=lambda mark: -mark.figure.value)
    names = list(dict.fromkeys(mark.name for mark in [*order, *(m for column in shown for m in column.marks)]))
    floors = {mark.name for column in shown for mark in column.marks if mark.floor}
    top, left, right = 40, 170, WIDTH - 12
    bottom = top + _LINE * len(names) + 4
    across = (right - left + _GAP) / len(shown)
    values = [0.0, *(v for column in shown for m in column.marks for v in (m.figure.low, m.figure.high))]
    parts = [
        text(left - 12, top + _LINE * number + 15, short(name, 25), "label muted" if name in floors else "label", "end")
        for number, name in enumerate(names)
    ]
    for number, column in enumerate(shown):
        start, end = left + across * number, left + across * (number + 1) - _GAP
        x = Scale(values, start, end, ticks=3 if len(shown) > 1 else 6)
        marks = [
            element("g", element("title", f"{mark.name}: {svg.per_cent_exactly(mark.figure)}"),
                    svg.across(x, mark.figure, top + _LINE * names.index(mark.name) + 11,
                               "floor" if mark.floor else "dot", 3.5))
            for mark in column.marks
        ]  # fmt: skip
        heading = text(start, 14, short(column.name, round((across - _GAP) / 6.6)), "label")
        right_in = text(start, 29, f"right in {svg.per_cent(round(column.accuracy.value, 3))} %", "tick")
        rails = [line(start, y := top + _LINE * n + 11, end, y, "rail") for n in range(len(names))]
        parts += [
            svg.link(column.href, f"{column.name}, right in {svg.per_cent_exactly(column.accuracy)}", heading),
            right_in, *rails, svg.horizontal_axis(x, top, bottom, "", svg.per_cent),
            line(x(0), top, x(0), bottom, "zero"), *marks,
        ]  # fmt: skip
    parts.append(text((left + right) / 2, bottom + 34, f"{metric}: better than random by, points", "axis", "middle"))
    best = "; ".join(
        f"of {column.name} the best is {top_mark.name}, {svg.per_cent_exactly(top_mark.figure)} points better"
        for column in shown
        for top_mark in [max(column.marks, key=lambda mark: mark.figure.value)]
    )
    rest = f" The best {len(shown)} of {len(columns)} classifiers." if len(shown) < len(columns) else ""
    return svg.drawing(
        WIDTH, bottom + 42, f"{metric}: better than random",
        f"{len(names)} explainers; {best}.{rest}", *parts, links=True,
    )  # fmt: skip
