"""The picture of what hangs on single supports: the query, the support that decided, and the saliency before and after
the worst swap of one support.

Lengths are inches, text sizes are points.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from zoo import ops
from zoo.pipeline.page import GREY, INK, PALE, Page, fit, width, wrap
from zoo.pipeline.support_sensitivity import Sensitivity

_MARGIN, _GAP, _TEXT, _CELL, _SMALL, _NAME = 0.3, 0.3, 2.0, 1.6, 0.76, 1.35
_HEAD, _BELOW, _BETWEEN, _FOOT, _BAR = 0.74, 0.36, 0.28, 0.62, 1.25
_BLUE, _VERMILION, _RULE = "#0072b2", "#d55e00", "#e3e6ea"
_QUERY = _MARGIN + _TEXT + _GAP
_DECISIVE, _REAL = _QUERY + _CELL + 0.12, _QUERY + 2 * _CELL + 0.12 + _GAP
_AFTER = _REAL + _CELL + 0.12
_SWAP = _AFTER + _CELL + _GAP
_ACROSS = _SWAP + _SMALL + 0.1 + _NAME + _MARGIN


def draw(
    rows: Sequence[Sensitivity], pixels: Mapping[str, np.ndarray], title: str, path: Path, subtitle: str
) -> Path:
    """Write the queries as one PNG, a row each, and return its path. `pixels` has the image (H, W, 3) uint8 of every
    item named. Raises ZooError where the file cannot be written."""
    lines = wrap(subtitle, _ACROSS - 2 * _MARGIN, 9.5)
    headers = 0.84 + 0.19 * len(lines)
    row = _CELL + _BELOW + _BETWEEN
    page = Page(_ACROSS, headers + _HEAD + len(rows) * row + _FOOT)
    page.text(_MARGIN, 0.38, fit(title, _ACROSS - 2 * _MARGIN, 15, True), 15, bold=True)
    for number, line in enumerate(lines):
        page.text(_MARGIN, 0.68 + 0.19 * number, line, 9.5, GREY)
    _headers(page, headers)
    for number, one in enumerate(rows):
        top = headers + _HEAD + number * row
        page.box(_MARGIN, top - _BETWEEN / 2, _ACROSS - 2 * _MARGIN, 0, "none", _RULE)
        _words(page, one, top)
        _cells(page, one, pixels, top)
        _swap(page, one, pixels, top)
    _footer(page, page.height - 0.36)
    page.write(path)
    return path


def _headers(page: Page, y: float) -> None:
    """The names of the columns."""
    for x, name, *lines in (
        (_MARGIN, "Case"),
        (_QUERY, "Query"),
        (_DECISIVE, "Deciding support", "without it the predicted", "class is least probable"),
        (_REAL, "Saliency", "with the real supports"),
        (_AFTER, "After the worst swap", "of one support of the", "predicted class"),
        (_SWAP, "The worst swap", "drawn among test images of", "the predicted class"),
    ):
        page.text(x, y, name, 10, bold=True)
        for number, line in enumerate(lines):
            page.text(x, y + 0.17 + 0.14 * number, line, 8, GREY)


def _words(page: Page, one: Sensitivity, top: float) -> None:
    """What the query is called, and the probability with and without the deciding support."""
    page.text(_MARGIN, top + 0.08, fit(one.item, _TEXT, 8.5, True), 8.5, bold=True)
    for y, word, name in ((0.28, "predicted ", one.predicted), (0.45, "true ", one.truth)):
        start = width(word, 8)
        page.text(_MARGIN, top + y, word, 8, GREY)
        page.text(_MARGIN + start, top + y, fit(name, _TEXT - start, 8), 8)
    page.text(_MARGIN, top + 0.75, fit(f"probability of {one.predicted}", _TEXT, 8), 8, GREY)
    bars = (
        (0.93, "all supports", one.probability, _BLUE),
        (1.26, "without the deciding one", one.probability - one.fall, _VERMILION),
    )
    for y, words, value, colour in bars:
        page.text(_MARGIN, top + y, words, 8)
        page.box(_MARGIN, top + y + 0.1, _BAR, 0.1, _RULE)
        page.box(_MARGIN, top + y + 0.1, _BAR * min(max(value, 0), 1), 0.1, colour)
        page.text(_MARGIN + _BAR + 0.08, top + y + 0.15, f"{value:.2f}", 8)
    if one.without != one.predicted:
        page.text(_MARGIN, top + 1.6, fit(f"then predicted {one.without}", _TEXT, 8, True), 8, _VERMILION, bold=True)


def _cells(page: Page, one: Sensitivity, pixels: Mapping[str, np.ndarray], top: float) -> None:
    """The query, the deciding support and the two saliencies, with what they are called below."""
    query, below = pixels[one.item], top + _CELL + 0.13
    page.cell(_QUERY, top, _CELL, query, None)
    page.cell(_DECISIVE, top, _CELL, pixels[one.decisive], None)
    page.text(_DECISIVE, below, fit(one.decisive, _CELL, 7.5), 7.5, GREY)
    for x, saliency in ((_REAL, one.saliency), (_AFTER, one.worst_saliency)):
        maps = torch.from_numpy(saliency.astype(np.float32))[None]
        page.cell(x, top, _CELL, query, ops.upsample(maps, *query.shape[:2])[0].numpy())
    page.text(_AFTER, below, f"rank correlation {_number(one.worst)}", 8, bold=True)
    others = f"median {_number(one.median)}, best {_number(one.best)}"
    page.text(_AFTER, below + 0.16, others, 7.5, GREY)


def _swap(page: Page, one: Sensitivity, pixels: Mapping[str, np.ndarray], top: float) -> None:
    """Which support left, and which image came."""
    for y, word, name in ((0, "out", one.swapped_out), (_CELL - _SMALL, "in", one.swapped_in)):
        page.cell(_SWAP, top + y, _SMALL, pixels[name], None)
        page.text(_SWAP + _SMALL + 0.1, top + y + _SMALL / 2 - 0.09, word, 8.5, INK, bold=True)
        page.text(_SWAP + _SMALL + 0.1, top + y + _SMALL / 2 + 0.09, fit(name, _NAME, 7.5), 7.5, GREY)


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212")


def _footer(page: Page, y: float) -> None:
    """What the colours mean."""
    page.box(_MARGIN, y - 0.22, _ACROSS - 2 * _MARGIN, 0, "none", PALE)
    page.text(_MARGIN, y, "Saliency", 8, bold=True)
    page.text(_MARGIN + 0.66, y, "0", 8)
    page.colour_bar(_MARGIN + 0.78, y - 0.065, 1.4, 0.13)
    page.text(_MARGIN + 2.26, y, "1", 8)
    page.text(_MARGIN + 2.46, y, "each map scaled to its own 0 to 1; the line is at 0.5", 8, GREY)
