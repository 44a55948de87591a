"""What one slide and one photograph do to every picture: stain, light, blur and noise."""

from dataclasses import dataclass

import numpy as np

from zoo.data.smear.chance import Chance
from zoo.data.smear.texture import clouds, crop

Colour = tuple[float, float, float]
"""Optical density in red, green and blue."""
_ROWS = 121
"""Rows developed at a time, so that the arithmetic stays in the processor's cache."""


@dataclass(frozen=True)
class Stain:
    """One preparation and one exposure, drawn once a picture."""

    hue: Colour
    """Factor of every density"""
    nucleus: float
    cytoplasm: float
    red: Colour
    """Density of a red cell"""
    white: Colour
    """The empty background, 0..255"""
    slope: tuple[float, float]
    """Fall of light from one side to the other along x and y, as a part of all light"""
    softness: float
    """Width of an edge in pixels"""
    blur: float
    """Weight of each neighbour in the three-pixel blur"""
    noise: float
    """Standard deviation of the sensor's noise, as density"""

    def taken(self, colour: Colour, strength: float = 1.0) -> np.ndarray:
        """A colour as this stain takes it, (3, 1, 1) float32."""
        channels = [strength * hue * part for hue, part in zip(self.hue, colour, strict=True)]
        return np.array(channels, np.float32)[:, None, None]


def stained(chance: Chance) -> Stain:
    strength = chance.between(0.85, 1.12)
    pink, rusty = chance.between(0.75, 1.3), chance.unit()
    cool = chance.between(0.0, 0.8)
    return Stain(
        hue=(_near(strength, chance), _near(strength, chance), _near(strength, chance)),
        nucleus=chance.between(0.9, 1.1),
        cytoplasm=chance.between(0.85, 1.15),
        red=(pink * _mix(0.25, 0.14, rusty), pink * _mix(0.33, 0.31, rusty), pink * _mix(0.14, 0.25, rusty)),
        white=(_mix(254, 240, cool), _mix(230, 234, cool), _mix(204, 244, cool)),
        slope=(chance.between(-0.12, 0.12), chance.between(-0.12, 0.12)),
        softness=chance.between(1.4, 2.6),
        blur=chance.between(0.04, 0.26),
        noise=chance.between(0.008, 0.026),
    )


def develop(density: np.ndarray, stain: Stain, chance: Chance) -> np.ndarray:
    """The photograph, (height, width, 3) uint8, of optical densities (3, height, width).

    Brightness falls with density d as 1 / (1 + d/4 + d^2/32)^4, which follows Beer and Lambert's exp(-d) within
    3 % up to 1.5 and needs only operations that round alike on every machine.
    """
    _, height, width = density.shape
    across = (np.arange(width) / width - 0.5) * stain.slope[0]
    down = (np.arange(height) / height - 0.5) * stain.slope[1]
    # The arithmetic is that of the formula times powers of two, which changes no digit and saves three operations.
    light = across.astype(np.float32)[None, :] + down.astype(np.float32)[:, None] + np.float32(0.97)
    light *= np.float32(2**20)
    image = np.empty((height, width, 3), np.uint8)
    noise = [crop(clouds(0), chance, height, width) for _ in range(3)]
    room, levels = np.empty((2, _ROWS, width), np.float32), np.empty((_ROWS, width), np.uint8)
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        y, fall, level = room[0, : rows.stop - top], room[1, : rows.stop - top], levels[: rows.stop - top]
        for channel in range(3):
            np.multiply(noise[channel][rows], np.float32(stain.noise), out=y)
            y += density[channel, rows]
            np.add(y, 8, out=fall)
            fall *= y
            fall += 32  # 32 (1 + d/4 + d^2/32)
            fall *= fall
            fall *= fall
            np.divide(light[rows], fall, out=y)
            y *= np.float32(stain.white[channel])
            np.minimum(y, 255, out=y)
            np.copyto(level, y, casting="unsafe")
            image[rows, :, channel] = level
    return image


def blur(density: np.ndarray, weight: float) -> None:
    """Weights (weight, 1 - 2 weight, weight) along the last two axes, in place; the outermost pixels stay."""
    side, middle = np.float32(weight), np.float32(1.0 - 2.0 * weight)
    for view in (density, density.swapaxes(1, 2)):
        sides = view[:, :-2] + view[:, 2:]
        sides *= side
        inner = view[:, 1:-1]
        inner *= middle
        inner += sides


def _near(middle: float, chance: Chance) -> float:
    return middle * (1.0 + 0.05 * chance.bell())


def _mix(one: float, other: float, part: float) -> float:
    return one + part * (other - one)
