"""The plots of a board: each is drawn from figures alone, and says in words what it shows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from zoo.board.site import svg
from zoo.board.site.svg import Scale, element, line, text
from zoo.record import Figure

WIDTH = 620
_CELL = 130
_LABELS = 14
"""Points of a scatter plot that are named; the others say their name when pointed at."""
_AROUND = (
    (9, 4, "start"), (-9, 4, "end"), (9, -6, "start"), (-9, -6, "end"), (9, 14, "start"), (-9, 14, "end"),
    (0, -12, "middle"), (0, 22, "middle"), (9, -18, "start"), (9, 27, "start"), (-9, -18, "end"), (-9, 27, "end"),
)  # fmt: skip
"""Where a name may stand beside its mark, the best first: shift right, shift down, which end is there."""
HUES = 7


class Point(NamedTuple):
    """One mark of a scatter plot."""

    name: str
    href: str
    x: Figure
    y: Figure
    class_: str


class Series(NamedTuple):
    """One line of a shot curve."""

    name: str
    href: str
    points: list[tuple[int, Figure]]


class Cells:
    """Dots with their intervals for one column of a table, all on one scale."""

    def __init__(self, scale: Scale, reference: float | None, reference_class: str) -> None:
        self._scale = scale
        marks = [line(scale.start, 9, scale.end, 9, "rail")]
        marks += [line(scale(tick), 6, scale(tick), 12, "rail") for tick in scale.ticks]
        if reference is not None:
            marks.append(line(scale(reference), 0, scale(reference), 18, reference_class))
        self._rail = Markup("").join(marks)

    def __call__(self, figure: Figure | None) -> Markup:
        """The number stands beside the dot in the table, so nothing is read out."""
        if figure is None:
            return Markup("")
        return self._drawing(18, self._rail, svg.across(self._scale, figure, 9, radius=3.5))

    def axis(self) -> Markup:
        """The ticks with their values, for the head of the column."""
        ticks = [text(self._scale(tick), 11, svg.per_cent(tick), "tick", "middle") for tick in self._scale.ticks]
        return self._drawing(14, *ticks)

    def _drawing(self, height: int, *marks: Markup) -> Markup:
        across = _CELL + 32
        return element("svg", *marks, viewBox=f"0 0 {across} {height}", width=across, height=height, class_="cell",
                       aria_hidden="true")  # fmt: skip


def accuracy_cells(figures: Sequence[Figure], paper: float | None) -> Cells:
    """For accuracies, with the paper's figure as an upright line."""
    values = [part for figure in figures for part in (figure.low, figure.high)] + [paper] * (paper is not None)
    return Cells(svg.Accuracies([v for v in values if v is not None] or [0.5], 16, _CELL + 16), paper, "paper-line")


def difference_cells(figures: Sequence[Figure]) -> Cells:
    """For differences, with a line at 0."""
    return Cells(Scale([0.0, *(v for f in figures for v in (f.low, f.high))], 16, _CELL + 16, ticks=4), 0.0, "zero")


def cost(points: Sequence[Point]) -> Markup:
    """Accuracy against compute: a point's x is seconds, its y a fraction. The stairs join what nothing beats."""
    top, bottom, left, right = 34, 330, 46, WIDTH - 24
    x = svg.Durations([p.x.value for p in points], left, right)
    y = svg.Accuracies([v for p in points for v in (p.y.low, p.y.high)], bottom, top)
    front = _front(points)
    stairs = " ".join(
        f"{'M' if n == 0 else 'H'}{x(p.x.value):.1f}" + (f",{y(p.y.value):.1f}" if n == 0 else f"V{y(p.y.value):.1f}")
        for n, p in enumerate(front)
    )
    marks = [svg.link(p.href, _said(p), svg.upright(y, p.y, x(p.x.value), p.class_)) for p in points]
    best = ", ".join(f"{p.name} ({svg.per_cent(round(p.y.value, 4))} in {svg.duration(p.x.value)})" for p in front)
    return svg.drawing(
        WIDTH, 376, "Mean class accuracy against compute", f"Nothing cheaper is more accurate than: {best}.",
        svg.vertical_axis(y, left, right, "mean class accuracy, % (logit)", svg.per_cent),
        svg.horizontal_axis(x, top, bottom, "time to train and to judge the bank (logarithmic)", svg.duration),
        element("path", d=stairs + f"H{right}", class_="front"), *marks,
        _names([(x(p.x.value), y(p.y.value), p.name) for p in _named(points, front)],
               [(x(p.x.value), y(p.y.low), y(p.y.high)) for p in points], left, right, top, bottom),
        links=True,
    )  # fmt: skip


