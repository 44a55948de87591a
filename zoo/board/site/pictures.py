"""Galleries that runs drew beside their records, as the site copies them."""

from pathlib import Path
from typing import NamedTuple

from zoo.record import settings_hash


class Drawn(NamedTuple):
    """A picture and where its copy lies in the site."""

    file: Path
    page: str
    width: int
    height: int
    caption: str


def drawn(file: Path | None, key: str, caption: str = "") -> Drawn | None:
    """The picture of the record with this key; None for a file that is not a PNG, whatever its name says."""
    if file is None:
        return None
    with file.open("rb") as opened:
        head = opened.read(24)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return Drawn(file, f"pictures/{settings_hash(key)[:12]}.png", width, height, caption)
