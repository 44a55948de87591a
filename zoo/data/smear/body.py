"""The shape of one cell: how deep each pixel lies inside the cell and inside its nucleus."""

import math
from dataclasses import dataclass

import numpy as np

from zoo.data.smear import nucleus
from zoo.data.smear.chance import Chance
from zoo.data.smear.looks import BIG, LOOKS
from zoo.data.smear.texture import clouds, crop, doubled


@dataclass(frozen=True, eq=False)
class Body:
    """One cell, drawn in a square window of its own with the cell's origin in the middle."""

    kind: str
    nucleus_shape: str | None
    depth: np.ndarray
    """(side, side) float32: pixels inside the cell's outline, negative outside"""
    nucleus: np.ndarray | None
    """(side, side) float32: pixels inside the nucleus's outline, negative outside"""
    mask: np.ndarray
    """(side, side) uint8: 0 background, 1 cytoplasm, 2 nucleus"""
    reach: float
    """No pixel of the cell lies farther from the middle, in pixels."""
    neighbours: tuple[tuple[float, float], ...]
    """Where red cells must lie (x, y from the middle, in pixels) to fit the dents in the outline."""

    @property
    def side(self) -> int:
        return len(self.mask)

    def diameter(self) -> float:
        """Of the disc with the cell's area, in pixels."""
        return 2.0 * math.sqrt(np.count_nonzero(self.mask) / math.pi)

    def nuclear_part(self) -> float:
        """N/(N+C), from the areas of the two masks."""
        return np.count_nonzero(self.mask == 2) / np.count_nonzero(self.mask)


def grow(kind: str, red_radius: float, chance: Chance) -> Body:
    """A cell of a class among red cells of `red_radius` pixels."""
    look = LOOKS[kind]
    radius = red_radius * chance.between(*look.size)
    waves = [(chance.bell() * look.rough * share, chance.turn()) for share in (0.9, 0.8, 0.6, 0.35)]
    bulge = 1.0 + sum(abs(size) for size, _ in waves) + 0.8 * look.rough
    half = int(bulge * radius / 2) + 3
    steps = ((np.arange(2 * half) - (half - 0.5)) * 2.0 / radius).astype(np.float32)
    warp = np.float32(0.4 * look.rough + 0.006)
    shape = (2 * half, 2 * half)
    coarse = clouds(5 if radius > 40 else 3)
    x = steps[None, :] + warp * crop(coarse, chance, *shape)
    y = steps[:, None] + warp * crop(coarse, chance, *shape)

    depth = _outline(x, y, waves) * np.float32(radius)
    neighbours = []
    for _ in range(3):
        if chance.happens(look.dents):
            cosine, sine = chance.turn()
            away = radius + red_radius * chance.between(0.7, 0.9)
            neighbours.append((away * cosine, away * sine))
            dx, dy = steps[None, :] * radius - away * cosine, steps[:, None] * radius - away * sine
            np.minimum(depth, np.sqrt(dx * dx + dy * dy) - np.float32(red_radius + 1.0), out=depth)
    inside = _room(depth, half)
    depth, x, y = depth[inside], x[inside], y[inside]
    shape = depth.shape
    reach = radius * math.sqrt(float((x * x + y * y)[depth > -1].max()))
    depth = doubled(depth)
    mask = (depth > 0).astype(np.uint8)
    inner, shape_name = None, None
    if look.nucleus:
        shape_name = chance.pick(look.nucleus)
        size = chance.between(*look.nucleus_size)
        made = nucleus.strokes(shape_name, size, look.eccentric, chance)
        folds = np.float32(0.035 if shape_name == "irregular" else 0.018)
        x += folds * crop(clouds(5), chance, *shape)
        y += folds * crop(clouds(5), chance, *shape)
        inner = np.minimum(doubled(nucleus.field(made, x, y) * np.float32(radius)), depth - np.float32(1.5))
        mask += inner > 0
    return Body(kind, shape_name, depth, inner, mask, reach, tuple(neighbours))


def size_word(ratio: float) -> str:
    """WBCAtt's cell_size."""
    return "big" if ratio >= BIG else "small"


def _room(depth: np.ndarray, half: int) -> tuple[slice, slice]:
    """The smallest centred square that holds the cell and its soft edge."""
    rows, columns = (np.flatnonzero((depth > -4).any(axis)) for axis in (1, 0))
    needed = int(max(half - min(rows[0], columns[0]), max(rows[-1], columns[-1]) + 1 - half))
    keep = slice(half - needed, half + needed)
    return keep, keep


def _outline(x: np.ndarray, y: np.ndarray, waves: list[tuple[float, tuple[float, float]]]) -> np.ndarray:
    """Depth inside a circle of radius 1 whose radius waves 2, 3, 4 and 5 times around."""
    distance = np.sqrt(x * x + y * y) + np.float32(1e-6)
    c, s = x / distance, y / distance
    cosine, sine = c, s
    edge = 1.0 - distance
    for size, (phase_cosine, phase_sine) in waves:
        cosine, sine = cosine * c - sine * s, sine * c + cosine * s
        edge += cosine * np.float32(size * phase_cosine)
        edge += sine * np.float32(size * phase_sine)
    return edge