def shots(series: Sequence[Series]) -> Markup:
    """Accuracy by the number of supports a class, one line a row."""
    top, bottom, left, right = 34, 300, 46, WIDTH - 190
    counts = sorted({shot for one in series for shot, _ in one.points})
    places = {shot: left + 24 + (right - left - 40) * n / max(len(counts) - 1, 1) for n, shot in enumerate(counts)}
    y = Scale([v for one in series for _, f in one.points for v in (f.low, f.high)], bottom, top)
    parts = [svg.vertical_axis(y, left, right, "mean class accuracy, %", svg.per_cent)]
    parts += [text(place, bottom + 16, str(shot), "tick", "middle") for shot, place in places.items()]
    parts.append(text((left + right) / 2, bottom + 36, "shots: supports a class", "axis", "middle"))
    ends = _spaced([y(one.points[-1][1].value) for one in series], 15, top, bottom)
    for number, (one, end) in enumerate(zip(series, ends, strict=True)):
        hue, shift = f"hue{number % HUES}", 3 * (number - (len(series) - 1) / 2)
        path = " ".join(
            f"{'L' if n else 'M'}{places[s] + shift:.1f},{y(f.value):.1f}" for n, (s, f) in enumerate(one.points)
        )
        said = ", ".join(f"{shot}-shot {svg.per_cent_exactly(f)}" for shot, f in one.points)
        marks = [svg.upright(y, f, places[s] + shift, hue) for s, f in one.points]
        last = places[one.points[-1][0]] + shift
        leader = line(last + 6, y(one.points[-1][1].value), right + 10, end, "leader")
        name = text(right + 14, end + 4, short(one.name, 24), f"label {hue}")
        curve = element("path", d=path, class_=f"curve {hue}")
        parts.append(leader + svg.link(one.href, f"{one.name}: {said}", curve, *marks, name))
    return svg.drawing(
        WIDTH, 346, "Accuracy by shot",
        "; ".join(f"{one.name} {svg.per_cent(round(one.points[0][1].value, 4))} to "
                  f"{svg.per_cent(round(one.points[-1][1].value, 4))}" for one in series),
        *parts, links=True,
    )  # fmt: skip


