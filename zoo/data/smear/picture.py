"""Whole pictures: one cell in the middle (`cell`), or several among many red cells (`field`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data.smear import dye, red_cells
from zoo.data.smear.body import Body, grow, size_word
from zoo.data.smear.chance import Chance
from zoo.data.smear.looks import CLASSES, LOOKS, WHITE_CELLS
from zoo.data.smear.stain import Stain, blur, develop, stained
from zoo.errors import ZooError, unknown

HEIGHT, WIDTH = 363, 360
"""Size of a single-cell picture in pixels, as in PBC."""
_SMALLEST = 64
"""Shortest side of a field in pixels."""


@dataclass(frozen=True, eq=False)
class Truth:
    """All that is known of one drawn cell. The words of the attributes are WBCAtt's."""

    kind: str
    """One of CLASSES."""
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels, tight around the cell"""
    mask: np.ndarray
    """(height, width) uint8, as large as the picture: 0 background, 1 cytoplasm, 2 nucleus"""
    granularity: bool
    cytoplasm_colour: str
    """light blue, blue or purple blue"""
    nucleus_shape: str | None
    """segmented-bilobed, segmented-multilobed, unsegmented-band, unsegmented-indented, unsegmented-round,
    irregular; None for platelets"""
    size_vs_rbc: float
    """Diameter of the disc with the cell's area, in diameters of the picture's red cells"""
    cell_size: str
    """big or small"""
    nc: float
    """N/(N+C), 0..1, from the mask's areas"""


@dataclass(frozen=True, eq=False)
class Cell(Truth):
    """One cell near the middle of a picture of its own."""

    image: np.ndarray
    """(363, 360, 3) uint8, RGB"""


@dataclass(frozen=True, eq=False)
class Field:
    """A field of view. Platelets strewn between red cells are background, not cells."""

    image: np.ndarray
    """(height, width, 3) uint8, RGB"""
    cells: tuple[Truth, ...]


def cell(kind: str, seed: int) -> Cell:
    """The cell of a class and a seed; depends on nothing else. Raises ZooError for an unknown class."""
    _known(kind)
    chance = Chance("smear cell 1", kind, seed)
    radius = 35.0 * chance.between(0.9, 1.1)
    body = grow(kind, radius, chance)
    free_x, free_y = (min(16, (side - body.side) // 2 - 2) for side in (WIDTH, HEIGHT))
    left = (WIDTH - body.side) // 2 + round(chance.between(-free_x, free_x))
    top = (HEIGHT - body.side) // 2 + round(chance.between(-free_y, free_y))
    image, truths = _scene(HEIGHT, WIDTH, radius, [(body, left, top)], chance)
    return Cell(**vars(truths[0]), image=image)


def field(seed: int, cells: int | Sequence[str] | None = None, size: tuple[int, int] = (480, 640)) -> Field:
    """A field of view of `size` (height, width) pixels with cells that do not touch.

    `cells` gives their classes, or how many (0 for an empty field) of classes drawn from WHITE_CELLS; None draws
    1 to 6. Depends on the arguments alone. Raises ZooError where a class is unknown or the cells do not fit.
    """
    if min(size) < _SMALLEST:
        raise ZooError(f"a field of {size[0]} x {size[1]} pixels is too small: ask for {_SMALLEST} or more each way")
    chance = Chance("smear field 1", seed, "x".join(map(str, size)))
    if cells is None:
        cells = 1 + chance.whole(6)
    if isinstance(cells, int) and cells < 0:
        raise ZooError(f"a field cannot hold {cells} cells, fewer than none: ask for 0 or more")
    kinds = [WHITE_CELLS[chance.whole(len(WHITE_CELLS))] for _ in range(cells)] if isinstance(cells, int) else cells
    for kind in kinds:
        _known(kind)
    radius = chance.between(25.0, 30.0)
    bodies = [grow(kind, radius, chance) for kind in kinds]
    image, truths = _scene(*size, radius, _spread(bodies, size, chance), chance)
    return Field(image, tuple(truths))


def _known(kind: str) -> None:
    if kind not in LOOKS:
        raise unknown("smear class", kind, CLASSES, "zoo list datasets smear")


def _spread(bodies: list[Body], size: tuple[int, int], chance: Chance) -> list[tuple[Body, int, int]]:
    """Each body with the left and top of its window, so that no two cells touch."""
    height, width = size
    for _ in range(200):
        placed: list[tuple[Body, int, int]] = []
        for body in bodies:
            if body.side > min(size):
                break
            left, top = chance.whole(width - body.side + 1), chance.whole(height - body.side + 1)
            x, y = left + body.side / 2, top + body.side / 2
            if any(
                math.hypot(x - at_x - other.side / 2, y - at_y - other.side / 2) < body.reach + other.reach
                for other, at_x, at_y in placed
            ):
                break
            placed.append((body, left, top))
        if len(placed) == len(bodies):
            return placed
    raise ZooError(
        f"{len(bodies)} cells do not fit in a field of {height} x {width} pixels: ask for fewer cells or a larger field"
    )


def _scene(
    height: int, width: int, radius: float, placed: list[tuple[Body, int, int]], chance: Chance
) -> tuple[np.ndarray, list[Truth]]:
    """The photograph of the placed cells and what is known of each."""
    stain = stained(chance)
    around, wanted = [], []
    for body, left, top in placed:
        x, y = left + body.side / 2, top + body.side / 2
        around.append((x, y, body.diameter() / 2))
        wanted += [(x + dx, y + dy) for dx, dy in body.neighbours]
    layer = red_cells.layer(height, width, radius, around, wanted, stain.softness, chance)
    density = layer * stain.taken(stain.red)
    for _ in range(chance.whole(1 + round(height * width / 50_000))):
        platelet = grow("platelet", radius, chance)
        left, top = (chance.whole(side - platelet.side) for side in (width, height))
        x, y = left + platelet.side / 2, top + platelet.side / 2
        if all(math.hypot(x - cx, y - cy) > reach * 1.1 + platelet.reach for cx, cy, reach in around):
            _put(density, platelet, left, top, "light blue", stain, chance)
    truths = []
    for body, left, top in placed:
        colour = chance.pick(LOOKS[body.kind].cytoplasm)
        _put(density, body, left, top, colour, stain, chance)
        truths.append(_truth(body, left, top, (height, width), colour, radius))
    return develop(density, stain, chance), truths


def _put(density: np.ndarray, body: Body, left: int, top: int, colour: str, stain: Stain, chance: Chance) -> None:
    """Draw a cell over what is there, in place."""
    place = density[:, top : top + body.side, left : left + body.side]
    drawn = dye.density(body, colour, stain, chance)
    drawn -= place
    drawn *= dye.cover(body, stain)
    place += drawn
    blur(place, stain.blur)


def _truth(body: Body, left: int, top: int, size: tuple[int, int], colour: str, radius: float) -> Truth:
    mask = np.zeros(size, np.uint8)
    mask[top : top + body.side, left : left + body.side] = body.mask
    rows, columns = (np.flatnonzero(body.mask.any(axis)) for axis in (1, 0))
    box = (left + int(columns[0]), top + int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    ratio = body.diameter() / (2 * radius)
    return Truth(
        body.kind, box, mask, LOOKS[body.kind].granules is not None, colour, body.nucleus_shape, ratio,
        size_word(ratio), body.nuclear_part(),
    )
