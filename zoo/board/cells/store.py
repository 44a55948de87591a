"""Records of cells as files, below the folder `cells` of the records of episodes; never trusted when read."""

import hashlib
from pathlib import Path

from zoo import paths
from zoo.board import store
from zoo.cell_record import FOLDER, CellRecord
from zoo.errors import ZooError


def write(record: CellRecord, root: Path) -> Path:
    """Write a record below `root` (`records` or `runs`) at its key, replacing the one there. Returns where it is."""
    path = root / record.key
    store.write_text(path, store.dumps(record))
    return path


def read(path: Path) -> CellRecord:
    """The record in a file. Raises ZooError, one line with the file and the first problem, for anything else."""
    return store.parsed(path, lambda content: CellRecord.model_validate(content, strict=True))


def find(root: Path) -> list[CellRecord]:
    """Every record of cells below `root`, in the order of their paths. A broken one raises ZooError naming it."""
    return [read(path) for path in files(root)]


def files(root: Path) -> list[Path]:
    """Every JSON file in a folder below `root`'s own folder of cells."""
    return sorted((root / FOLDER).glob("*/**/*.json"))


def protocols() -> dict[str, str]:
    """Name of each benchmark of cells -> SHA-256 of its file."""
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in paths.cell_protocols().glob("*.toml")}


def is_cells(path: Path) -> bool:
    """Whether a file says that it is a record of cells; False for what cannot be read."""
    try:
        return store.parsed(path, _Kind).key == "cells"
    except ZooError:
        return False


class _Kind:
    def __init__(self, content: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        self.key = kind if isinstance(kind, str) and kind else "record"