def ranks(rows: Sequence[tuple[str, str, float]], tied: np.ndarray, of: int) -> Markup:
    """Demsar's critical-difference diagram: (name, href, mean rank over the draws) of each row, and bars over those
    that no corrected test tells apart; `tied` is (m, m) bool, `of` the number of all rows."""
    order = sorted(range(len(rows)), key=lambda number: rows[number][2])
    groups = _cliques(tied[np.ix_(order, order)])
    names = [short(name, 26) for name, _, _ in rows]
    room = 16 + round(7.2 * max(map(len, names)))
    left, right, axis, half = room, WIDTH - room, 26, (len(rows) + 1) // 2
    low, high = math.floor(rows[order[0]][2]), math.ceil(rows[order[-1]][2])
    ticks = list(range(low, max(high, low + 1) + 1))
    scale = Scale([float(ticks[0]), float(ticks[-1])], left, right, ticks=len(ticks) - 1)
    parts = [line(left, axis, right, axis, "axis-line")]
    every = math.ceil(len(ticks) / 12)
    for tick in ticks[::every]:
        parts += [line(scale(tick), axis - 4, scale(tick), axis, "axis-line"),
                  text(scale(tick), axis - 9, str(tick), "tick", "middle")]  # fmt: skip
    first = axis + 22 + 9 * len(groups)
    for place, number in enumerate(order):
        name, href, rank = rows[number]
        on_left = place < half
        y = first + 19 * (place if on_left else len(rows) - 1 - place)
        x, end = scale(rank), left - 8 if on_left else right + 8
        elbow = element("path", d=f"M{x:.1f},{axis}V{y:.1f}H{end:.1f}", class_="elbow")
        words = text(end + (-5 if on_left else 5), y + 4, names[number], "label", "end" if on_left else "start")
        parts.append(svg.link(href, f"{name}: mean rank {rank:.2f}", elbow, svg.dot(x, axis, "dot", 3), words))
    for number, (start, stop) in enumerate(groups):
        y = axis + 13 + 9 * number
        parts.append(line(scale(rows[order[start]][2]) - 4, y, scale(rows[order[stop]][2]) + 4, y, "tied"))
    named = "; ".join(" = ".join(rows[order[n]][0] for n in range(start, stop + 1)) for start, stop in groups)
    shown = f"The best {len(rows)} of {of} rows. " if len(rows) < of else ""
    listed = ", ".join(f"{rows[number][0]} {rows[number][2]:.2f}" for number in order)
    return svg.drawing(
        WIDTH, first + 19 * half + 4, "Critical-difference diagram",
        f"{shown}Mean rank over the draws, the best first: {listed}. Not told apart: {named or 'none'}.",
        *parts, links=True,
    )  # fmt: skip


def _cliques(tied: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of the longest runs in which every two rows are tied; runs of one are left out."""
    found: list[tuple[int, int]] = []
    for start in range(len(tied)):
        stop = start
        while stop + 1 < len(tied) and tied[start : stop + 1, stop + 1].all():
            stop += 1
        if stop > start and (not found or stop > found[-1][1]):
            found.append((start, stop))
    return found


def _said(point: Point) -> str:
    return f"{point.name}: {svg.per_cent_exactly(point.y)}"


def _front(points: Sequence[Point]) -> list[Point]:
    """Points that no cheaper (or equally cheap) point reaches, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x.value, -p.y.value)):
        if not front or point.y.value > front[-1].y.value:
            front.append(point)
    return front


def _named(points: Sequence[Point], first: Sequence[Point]) -> list[Point]:
    rest = [point for point in points if point not in first]
    return [*first[-_LABELS:], *rest][:_LABELS]


def _names(
    places: Sequence[tuple[float, float, str]], whiskers: Sequence[tuple[float, float, float]],
    left: float, right: float, top: float, bottom: float,
) -> Markup:  # fmt: skip
    """Names beside their marks, each where it covers neither a mark nor another name; else it is left out."""
    taken = [(x - 5, min(low, high, (low + high) / 2 - 5), x + 5, max(low, high, (low + high) / 2 + 5))
             for x, low, high in whiskers]  # fmt: skip
    parts = []
    for x, y, name in places:
        words = short(name, 24)
        long = 6.4 * len(words)
        for dx, dy, anchor in _AROUND:
            start = x + dx - (long if anchor == "end" else long / 2 if anchor == "middle" else 0)
            box = (start, y + dy - 11, start + long, y + dy + 3)
            inside = left <= box[0] and box[2] <= right + 20 and top - 8 <= box[1] and box[3] <= bottom
            if inside and not any(
                box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
            ):
                taken.append(box)
                parts.append(text(x + dx, y + dy, words, "label", anchor))
                break
    return Markup("").join(parts)


def _spaced(places: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Places pushed apart to at least `gap`, in the same order, within the plot where there is room."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    previous = -math.inf
    for number in order:
        moved[number] = previous = max(places[number], previous + gap)
    overflow = max(0.0, previous - bottom)
    return [max(top, place - overflow) if overflow else place for place in moved]


def short(words: str, most: int) -> str:
    """A name in the room that a plot has for it: long ones begin alike and differ at the end, so the middle goes."""
    last = (most - 1) * 2 // 5
    return words if len(words) <= most else words[: most - 1 - last].rstrip() + "…" + words[-last:].lstrip()
