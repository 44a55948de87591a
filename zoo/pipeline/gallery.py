"""The picture at the end of a run: queries, where the explainer looks, and how far each class is.

It follows the idea of the Siamese-CAM figure of Tummala & Suresh (2023): the query, its saliency, the supports that it
was compared with, and its dissimilarity to every class. Lengths are inches, text sizes are points.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.pipeline.page import GREY, INK, PALE, Page, fit, width, wrap

_MARGIN, _GAP, _TEXT, _QUERY, _SUPPORT, _SHOWN, _BAR = 0.3, 0.28, 1.7, 1.5, 1.0, 5, 1.35
_LEFT, _APART, _RULE = _MARGIN + 0.18, 0.26, "#e3e6ea"
_BLUE, _VERMILION = "#0072b2", "#d55e00"  # of the Okabe-Ito palette, told apart with every common colour blindness


@dataclass(frozen=True)
class Case:
    """One explained query."""

    name: str
    image: np.ndarray
    """(H, W, 3) uint8."""
    saliency: np.ndarray
    """(H, W) float, finite, any range."""
    truth: str
    predicted: str
    dissimilarity: dict[str, float]
    """class -> distance, lower is more alike: minus the method's score."""
    supports: np.ndarray
    """(shot, H, W, 3) uint8, of the predicted class."""
    support_saliency: np.ndarray | None
    """(shot, H, W) float: where each support resembles the query. None where the explainer gives none."""
    support_names: list[str]
    words: str = ""
    """What its attributes are said to be; empty where nobody was asked."""

    @property
    def right(self) -> bool:
        """Whether the predicted class is the true one."""
        return self.predicted == self.truth


def choose_cases(
    correct: Sequence[bool],
    confidence: Sequence[float],
    right: int = 4,
    wrong: int = 4,
    labels: Sequence[Hashable] | None = None,
) -> list[int]:
    """Which explained queries to show: at most `right` right ones, then at most `wrong` wrong ones.

    Right ones are typical (confidence nearest the median of the right ones), wrong ones are the most confident.
    With `labels` (the true class of each query) every class has its turn before one is shown again. Equal ones come
    in the order of the queries.
    """

    def spread(ranked: list[int], count: int) -> list[int]:
        seen: Counter[Hashable] = Counter()
        turn = {}
        for index in ranked:
            label = labels[index] if labels is not None else index
            turn[index] = seen[label]
            seen[label] += 1
        return sorted(ranked, key=turn.__getitem__)[:count]

    hits = [index for index, hit in enumerate(correct) if hit]
    misses = [index for index, hit in enumerate(correct) if not hit]
    middle = float(np.median([confidence[index] for index in hits])) if hits else 0.0
    typical = sorted(hits, key=lambda index: abs(confidence[index] - middle))
    bold = sorted(misses, key=lambda index: -confidence[index])
    return spread(typical, right) + spread(bold, wrong)


def draw(cases: Sequence[Case], title: str, path: Path, subtitle: str = "") -> Path:
    """Write the cases as one PNG, a row a case, right ones first, and return its path.

    The same cases give the same bytes. At most five supports of a case are shown. Raises ZooError where there is no
    case, or the file cannot be written.
    """
    if not cases:
        raise ZooError("no case to draw in the gallery: explain at least one query")
    rows = sorted(cases, key=lambda case: not case.right)
    plan = _Plan(rows)
    lines = wrap(subtitle, plan.width - 2 * _MARGIN, 9.5)
    headers = 0.82 + 0.19 * len(lines)
    first = headers + 0.6
    page = Page(plan.width, first + len(rows) * (plan.row + plan.words + _APART) + 0.6)
    page.text(_MARGIN, 0.38, fit(title, plan.width - 2 * _MARGIN, 15, True), 15, bold=True)
    for number, line in enumerate(lines):
        page.text(_MARGIN, 0.68 + 0.19 * number, line, 9.5, GREY)
    _headers(page, plan, headers)
    for number, case in enumerate(rows):
        _row(page, plan, case, first + number * (plan.row + plan.words + _APART))
    _footer(page, plan, page.height - 0.36)
    page.write(path)
    return path


class _Plan:
    """Where the columns stand and how the bars are scaled, from what the rows hold."""

    def __init__(self, rows: Sequence[Case]) -> None:
        shown = max(min(len(case.supports), _SHOWN) for case in rows)
        classes = max(len(case.dissimilarity) for case in rows)
        values = np.array([value for case in rows for value in case.dissimilarity.values()], dtype=np.float64)
        finite = values[np.isfinite(values)]
        # one scale for all rows, so that near and far mean the same everywhere; it always includes zero
        self.low, self.high = float(finite.min(initial=0)), float(finite.max(initial=0))
        largest = max(-self.low, self.high)
        digits = 2 - math.floor(math.log10(largest)) if largest > 0 else 2
        self.format = f".{min(max(digits, 0), 3)}f" if -2 <= digits <= 4 else ".1e"
        self.explained = any(case.support_saliency is not None for case in rows)
        self.step = min(0.2, max(0.13, _QUERY / classes))
        self.row = max(_QUERY, self.step * classes)
        self.words = 0.2 if any(case.words for case in rows) else 0.0
        self.label = min(1.35, max(width(fit(name, 1.35, 8, True), 8, True) for c in rows for name in c.dissimilarity))
        self.query = _LEFT + _TEXT + 0.12
        self.saliency = self.query + _QUERY + 0.1
        self.supports = self.saliency + _QUERY + _GAP
        self.room = max(shown * (_SUPPORT + 0.1) - 0.1, 2.1)
        self.labels = self.supports + self.room + _GAP
        self.bars = self.labels + self.label + 0.08
        tail = max(width(f"{self.number(value)}  predicted, true", 8) for value in values)
        self.width = self.bars + _BAR + 0.06 + tail + _MARGIN

    def number(self, value: float) -> str:
        """A dissimilarity as text."""
        if math.isinf(value):
            return "\u221e" if value > 0 else "\u2212\u221e"
        return format(value, self.format).replace("-", "\u2212")

    def place(self, value: float) -> float:
        """Where a dissimilarity lies across the page; an infinite one at the end of the scale."""
        part = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1)
        return self.bars + _BAR * part


