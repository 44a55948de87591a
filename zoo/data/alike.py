"""Which pictures look the same, whatever their bytes."""

from collections import defaultdict
from itertools import combinations

import numpy as np

_SMALL = 32
_NEAR_BITS = 2
_NEAR_GREY = 4.0
"""Mean difference in grey levels (0..255) of two 32 x 32 thumbnails below which they are the same picture."""


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(32, 32, 3) uint8."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((_SMALL, _SMALL), Image.Resampling.BOX))


def _bits(small: np.ndarray) -> np.ndarray:
    """(n, 63) bool: signs of low cosine frequencies of (n, 32, 32, 3) thumbnails against their median (pHash)."""
    place = (np.arange(_SMALL) + 0.5) * np.pi / _SMALL
    waves = np.cos(np.arange(8)[:, None] * place[None])
    grey = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    low = (waves @ grey @ waves.T).reshape(len(small), -1)[:, 1:]
    return low > np.median(low, axis=1, keepdims=True)


def near(names: list[str], small: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Groups of different bytes and like looks: at most two of 63 bits apart, then thumbnails compared.

    Two of 63 bits apart means that one of three blocks of 21 bits is equal, so only equal blocks are compared.
    """
    if len(names) < 2:
        return ()
    bits = _bits(small)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for block in range(3):
        packed = np.packbits(bits[:, block * 21:(block + 1) * 21], axis=1)
        for i, code in enumerate(packed):
            buckets[block, code.tobytes()].append(i)
    leader = list(range(len(names)))

    def top(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    for bucket in buckets.values():
        for i, j in combinations(bucket, 2):
            if top(i) == top(j) or (bits[i] != bits[j]).sum() > _NEAR_BITS:
                continue
            if np.abs(small[i].astype(np.int16) - small[j]).mean() <= _NEAR_GREY:
                leader[top(j)] = top(i)
    groups: dict[int, list[str]] = defaultdict(list)
    for i, name in enumerate(names):
        groups[top(i)].append(name)
    return tuple(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
