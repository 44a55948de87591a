"""Periodic tiles of noise and of granules, made once from integers so that they are equal everywhere."""

from functools import cache

import numpy as np

from zoo.data.smear.chance import Chance

SIDE = 256
"""Period of a tile in pixels."""


@cache
def clouds(grain: int, copy: int = 0) -> np.ndarray:
    """Band-passed noise, (2 SIDE, 2 SIDE) float32, mean 0, standard deviation 1, periodic in SIDE.

    `grain` is the radius in pixels of the smallest features; 0 is white noise.
    """
    noise = Chance("clouds", grain, copy).bytes(SIDE * SIDE).reshape(SIDE, SIDE)
    if grain:
        small, large = _smooth(noise, grain), _smooth(noise, 2 * grain)
        noise = small * ((4 * grain + 1) ** 4) - large * ((2 * grain + 1) ** 4)
    values = noise - noise.mean()
    values = values / values.std()
    return _repeated(np.round(values * 256) / 256)


@cache
def granules(radius: float, spacing: float, copy: int = 0) -> np.ndarray:
    """Discs of about `radius` pixels at jittered places about `spacing` apart; cover 0..1, lit from one side.

    (2 SIDE, 2 SIDE) float32, periodic in SIDE.
    """
    chance = Chance("granules", radius, spacing, copy)
    cover = np.zeros((SIDE, SIDE))
    count = round(SIDE / spacing)
    reach = int(1.5 * radius) + 2
    drawn = np.array([
        [
            (row + 0.5 + chance.between(-0.5, 0.5)) * SIDE / count,
            (column + 0.5 * (row % 2) + chance.between(-0.5, 0.5)) * SIDE / count,
            radius * chance.between(0.7, 1.3),
            chance.between(0.65, 1.0),
        ]
        for row in range(count) for column in range(count)
    ])  # fmt: skip
    y, x, size, strength = drawn.T[:, :, None]
    rows, columns = (at.astype(np.int64) + np.arange(-reach, reach + 1) for at in (y, x))
    distance = np.sqrt(((rows - y) ** 2)[:, :, None] + ((columns - x) ** 2)[:, None, :])
    discs = np.clip((size + 0.5)[..., None] - distance, 0.0, 1.0) * strength[..., None]
    np.maximum.at(cover, (rows[:, :, None] % SIDE, columns[:, None, :] % SIDE), discs)
    return _repeated(cover)


def crop(tile: np.ndarray, chance: Chance, height: int, width: int) -> np.ndarray:
    """A random (height, width) piece of a periodic tile, upside down half the time."""
    if max(height, width) > len(tile):
        tile = np.tile(tile, (-(-height // len(tile)), -(-width // len(tile))))
    top, left = (chance.whole(min(SIDE, room + 1)) for room in (len(tile) - height, tile.shape[1] - width))
    piece = tile[top : top + height, left : left + width]
    return piece[::-1] if chance.happens(0.5) else piece


def doubled(values: np.ndarray) -> np.ndarray:
    """Bilinear upsampling by two along both axes, aligned by pixel middles."""
    near, far = values * np.float32(0.75), values * np.float32(0.25)
    tall = np.empty((2 * len(values), values.shape[1]), np.float32)
    np.add(near[1:], far[:-1], out=tall[2::2])
    np.add(near[:-1], far[1:], out=tall[1:-1:2])
    tall[0], tall[-1] = values[0], values[-1]
    near, far = tall * np.float32(0.75), tall * np.float32(0.25)
    wide = np.empty((len(tall), 2 * values.shape[1]), np.float32)
    np.add(near[:, 1:], far[:, :-1], out=wide[:, 2::2])
    np.add(near[:, :-1], far[:, 1:], out=wide[:, 1:-1:2])
    wide[:, 0], wide[:, -1] = tall[:, 0], tall[:, -1]
    return wide


def _smooth(noise: np.ndarray, radius: int) -> np.ndarray:
    """Two passes of a box sum of side 2 radius + 1 along both axes, in integers."""
    for axis in (0, 1, 0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(-radius, radius + 1)) + np.zeros_like(noise)
    return noise


def _repeated(tile: np.ndarray) -> np.ndarray:
    return np.tile(tile.astype(np.float32), (2, 2))
