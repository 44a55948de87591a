"""Numbers drawn from a key, the same on every machine and library version."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

_BLOCK = 256


class Chance:
    """A stream of draws seeded by SHA-256 of a key.

    Only the raw words of PCG64 are used, whose stream NumPy promises to keep; it makes no such promise
    for its distributions.
    """

    def __init__(self, *key: object) -> None:
        digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest[:16], "little"))
        self._pool: list[float] = []

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        if not self._pool:
            self._pool = ((self._bits.random_raw(_BLOCK) >> np.uint64(11)) * 2.0**-53).tolist()
        return self._pool.pop()

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def bell(self) -> float:
        """Mean 0, standard deviation 1, never beyond +-3.5: the sum of four uniform draws."""
        return (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * math.sqrt(3.0)

    def whole(self, count: int) -> int:
        """Uniform in 0..count-1."""
        return int(self.unit() * count)

    def happens(self, probability: float) -> bool:
        return self.unit() < probability

    def pick(self, weights: Sequence[tuple[str, float]]) -> str:
        """One of the names, by weight."""
        left = self.unit() * sum(weight for _, weight in weights)
        for name, weight in weights:
            left -= weight
            if left < 0:
                return name
        return weights[-1][0]

    def turn(self) -> tuple[float, float]:
        """Cosine and sine of a uniform angle."""
        return direction(self.between(0.0, 2.0 * math.pi))

    def bytes(self, count: int) -> np.ndarray:
        """(count,) int64 in 0..255."""
        words = self._bits.random_raw(-(-count // 8))
        return np.asarray(words, dtype="<u8").view(np.uint8)[:count].astype(np.int64)


def direction(angle: float) -> tuple[float, float]:
    """Cosine and sine, rounded so that the last bit of a C library cannot show in a picture."""
    return round(math.cos(angle), 7), round(math.sin(angle), 7)