def _headers(page: Page, plan: _Plan, y: float) -> None:
    """The names of the columns."""
    for x, name, *lines in (
        (_LEFT, "Case"),
        (plan.query, "Query"),
        (plan.saliency, "Saliency", "over the query"),
        (plan.supports, "Supports", "of the predicted class", "lit where they resemble the query" * plan.explained),
        (plan.labels, "Dissimilarity", "of the query to each class,", "lower is more alike"),
    ):
        page.text(x, y, name, 10, bold=True)
        for number, line in enumerate(lines):
            page.text(x, y + 0.17 + 0.14 * number, line, 8, GREY)


def _footer(page: Page, plan: _Plan, y: float) -> None:
    """What the colours mean."""
    page.box(_MARGIN, y - 0.22, plan.width - 2 * _MARGIN, 0, "none", PALE)
    page.text(_MARGIN, y, "Saliency", 8, bold=True)
    page.text(_MARGIN + 0.66, y, "0", 8)
    page.colour_bar(_MARGIN + 0.78, y - 0.065, 1.4, 0.13)
    page.text(_MARGIN + 2.26, y, "1", 8)
    page.text(_MARGIN + 2.46, y, "each image scaled to its own 0 to 1; the line is at 0.5", 8, GREY)
    x = plan.supports + 1.6
    for fill, words in ((_BLUE, "true class"), (_VERMILION, "class predicted wrongly"), (PALE, "other classes")):
        page.box(x, y - 0.06, 0.22, 0.12, fill)
        page.text(x + 0.28, y, words, 8, GREY)
        x += 0.5 + width(words, 8)


def _row(page: Page, plan: _Plan, case: Case, top: float) -> None:
    """One case."""
    middle = top + plan.row / 2
    colour = _BLUE if case.right else _VERMILION
    page.box(_MARGIN, top - _APART / 2, plan.width - 2 * _MARGIN, 0, "none", _RULE)
    page.box(_MARGIN, top, 0.07, plan.row + plan.words, colour)
    if case.words:
        room = plan.width - plan.query - _MARGIN
        page.text(plan.query, top + plan.row + 0.12, fit(case.words, room, 8.5), 8.5)
    page.text(_LEFT, middle - 0.42, "\u2713 right" if case.right else "\u2717 wrong", 12, colour, bold=True)
    for y, word, name in ((-0.13, "predicted ", case.predicted), (0.07, "true ", case.truth)):
        start = width(word, 8)
        page.text(_LEFT, middle + y, word, 8, GREY)
        page.text(_LEFT + start, middle + y, fit(name, _TEXT - start, 8.5, True), 8.5, bold=True)
    page.text(_LEFT, middle + 0.33, fit(case.name, _TEXT, 7.5), 7.5, GREY)
    page.cell(plan.query, middle - _QUERY / 2, _QUERY, case.image, None)
    page.cell(plan.saliency, middle - _QUERY / 2, _QUERY, case.image, case.saliency)
    _supports(page, plan, case, middle - _SUPPORT / 2)
    _bars(page, plan, case, middle)


def _supports(page: Page, plan: _Plan, case: Case, top: float) -> None:
    """The first supports with their names."""
    count = len(case.supports)
    many = f": first {_SHOWN} of {count} supports" if count > _SHOWN else f": {count} support{'s' * (count != 1)}"
    page.text(plan.supports, top - 0.12, fit(case.predicted, plan.room - width(many, 8), 8) + many, 8)
    maps = [None] * count if case.support_saliency is None else case.support_saliency
    for number, (image, saliency, name) in enumerate(zip(case.supports, maps, case.support_names, strict=True)):
        if number == _SHOWN:
            break
        x = plan.supports + number * (_SUPPORT + 0.1)
        page.cell(x, top, _SUPPORT, image, saliency)
        page.text(x, top + _SUPPORT + 0.11, fit(name.rsplit("/", 1)[-1], _SUPPORT, 7), 7, GREY)


def _bars(page: Page, plan: _Plan, case: Case, middle: float) -> None:
    """The dissimilarity to each class, the nearest on top."""
    ranked = sorted(case.dissimilarity.items(), key=lambda entry: entry[1])
    zero, top = plan.place(0), middle - plan.step * len(ranked) / 2
    size = 8 if plan.step > 0.14 else 7.5
    for number, (name, value) in enumerate(ranked):
        y, end = top + (number + 0.5) * plan.step, plan.place(value)
        roles = [role for role, its in (("predicted", case.predicted), ("true", case.truth)) if its == name]
        colour = _BLUE if name == case.truth else _VERMILION if roles else PALE
        ink = INK if roles else GREY
        page.box(min(zero, end), y - 0.35 * plan.step, abs(end - zero), 0.7 * plan.step, colour)
        label = fit(name, plan.label, size, bool(roles))
        page.text(plan.bars - 0.08, y, label, size, ink, bool(roles), "right")
        page.text(max(zero, end) + 0.06, y, f"{plan.number(value)}  {', '.join(roles)}", size, ink)
    page.box(zero, top, 0, plan.step * len(ranked), "none", GREY)
