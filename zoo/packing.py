"""Numbers and names of a record as short text: base64 of zlib."""

import base64
import json
import zlib
from collections.abc import Sequence

import numpy as np

NO_DRAW = 65_535
LARGEST = 50_000_000
"""Bytes that a text may unpack to, so that a few kilobytes from a stranger cannot fill the memory."""


def pack_numbers(values: np.ndarray | Sequence[int]) -> str:
    """Whole numbers of 0..65,535: their low bytes, then their high ones, which are mostly alike. ValueError for
    others."""
    given = np.asarray(values)
    words = given.astype("<u2")
    if (words != given).any():
        raise ValueError("a number is below 0 or above 65,535")
    return _pack(words.view(np.uint8).reshape(-1, 2).T.tobytes())


def unpack_numbers(text: str, limit: int = LARGEST) -> np.ndarray:
    """The inverse of `pack_numbers`, as int64. ValueError for what is damaged or unpacks to over `limit` bytes."""
    raw = unpack_bytes(text, limit)
    if len(raw) % 2:
        raise ValueError("packed numbers are damaged")
    return np.frombuffer(raw, np.uint8).reshape(2, -1).T.copy().view("<u2")[:, 0].astype(np.int64)


def pack_draws(values: np.ndarray) -> str:
    """Fractions in 0..1 in steps of 1/65,534, NaN among them."""
    return pack_numbers(np.where(np.isnan(values), NO_DRAW, np.rint(np.nan_to_num(values) * (NO_DRAW - 1))))


def unpack_draws(text: str) -> np.ndarray:
    """The inverse of `pack_draws`. Raises ValueError for anything else."""
    numbers = unpack_numbers(text, 2_000_000)
    return np.where(numbers == NO_DRAW, np.nan, numbers / (NO_DRAW - 1))


def pack_names(names: Sequence[str]) -> str:
    """Texts of any content."""
    return _pack(json.dumps(list(names), ensure_ascii=False).encode())


def unpack_names(text: str) -> list[str]:
    """The inverse of `pack_names`. Raises ValueError for what is damaged."""
    try:
        found = json.loads(unpack_bytes(text, LARGEST))
    except RecursionError:
        raise ValueError("packed names are damaged") from None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("packed names are damaged")
    return found


def _pack(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def unpack_bytes(text: str, limit: int = LARGEST) -> bytes:
    """What was packed. ValueError for what is damaged or longer than `limit`."""
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(base64.b64decode(text, validate=True), limit)
    except zlib.error:
        raise ValueError("packed text is damaged") from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise ValueError("packed text is damaged or too long")
    return raw
