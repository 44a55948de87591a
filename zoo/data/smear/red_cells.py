"""Red cells: discs with a pale middle that overlap each other but never cover a white cell."""

import math
from typing import NamedTuple

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
    stamps = []
    for x, y in _places(height, width, radius, around, wanted, chance):
        size = radius * (1.0 + 0.07 * chance.bell()) / 2
        hollow = np.float32(pallor * math.sqrt(math.sqrt(chance.unit())))
        profile = disc * np.float32(chance.between(0.8, 1.15)) * (1 - middle * hollow)
        stamps.append(_stamp(density.shape, x / 2, y / 2, size, profile, chance))
    _press(density, [stamp for stamp in stamps if stamp], ragged)
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


class _Stamp(NamedTuple):
    """One elliptic red cell and the window of the picture that it touches."""

    top: int
    bottom: int
    left: int
    right: int
    x: float
    y: float
    scale: float
    """From pixels to steps of the profile's table"""
    turned: tuple[float, float, float, float]
    """Cosine and sine over and times the long axis"""
    bend: float
    profile: np.ndarray
    rough: np.ndarray
    """(bottom - top, right - left), noise that frays the edge"""


def _stamp(
    shape: tuple[int, ...], x: float, y: float, size: float, profile: np.ndarray, chance: Chance
) -> _Stamp | None:
    """An elliptic red cell with its middle at (x, y); None where it lies outside."""
    height, width = shape
    long, bend = 1.0 + 0.09 * abs(chance.bell()), 0.06 * chance.bell()
    cosine, sine = chance.turn()
    reach = size * long * 1.13 + 1
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
    if top >= bottom or left >= right:
        return None
    scale = math.sqrt(_STEPS / _OUTER) / size
    turned = (cosine / long, sine / long, cosine * long, sine * long)
    rough = crop(clouds(5), chance, bottom - top, right - left)
    return _Stamp(top, bottom, left, right, x, y, scale, turned, bend, profile, rough)


def _press(density: np.ndarray, stamps: list[_Stamp], ragged: float) -> None:
    """Add red cells in their order, in place; where two overlap the denser one counts fully. What all of them let
    through is found in one array: they are small, and calls cost more than arithmetic."""
    if not stamps:
        return
    side = max(max(stamp.rough.shape) for stamp in stamps)
    rough = np.zeros((len(stamps), side, side), np.float32)
    for space, stamp in zip(rough, stamps, strict=True):
        height, width = stamp.rough.shape
        space[:height, :width] = stamp.rough
    numbers = np.array([(s.left, s.top, s.x, s.y, s.scale, *s.turned, s.bend / 16.0) for s in stamps])
    left, top, x, y, scale = numbers.T[:5, :, None]
    shrunk_c, shrunk_s, grown_c, grown_s, bend = numbers.astype(np.float32).T[5:, :, None]
    steps = np.arange(side)
    across = ((left + steps - x) * scale).astype(np.float32)
    down = ((top + steps - y) * scale).astype(np.float32)
    u = (across * shrunk_c)[:, None, :] + (down * shrunk_s)[:, :, None]
    v = (down * grown_c)[:, :, None] - (across * grown_s)[:, None, :]
    u *= u
    v += u * bend[:, None]
    v *= v
    u += v
    rough *= np.float32(ragged)
    rough += 1
    u *= rough
    np.minimum(u, _STEPS - 1, out=u)
    places = u.astype(np.intp)
    places += np.arange(0, len(stamps) * _STEPS, _STEPS)[:, None, None]
    amounts = np.concatenate([stamp.profile for stamp in stamps]).take(places)
    for amount, stamp, part in zip(amounts, stamps, rough, strict=True):
        height, width = stamp.rough.shape
        amount = amount[:height, :width]
        place = density[stamp.top : stamp.bottom, stamp.left : stamp.right]
        both = np.minimum(place, amount, out=part[:height, :width])
        both *= np.float32(0.4)
        np.maximum(place, amount, out=place)
        place += both
