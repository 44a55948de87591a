"""The colour of one cell: optical density of cytoplasm, granules, vacuoles, nucleus and chromatin."""

import numpy as np

from zoo.data.smear.body import Body
from zoo.data.smear.chance import Chance
from zoo.data.smear.looks import CYTOPLASM, LOOKS, NUCLEUS
from zoo.data.smear.stain import Stain
from zoo.data.smear.texture import clouds, crop, granules


def cover(body: Body, stain: Stain) -> np.ndarray:
    """Opacity of the whole cell over what lies behind it, (side, side) float32 in 0..1."""
    return _soft(body.depth, stain.softness)


def density(body: Body, colour: str, stain: Stain, chance: Chance) -> np.ndarray:
    """Optical density of the cell, (3, side, side) float32, meaningful where `cover` is above 0."""
    look = LOOKS[body.kind]
    shape = body.mask.shape
    amount = 1 + np.float32(look.frost) * crop(clouds(2), chance, *shape)
    amount += np.float32(0.7 * look.frost) * crop(clouds(8), chance, *shape)
    amount += _ramp(body.depth, 2.0, 3.0) * np.float32(0.15)
    if look.rim:
        amount += _ramp(body.depth, 0.0, 14.0) * np.float32(look.rim)
    if look.hof:
        amount *= 1 - np.float32(look.hof) * _disc(shape, _beside(body), 0.17 * body.side, 0.1 * body.side)
    for _ in range(chance.whole(look.vacuoles + 1)):
        amount *= 1 - np.float32(0.85) * _vacuole(body, chance)
    strength = stain.cytoplasm * chance.between(*look.strength)
    red, green, blue = (part + extra for part, extra in zip(CYTOPLASM[colour], look.tint, strict=True))
    od = amount * stain.taken((red, green, blue), strength)
    if body.nucleus is None:
        _grain(od, body, None, stain, chance)
        return od
    inside = _soft(body.nucleus, stain.softness)
    chromatin = np.clip(crop(clouds(look.clump), chance, *shape), -1.7, 1.4)
    chromatin *= np.float32(look.contrast)
    chromatin += 1 + np.float32(0.16) * _ramp(body.nucleus, 2.0, 2.0)
    for _ in range(chance.whole(look.nucleoli + 1)):
        chromatin *= 1 - np.float32(0.35) * _nucleolus(body, chance)
    strength = stain.nucleus * chance.between(*look.density)
    _lay(od, chromatin * stain.taken(NUCLEUS, strength), inside)
    _grain(od, body, inside, stain, chance)
    return od


def _grain(od: np.ndarray, body: Body, inside: np.ndarray | None, stain: Stain, chance: Chance) -> None:
    """Lay the granules of the class over cytoplasm and, more thinly, over the nucleus."""
    kind = LOOKS[body.kind].granules
    if kind is None:
        return
    opacity = crop(granules(kind.radius, kind.spacing), chance, *body.mask.shape)
    opacity = opacity * np.float32(chance.between(*kind.cover))
    if inside is not None:
        opacity *= 1 - inside * np.float32(1 - kind.over_nucleus)
    _lay(od, stain.taken(kind.colour), opacity)


def _lay(od: np.ndarray, over: np.ndarray, opacity: np.ndarray) -> None:
    """Mix into a density what lies over it, in place."""
    difference = over - od
    difference *= opacity
    od += difference


def _soft(depth: np.ndarray, width: float) -> np.ndarray:
    edge = depth * np.float32(1 / width)
    edge += np.float32(0.5)
    return np.clip(edge, 0, 1, out=edge)


def _ramp(depth: np.ndarray, at: float, width: float) -> np.ndarray:
    """1 where the depth is `at`, falling to 0 over `width` pixels on both sides."""
    return np.clip(1 - np.abs(depth - np.float32(at)) * np.float32(1 / width), 0, 1)


def _disc(shape: tuple[int, ...], middle: tuple[float, float], radius: float, soft: float) -> np.ndarray:
    """Opacity of a soft disc with its middle at (x, y)."""
    dx = (np.arange(shape[1]) - middle[0]).astype(np.float32)[None, :]
    dy = (np.arange(shape[0]) - middle[1]).astype(np.float32)[:, None]
    return np.clip((np.float32(radius) - np.sqrt(dx * dx + dy * dy)) * np.float32(1 / soft) + 0.5, 0, 1)


def _beside(body: Body) -> tuple[float, float]:
    """The point of the cytoplasm opposite the nucleus: its middle mirrored at the cell's, a little nearer."""
    rows, columns = np.nonzero(body.mask[::4, ::4] == 2)
    middle = body.side / 2
    return (1.9 * middle - 3.6 * float(columns.mean()), 1.9 * middle - 3.6 * float(rows.mean()))


def _vacuole(body: Body, chance: Chance) -> np.ndarray:
    cosine, sine = chance.turn()
    away = body.side * chance.between(0.15, 0.42)
    middle = body.side / 2
    return _disc(body.mask.shape, (middle + away * cosine, middle + away * sine), chance.between(2.0, 4.5), 2.0)


def _nucleolus(body: Body, chance: Chance) -> np.ndarray:
    cosine, sine = chance.turn()
    away = body.side * chance.between(0.0, 0.2)
    middle = body.side / 2
    return _disc(body.mask.shape, (middle + away * cosine, middle + away * sine), chance.between(4.0, 7.0), 3.0)
