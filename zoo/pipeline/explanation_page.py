"""The picture of a user's own explained images: why this class, why not the next, and how far each class is.

Lengths are inches, text sizes are points.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.pipeline.page import GREY, INK, PALE, Page, fit, width

if TYPE_CHECKING:
    from zoo.pipeline.explanation_of import OwnImage

_MARGIN, _GAP, _CELL, _SUPPORT, _SHOWN, _BAR, _LABEL = 0.3, 0.16, 1.9, 0.92, 5, 1.3, 1.25
_TOP, _HEAD, _FOOT, _BETWEEN = 0.95, 0.44, 0.62, 0.3
_BLUE, _VERMILION = "#0072b2", "#d55e00"  # of the Okabe-Ito palette, told apart with every common colour blindness


def draw(images: Sequence["OwnImage"], title: str, path: Path, subtitle: str) -> Path:
    """Write the images as one PNG, a row each, and return its path. Raises ZooError where it cannot be written."""
    classes = max(len(one.dissimilarity) for one in images)
    step = min(0.22, max(0.14, _CELL / classes))
    row = _HEAD + max(_CELL, step * classes)
    shown = max(min(len(one.supports), _SHOWN) for one in images)
    supports = _MARGIN + 3 * (_CELL + _GAP) + 0.1
    bars = supports + max(shown * (_SUPPORT + 0.08), 2.2) + 0.2 + _LABEL
    page = Page(bars + _BAR + 0.85, _TOP + len(images) * (row + _BETWEEN) + _FOOT)
    page.text(_MARGIN, 0.36, fit(title, page.width - 2 * _MARGIN, 15, True), 15, bold=True)
    page.text(_MARGIN, 0.64, fit(subtitle, page.width - 2 * _MARGIN, 9.5), 9.5, GREY)
    scale = _scale(images)
    for number, one in enumerate(images):
        top = _TOP + number * (row + _BETWEEN)
        page.box(_MARGIN, top - 0.14, page.width - 2 * _MARGIN, 0, "none", PALE)
        _maps(page, one, top)
        _supports(page, one, supports, top)
        _bars(page, one, bars, top, step, scale)
    _footer(page, page.height - 0.36)
    page.write(path)
    return path


def _maps(page: Page, one: "OwnImage", top: float) -> None:
    """The image, and what speaks for the first and for the second class."""
    first, second, *_ = one.ranked
    columns = (
        ("your image", one.file.name, INK, None),
        (f"why {first}?", "what speaks for it", _BLUE, one.saliency),
        (f"why not {second}?", "what speaks for the runner-up", _VERMILION, one.next_saliency),
    )
    for number, (name, line, colour, saliency) in enumerate(columns):
        x = _MARGIN + number * (_CELL + _GAP)
        page.text(x, top + 0.08, fit(name, _CELL, 10, True), 10, colour, bold=True)
        page.text(x, top + 0.27, fit(line, _CELL, 8), 8, GREY)
        page.cell(x, top + _HEAD, _CELL, one.image, saliency)


def _supports(page: Page, one: "OwnImage", x: float, top: float) -> None:
    """The supports of the predicted class, the most alike first, with their similarity."""
    count = len(one.supports)
    order = np.argsort(one.likeness)[::-1][:_SHOWN]
    many = f"the {_SHOWN} most alike of {count}" if count > _SHOWN else f"{count}, the most alike first"
    page.text(x, top + 0.08, fit(f"supports of {one.ranked[0]}", 3, 10, True), 10, bold=True)
    lit = "; lit where they resemble the image" if one.support_saliency is not None else ""
    page.text(x, top + 0.27, many + lit, 8, GREY)
    for place, number in enumerate(order):
        left = x + place * (_SUPPORT + 0.08)
        saliency = None if one.support_saliency is None else one.support_saliency[number]
        page.cell(left, top + _HEAD, _SUPPORT, one.supports[number], saliency)
        below = top + _HEAD + _SUPPORT + 0.13
        page.text(left, below, f"similarity {one.likeness[number]:.3f}", 7.5)
        page.text(left, below + 0.15, fit(one.support_files[number].name, _SUPPORT, 7), 7, GREY)


def _scale(images: Sequence["OwnImage"]) -> tuple[float, float]:
    """One range of dissimilarities for all rows, zero included."""
    values = np.array([value for one in images for value in one.dissimilarity.values()], np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=0)), float(finite.max(initial=0))


def _bars(page: Page, one: "OwnImage", x: float, top: float, step: float, scale: tuple[float, float]) -> None:
    """The dissimilarity to each class, the nearest on top."""
    low, high = scale
    page.text(x - _LABEL, top + 0.08, "dissimilarity", 10, bold=True)
    page.text(x - _LABEL, top + 0.27, "to each class; lower is more alike", 8, GREY)

    def place(value: float) -> float:
        return x + _BAR * (min(max(value, low), high) - low) / ((high - low) or 1)

    for number, name in enumerate(one.ranked):
        value, y = one.dissimilarity[name], top + _HEAD + (number + 0.5) * step
        colour = (_BLUE, _VERMILION)[number] if number < 2 else PALE
        zero, end = place(0), place(value)
        page.box(min(zero, end), y - 0.36 * step, abs(end - zero), 0.72 * step, colour)
        page.text(x - 0.08, y, fit(name, _LABEL - 0.1, 8, number == 0), 8, INK, number == 0, "right")
        page.text(max(zero, end) + 0.06, y, _number(value, max(-low, high)), 8, INK if number < 2 else GREY)
    page.box(place(0), top + _HEAD, 0, step * len(one.ranked), "none", GREY)


def _number(value: float, largest: float) -> str:
    text = f"{value:.1e}" if largest >= 1e5 or 0 < largest < 1e-3 else f"{value:.{3 if largest < 10 else 1}f}"
    return text.replace("-", "\u2212")


def _footer(page: Page, y: float) -> None:
    """What the colours mean."""
    page.box(_MARGIN, y - 0.22, page.width - 2 * _MARGIN, 0, "none", PALE)
    page.text(_MARGIN, y, "saliency", 8, bold=True)
    start = _MARGIN + 0.62
    page.text(start, y, "0", 8)
    page.colour_bar(start + 0.12, y - 0.065, 1.4, 0.13)
    page.text(start + 1.58, y, "1", 8)
    words = "each map from its own lowest to its own highest value; the line is at 0.5"
    page.text(start + 1.78, y, words, 8, GREY)
    x = start + 1.78 + width(words, 8) + 0.4
    for colour, name in ((_BLUE, "nearest class"), (_VERMILION, "runner-up")):
        page.box(x, y - 0.06, 0.22, 0.12, colour)
        page.text(x + 0.28, y, name, 8, GREY)
        x += 0.5 + width(name, 8)
