"""Fields packed: all of one size, memory-mapped, in the cache of `zoo.data.pack`."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.data.alike import near, thumbnail
from zoo.data.fields.source import Field, FieldEntry, FieldListing
from zoo.data.pack import Stored, shown, stored, workers
from zoo.data.readers import Digest
from zoo.errors import ZooError

VERSION = 1
"""Raise it when the same bytes would be packed into something else."""
MOST = 127
"""Cells in one field: two numbers each in a byte."""


class _Made(NamedTuple):
    pixels: np.ndarray
    drawn: np.ndarray | None
    cells: dict[str, Any]
    notes: tuple[str, ...]
    small: np.ndarray


def pack(listing: FieldListing, hashes: Sequence[Digest], side: int, facts: dict[str, Any]) -> Stored:
    """The fields' pixels and, with masks, what is drawn on them; `cells`, `groups`, `scale` and `notes` are in the
    manifest.

    The longest side in a series becomes `side`, and all fields of the series are resized by that same factor, so that
    sizes and areas in it compare. A field lies at the top left; what is right of and below it has the mean colour of
    its border.
    """
    entries = listing.entries
    parts = [[e.name, e.series, *digest] for e, digest in zip(entries, hashes, strict=True)]
    words = [listing.classes, listing.attributes, listing.masks]
    key = hashlib.sha256(json.dumps(["fields", VERSION, side, words, parts]).encode()).hexdigest()[:32]
    return stored(key, lambda part: _fill(part, listing, hashes, side, {"key": key, **facts, "fields": parts}))


def _fill(
    part: Path, listing: FieldListing, hashes: Sequence[Digest], side: int, manifest: dict[str, Any]
) -> tuple[dict[str, np.memmap], dict[str, Any]]:
    entries, count = listing.entries, len(listing.entries)
    sizes = [entry.source.size() for entry in entries]
    longest: dict[str, int] = defaultdict(int)
    for entry, size in zip(entries, sizes, strict=True):
        longest[entry.series] = max(longest[entry.series], *size)
    scale = [side / longest[entry.series] for entry in entries]
    height, width = (math.ceil(max(size[i] * by for size, by in zip(sizes, scale, strict=True)) - 1e-6) for i in (0, 1))
    arrays = {"pixels": np.lib.format.open_memmap(part / "pixels.npy", "w+", np.uint8, (count, height, width, 3))}
    if listing.masks:
        arrays["drawn"] = np.lib.format.open_memmap(part / "drawn.npy", "w+", np.uint8, (count, height, width))
    cells, notes, small = [], [], []
    with workers([entry.source for entry in entries]) as pool:
        made = pool.map(
            _one, entries, sizes, scale, [(height, width)] * count, [listing.masks] * count,
            [(len(listing.classes), tuple(len(a.values) for a in listing.attributes))] * count, chunksize=8,
        )  # fmt: skip
        for row, one in enumerate(shown(made, count, "packing fields")):
            arrays["pixels"][row] = one.pixels
            if one.drawn is not None:
                arrays["drawn"][row] = one.drawn
            cells.append(one.cells)
            notes += [f"{entries[row].name}: {note}" for note in one.notes]
            small.append(one.small)
    groups = _groups([entry.name for entry in entries], hashes, np.array(small))
    return arrays, manifest | {"cells": cells, "groups": groups, "scale": scale, "notes": notes}


def _one(
    entry: FieldEntry, size: tuple[int, int], scale: float, packed: tuple[int, int], masked: bool,
    words: tuple[int, tuple[int, ...]],
) -> _Made:  # fmt: skip
    field = entry.source.read()
    _checked(entry.name, field, size, masked, words)
    height, width = (max(1, min(most, round(side * scale))) for side, most in zip(size, packed, strict=True))
    pixels = np.empty((*packed, 3), np.uint8)
    pixels[:] = np.rint(border(field.image)).astype(np.uint8)
    pixels[:height, :width] = _resized(field.image, height, width)
    drawn = None if field.cells.masks is None else np.zeros(packed, np.uint8)
    if drawn is not None and field.cells.masks is not None:
        place = drawn[:height, :width]
        for number, mask in enumerate(field.cells.masks, start=1):
            whole, nucleus = (_halves(mask >= level, height, width) for level in (1, 2))
            free = place == 0
            place[whole & free] = 2 * number - 1
            place[nucleus & whole & free] = 2 * number
    cells = {
        "labels": field.cells.labels.tolist(),
        "boxes": np.minimum(field.cells.boxes * scale, [width, height, width, height]).tolist(),
        "attributes": field.cells.attributes.tolist(),
    }
    return _Made(pixels, drawn, cells, field.notes, thumbnail(field.image))


def _checked(
    name: str, field: Field, size: tuple[int, int], masked: bool, words: tuple[int, tuple[int, ...]]
) -> None:
    """What every reader promises; a ZooError names the field."""
    image, cells = field.image, field.cells
    count, (classes, values) = len(cells.labels), words
    if image.shape != (*size, 3) or image.dtype != np.uint8:
        raise ZooError(f"{name}: its image is {image.dtype} {image.shape}, not uint8 {(*size, 3)}")
    there = None if cells.masks is None else cells.masks.shape
    if there != ((count, *size) if masked else None):
        raise ZooError(f"{name}: its masks have the shape {there}, not {(count, *size) if masked else None}")
    if count > MOST:
        raise ZooError(f"{name}: {count} cells, more than the {MOST} that can be packed; cut it into smaller fields")
    if count and not -1 <= cells.labels.min() <= cells.labels.max() < classes:
        raise ZooError(f"{name}: a class that is not in -1..{classes - 1}")
    if cells.attributes.shape != (count, len(values)) or ((cells.attributes < -1) | (cells.attributes >= values)).any():
        raise ZooError(f"{name}: an attribute that is not in -1..{values} less one")


def _groups(names: list[str], hashes: Sequence[Digest], small: np.ndarray) -> list[int]:
    """The first field with the same bytes, or with the same looks."""
    first: dict[str, int] = {}
    groups = [first.setdefault(digest.image, i) for i, digest in enumerate(hashes)]
    own = sorted(first.values())
    for alike in near([names[i] for i in own], small[own]):
        members = {names.index(name) for name in alike}
        groups = [min(members) if group in members else group for group in groups]
    return groups


def border(image: np.ndarray) -> np.ndarray:
    """(3,) mean colour of the outermost pixels."""
    sides = (image[0], image[-1], image[1:-1, 0], image[1:-1, -1])
    return np.concatenate(sides).mean(0)


def _resized(image: np.ndarray, height: int, width: int, smooth: bool = False) -> np.ndarray:
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((width, height), method))


def _halves(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask (H, W) bool resized: the pixels of which at least half are in it."""
    return _resized(mask.astype(np.uint8) * 255, height, width, smooth=True) >= 128
