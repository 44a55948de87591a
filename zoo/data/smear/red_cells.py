"""Red cells: discs with a pale middle that overlap each other but never cover a white cell."""

import math

import numpy as np

from zoo.data.smear.chance import Chance
from zoo.data.smear.texture import clouds, crop, doubled

_STEPS = 256
_OUTER = 1.3
"""The profile's table reaches so far, in squared radii."""

Place = tuple[float, float]
Around = list[tuple[float, float, float]]


def layer(
    height: int, width: int, radius: float, around: Around, wanted: list[Place], softness: float, chance: Chance
) -> np.ndarray:
    """Amount of red cell in each pixel, (height, width) float32, about 0..1.5.

    `around` lists (x, y, radius) of cells to keep clear of; `wanted` lists (x, y) where a red cell must lie;
    `softness` is the width of an edge in pixels. Drawn at half the resolution: there is nothing sharp to lose.
    """
    density = np.zeros((height // 2 + 1, width // 2 + 1), np.float32)
    disc, middle = _profile(2.0 * softness / radius, chance.between(0.25, 0.55))
    pallor, ragged = chance.between(0.6, 1.0), chance.between(0.02, 0.06)
    for x, y in _places(height, width, radius, around, wanted, chance):
        size = radius * (1.0 + 0.07 * chance.bell()) / 2
        hollow = np.float32(pallor * math.sqrt(math.sqrt(chance.unit())))
        profile = disc * np.float32(chance.between(0.8, 1.15)) * (1 - middle * hollow)
        _stamp(density, x / 2, y / 2, size, profile, ragged, chance)
    return doubled(density)[:height, :width]


def _places(
    height: int, width: int, radius: float, around: Around, wanted: list[Place], chance: Chance
) -> list[Place]:
    """`wanted`, then jittered hexagonal places; those too near a white cell are pushed to its edge or dropped."""
    crowd = chance.between(0.5, 0.95)
    pitch = radius * chance.between(2.05, 2.5)
    shift_x, shift_y = chance.between(0, pitch), chance.between(0, pitch)
    places = list(wanted)
    rows, columns = int((height + radius) / (0.87 * pitch)) + 2, int((width + radius) / pitch) + 2
    for row in range(rows):
        for column in range(columns):
            if not chance.happens(crowd):
                continue
            x = (column + 0.5 * (row % 2) - 1) * pitch + shift_x + pitch * chance.between(-0.4, 0.4)
            y = (row - 1) * 0.87 * pitch + shift_y + pitch * chance.between(-0.4, 0.4)
            touch = chance.between(0.8, 1.2) * radius
            for cx, cy, reach in around:
                distance = math.sqrt((x - cx) ** 2 + (y - cy) ** 2) + 1e-6
                if distance < reach + touch:
                    scale = (reach + touch) / distance
                    x, y = cx + (x - cx) * scale, cy + (y - cy) * scale
            if not (-radius < x < width + radius and -radius < y < height + radius):
                continue
            if all((x - cx) ** 2 + (y - cy) ** 2 >= (reach + 0.75 * radius) ** 2 for cx, cy, reach in around) and all(
                (x - ox) ** 2 + (y - oy) ** 2 >= (1.25 * radius) ** 2 for ox, oy in places
            ):
                places.append((x, y))
    return places


def _profile(softness: float, pale: float) -> tuple[np.ndarray, np.ndarray]:
    """Opacity of a disc and of its pale middle against the squared radius, two times (_STEPS,) float32."""
    distance = np.sqrt((np.arange(_STEPS, dtype=np.float32) + 0.5) * np.float32(_OUTER / _STEPS))
    edge = np.clip((np.float32(1 + softness / 2) - distance) / np.float32(softness), 0, 1)
    hollow = np.clip((np.float32(pale + 0.2) - distance) / np.float32(0.4), 0, 1)
    disc = edge * edge * (3 - 2 * edge) * (1 + np.float32(0.25) * np.clip(distance - 0.5, 0, 1))
    disc[-1] = 0
    return disc.astype(np.float32), (hollow * hollow * (3 - 2 * hollow)).astype(np.float32)


def _stamp(
    density: np.ndarray, x: float, y: float, size: float, profile: np.ndarray, ragged: float, chance: Chance
) -> None:
    """Add one elliptic, slightly ragged red cell; where two overlap the denser one counts fully."""
    height, width = density.shape
    long, bend = 1.0 + 0.09 * abs(chance.bell()), 0.06 * chance.bell()
    cosine, sine = chance.turn()
    reach = size * long * 1.13 + 1
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
    if top >= bottom or left >= right:
        return
    scale = math.sqrt(_STEPS / _OUTER) / size
    dx = ((np.arange(left, right) - x) * scale).astype(np.float32)[None, :]
    dy = ((np.arange(top, bottom) - y) * scale).astype(np.float32)[:, None]
    u = dx * np.float32(cosine / long) + dy * np.float32(sine / long)
    v = dy * np.float32(cosine * long) - dx * np.float32(sine * long)
    u *= u
    v += u * np.float32(bend / 16.0)
    v *= v
    u += v
    u *= 1 + np.float32(ragged) * crop(clouds(5), chance, bottom - top, right - left)
    amount = profile.take(u.astype(np.int32), mode="clip")
    place = density[top:bottom, left:right]
    both = np.minimum(place, amount)
    np.maximum(place, amount, out=place)
    both *= np.float32(0.4)
    place += both
