"""The picture at the end of a run of a cell model: fields with every cell's outline, class, words and N:C.

Lengths are inches, text sizes are points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.cell_table import paired
from zoo.cells import Attribute, Cells
from zoo.errors import ZooError
from zoo.pipeline.page import GREY, INK, Page, fit, width, wrap

_MARGIN, _SIDE, _GAP, _TEXT, _LINE = 0.3, 2.9, 0.2, 4.6, 0.165
NUCLEUS, CELL, BOX = (86, 180, 233), (240, 228, 66), (213, 94, 0)
"""Of the Okabe-Ito palette, told apart with every common colour blindness."""
_WRONG = "#a33f00"


@dataclass(frozen=True)
class Shown:
    """A tested field, what is true of its cells, and what was found."""

    name: str
    image: np.ndarray
    """(H, W, 3) uint8"""
    truth: Cells
    found: Cells


def draw(
    fields: Sequence[Shown], classes: Sequence[str], attributes: Sequence[Attribute], title: str, subtitle: str,
    path: Path,
) -> Path:  # fmt: skip
    """Write the fields as one PNG, a row a field, and return its path. ZooError where there is none."""
    if not fields:
        raise ZooError("no field with a cell to draw in the gallery")
    described = [_lines(field, classes, attributes) for field in fields]
    tall = [max(_height(field), _LINE * len(lines) + 0.25) for field, lines in zip(fields, described, strict=True)]
    page = Page(2 * (_MARGIN + _SIDE + _GAP) + _TEXT, 1.5 + sum(tall) + _GAP * len(tall))
    room = page.width - 2 * _MARGIN
    page.text(_MARGIN, 0.36, fit(title, room, 15, True), 15, bold=True)
    page.text(_MARGIN, 0.64, fit(subtitle, room, 9.5), 9.5, GREY)
    _legend(page, 0.92)
    for column, name in enumerate(("true", "found")):
        page.text(_MARGIN + column * (_SIDE + _GAP), 1.22, name, 9.5, bold=True)
    y = 1.38
    for field, lines, height in zip(fields, described, tall, strict=True):
        partner = dict(paired(field.truth, field.found))
        numbers = [str(partner[true] + 1) if true in partner else "-" for true in range(len(field.truth.labels))]
        own = [str(number) for number in range(1, len(field.found.labels) + 1)]
        for column, (cells, names) in enumerate(((field.truth, numbers), (field.found, own))):
            left = _MARGIN + column * (_SIDE + _GAP)
            page.cell(left, y - (_SIDE - _height(field)) / 2, _SIDE, outlined(field.image, cells, names), None)
        x = _MARGIN + 2 * (_SIDE + _GAP)
        page.text(x, y + 0.1, fit(field.name, _TEXT, 9, True), 9, bold=True)
        for number, (text, colour) in enumerate(lines, start=1):
            page.text(x, y + 0.12 + _LINE * number, text, 8, colour)
        y += height + _GAP
    page.write(path)
    return path


def outlined(image: np.ndarray, cells: Cells, names: Sequence[str]) -> np.ndarray:
    """(H', W', 3) uint8: a field (H, W, 3), enlarged for its lines to be thin, with the box of every cell, the edges
    of its nucleus and of the whole cell, and its name: a true cell has the number of the one that was found as it."""
    from PIL import Image, ImageDraw

    times = max(1, round(640 / max(image.shape[:2])))
    size = (image.shape[1] * times, image.shape[0] * times)
    pixels = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    for mask in cells.masks if cells.masks is not None else ():
        large = mask.repeat(times, 0).repeat(times, 1)
        for least, colour in ((1, CELL), (2, NUCLEUS)):
            # a dark rim, so that the line is seen on any stain
            pixels[_edge(large >= least, 5)] = 0
            pixels[_edge(large >= least, 3)] = colour
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for name, box in zip(names, cells.boxes, strict=True):
        left, top, right, bottom = (float(side) * times for side in box)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=BOX, width=2)
        pen.rectangle((left, top, left + 12 + 11 * len(name), top + 22), fill=BOX)
        pen.text((left + 6, top + 2), name, fill="white", font_size=18)
    return np.asarray(picture)


def _edge(inside: np.ndarray, thick: int) -> np.ndarray:
    """The pixels just inside the outline."""
    inner = inside.copy()
    for _ in range(thick):
        core = inner.copy()
        core[1:] &= inner[:-1]
        core[:-1] &= inner[1:]
        core[:, 1:] &= inner[:, :-1]
        core[:, :-1] &= inner[:, 1:]
        inner = core
    return inside & ~inner


def _lines(field: Shown, classes: Sequence[str], attributes: Sequence[Attribute]) -> list[tuple[str, str]]:
    """What is said of each found cell, beside what is true of it, and of each cell that was missed: (text, colour)."""
    lines: list[tuple[str, str]] = []
    partner = {found: true for true, found in paired(field.truth, field.found)}
    for number in range(len(field.found.labels)):
        true = partner.get(number)
        masks = field.found.masks if field.truth.masks is not None else None  # no N:C where nobody knows any
        said = _said(field.found._replace(masks=masks), number, classes, attributes)
        sure = f"{100 * field.found.scores[number]:.0f} %"
        text = f"{number + 1}  {', '.join(said)}, certainty {sure}"
        if true is None:
            lines += _wrapped(f"{text}; there is no such cell", _WRONG)
            continue
        lines += _wrapped(text, INK)
        same = _same(field, true, number)
        other = [part for part in _said(field.truth, true, classes, attributes) if part not in said]
        told = ", ".join(["the same", *other] if same and field.truth.labels[true] >= 0 else other)
        lines += _wrapped(f"    true: {told}", GREY if same else _WRONG)
    if missed := len(field.truth.labels) - len(partner):
        lines.append((f"{missed} true {'cell' if missed == 1 else 'cells'} missed", _WRONG))
    return lines


def _wrapped(text: str, colour: str) -> list[tuple[str, str]]:
    first, *rest = wrap(text, _TEXT, 8)
    return [(("    " if text.startswith("    ") else "") + first, colour), *(("    " + line, colour) for line in rest)]


def _same(field: Shown, true: int, found: int) -> bool:
    label = field.truth.labels[true]
    known = field.truth.attributes[true] >= 0
    words = field.truth.attributes[true][known] == field.found.attributes[found][known]
    return bool((label < 0 or label == field.found.labels[found]) and words.all())


def _said(cells: Cells, number: int, classes: Sequence[str], attributes: Sequence[Attribute]) -> list[str]:
    label = int(cells.labels[number])
    words = [classes[label] if label >= 0 else "type not known"]
    for attribute, word in zip(attributes, cells.attributes[number], strict=True):
        if word >= 0:
            value = attribute.values[int(word)]
            words.append(f"{attribute.name.replace('_', ' ')} {value}")
    if cells.masks is not None and not np.isnan(nc := cells.nc[number]):
        words.append(f"N:C {nc:.2f}")
    return words


def _height(field: Shown) -> float:
    return _SIDE * min(1.0, field.image.shape[0] / field.image.shape[1])


def _legend(page: Page, y: float) -> None:
    x = _MARGIN
    for name, colour in (("box", BOX), ("edge of the cell", CELL), ("edge of the nucleus", NUCLEUS)):
        page.box(x, y - 0.05, 0.22, 0.1, "#{:02x}{:02x}{:02x}".format(*colour), GREY)
        page.text(x + 0.3, y, name, 8.5, GREY)
        x += 0.5 + width(name, 8.5)
    page.text(x, y, "N:C is the nucleus as part of the whole cell", 8.5, GREY)
