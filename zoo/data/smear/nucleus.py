"""Nuclei as strokes: lobes, bridges, bands and kidneys are all chains of tapered capsules.

A stroke is (x0, y0, r0, x1, y1, r1) in cell radii, the cell's middle at the origin.
"""

import math

import numpy as np

from zoo.data.smear.chance import Chance, direction

Stroke = tuple[float, float, float, float, float, float]
_REACH = 0.93
"""How far from the middle a nucleus may come, in cell radii."""


def strokes(shape: str, size: float, eccentric: float, chance: Chance) -> list[Stroke]:
    """The strokes of a nucleus of a WBCAtt shape that a circle of radius `size` just holds."""
    made = {
        "segmented-bilobed": _bilobed,
        "segmented-multilobed": _multilobed,
        "unsegmented-band": _band,
        "unsegmented-indented": _indented,
        "unsegmented-round": _round,
        "irregular": _irregular,
    }[shape](chance)
    return _settled(made, size, eccentric, chance)


def field(made: list[Stroke], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth inside the union of strokes (positive inside), in the units of x and y, (h, w) float32."""
    x0, y0, r0, x1, y1, r1 = (np.array(part, np.float32)[:, None, None] for part in zip(*made, strict=True))
    dx, dy = x1 - x0, y1 - y0
    px, py = x - x0, y - y0
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + np.float32(1e-6)), 0, 1)
    px -= along * dx
    py -= along * dy
    px *= px
    py *= py
    px += py
    np.sqrt(px, out=px)
    return (r0 + along * (r1 - r0) - px).max(0)


def _lobes(radii: list[float], turns: list[float], bridge: float, chance: Chance) -> list[Stroke]:
    """Lobes strung along a bending path, each joined to the next by a thin bridge."""
    made: list[Stroke] = []
    angle = chance.between(0, 2 * math.pi)
    x = y = 0.0
    for place, radius in enumerate(radii):
        if place:
            angle += turns[place - 1]
            step = (radii[place - 1] + radius) * chance.between(0.9, 1.1)
            cosine, sine = direction(angle)
            made.append((x, y, bridge, x + step * cosine, y + step * sine, bridge))
            x, y = x + step * cosine, y + step * sine
        cosine, sine = direction(angle + chance.between(-0.7, 0.7) + 1.57 * chance.happens(0.6))
        half = radius * chance.between(0.15, 0.45)
        blunt = radius * chance.between(0.8, 0.95)
        made.append((x - half * cosine, y - half * sine, blunt, x + half * cosine, y + half * sine, radius * 0.88))
    return made


def _bilobed(chance: Chance) -> list[Stroke]:
    radii = [chance.between(0.36, 0.46) for _ in range(2)]
    return _lobes(radii, [0.0], chance.between(0.05, 0.1), chance)


def _multilobed(chance: Chance) -> list[Stroke]:
    count = 3 + chance.whole(100) // 50 + chance.whole(100) // 80
    radii = [(0.39 - 0.03 * count) * chance.between(0.85, 1.2) for _ in range(count)]
    side = 1 if chance.happens(0.5) else -1
    turns = []
    for _ in range(count - 2):
        turns.append(side * chance.between(1.0, 1.8))
        side = -side if chance.happens(0.25) else side
    return _lobes(radii, [0.0, *turns], chance.between(0.035, 0.065), chance)


def _path(span: float, length: float, width: list[float], chance: Chance, back: float = 0.0) -> list[Stroke]:
    """A bent stroke of `length`, turning by `span` in all (by -back x span in its second half)."""
    parts = len(width) - 1
    angle = chance.between(0, 2 * math.pi)
    made: list[Stroke] = []
    x = y = 0.0
    for part in range(parts):
        cosine, sine = direction(angle)
        ahead = (x + length / parts * cosine, y + length / parts * sine)
        made.append((x, y, width[part], *ahead, width[part + 1]))
        x, y = ahead
        angle += span / (parts - 1) * (-back if back and part >= parts // 2 else 1.0)
    return made


def _band(chance: Chance) -> list[Stroke]:
    half = chance.between(0.175, 0.22)
    width = [half * chance.between(0.88, 1.1) for _ in range(9)]
    width[0] = width[-1] = half * chance.between(1.05, 1.25)
    bent = chance.between(3.0, 4.3)
    if chance.happens(0.2):
        return _path(2.6, 1.5, [1.2 * part for part in width], chance, back=1.0)
    return _path(bent, chance.between(1.6, 1.9), width, chance)


def _indented(chance: Chance) -> list[Stroke]:
    half = chance.between(0.36, 0.42)
    width = [half * chance.between(0.92, 1.06) for _ in range(6)]
    return _path(chance.between(2.4, 3.4), chance.between(0.9, 1.1), width, chance)


def _round(chance: Chance) -> list[Stroke]:
    cosine, sine = chance.turn()
    half = chance.between(0.0, 0.16)
    return [(-half * cosine, -half * sine, 1.0, half * cosine, half * sine, 1.0)]


def _irregular(chance: Chance) -> list[Stroke]:
    width = [chance.between(0.5, 0.8) for _ in range(4)]
    return _path(chance.between(0.5, 2.2), chance.between(0.6, 1.1), width, chance)


def _settled(made: list[Stroke], size: float, eccentric: float, chance: Chance) -> list[Stroke]:
    """Centred, scaled to the size wanted, then moved within the room that the cell leaves."""
    ends = [(s[0], s[1], s[2]) for s in made] + [(s[3], s[4], s[5]) for s in made]
    left, right = min(x - r for x, _, r in ends), max(x + r for x, _, r in ends)
    top, bottom = min(y - r for _, y, r in ends), max(y + r for _, y, r in ends)
    mx, my = (left + right) / 2, (top + bottom) / 2
    reach = max(math.sqrt((x - mx) ** 2 + (y - my) ** 2) + r for x, y, r in ends)
    scale = size / reach
    cosine, sine = chance.turn()
    shift = (_REACH - size) * eccentric * math.sqrt(chance.unit())
    ox, oy = shift * cosine - mx * scale, shift * sine - my * scale
    return [
        (x0 * scale + ox, y0 * scale + oy, r0 * scale, x1 * scale + ox, y1 * scale + oy, r1 * scale)
        for x0, y0, r0, x1, y1, r1 in made
    ]
