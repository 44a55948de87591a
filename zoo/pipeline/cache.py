"""What can be made again, kept by content: one file a key, written whole or not at all, rebuilt when damaged."""

import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike
from torch import nn

from zoo import atomic, paths
from zoo.record import settings_hash

_PACKAGE = Path(__file__).resolve().parents[1]


def code(*things: Any) -> str:
    """Hash of the source files that define these classes, functions (below their decorators) or modules, wherever
    they are installed."""
    return _of({Path(inspect.getsourcefile(inspect.unwrap(thing)) or "") for thing in things})


@functools.cache
def all_code(*plugins: type) -> str:
    """Hash of every source file that can change a figure: all of zoo but what only shows or writes it, and the
    files of those plug-ins that other packages add."""
    shown = ("cli", "listing", "scaffold", "tracking")
    board = _PACKAGE / "board"
    every = (file for file in _PACKAGE.rglob("*.py") if file.stem not in shown)
    added = {Path(inspect.getfile(plugin)).resolve() for plugin in plugins}
    files = {file for file in every if not file.is_relative_to(board)}
    return _of(files | {file for file in added if not file.is_relative_to(_PACKAGE)})


def _of(files: Iterable[Path]) -> str:
    """Hash of what is in these files, whatever their order and place."""
    digests = sorted(hashlib.sha256(file.read_bytes()).digest() for file in files)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def state_sha256(*networks: nn.Module | None) -> str:
    """Hash of every tensor of these networks, names included."""
    digest = hashlib.sha256()
    for network in networks:
        for name, tensor in (network.state_dict() if network is not None else {}).items():
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def place(kind: str, suffix: str, *key: Any) -> Path:
    """Path of a cached thing: kind, and the hash of all that determines it."""
    return paths.cache() / kind / (settings_hash(*key) + suffix)


def array(file: Path, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """The float32 array at `file`, memory-mapped, made first where it is missing or damaged."""
    found = whole(file, shape, np.float32)
    if found is not None:
        return found
    made = np.ascontiguousarray(make(), np.float32)
    keep(file, made)
    return made


def keep(file: Path, made: np.ndarray) -> None:
    """Write an array whole or not at all."""
    with atomic.replacing(file) as partial:
        np.save(partial, made)


def whole(file: Path, shape: tuple[int, ...], dtype: DTypeLike, mode: Literal["r", "c"] = "r") -> np.ndarray | None:
    """The array at `file`, memory-mapped; None where it is missing, or damaged, which is said."""
    if not file.is_file():
        return None
    try:
        found = np.load(file, mmap_mode=mode)
        if found.shape == shape and found.dtype == dtype:
            return found
        problem = f"shape {found.shape}"
    except (ValueError, OSError, EOFError) as error:
        problem = str(error)
    print(f"damaged cache file {file.name} is made again ({problem})", file=sys.stderr)
    return None


def numbers(file: Path, make: Callable[[], dict]) -> dict:
    """The JSON object at `file`, made first where it is missing or damaged."""
    if file.is_file():
        try:
            return json.loads(file.read_text("utf-8"))
        except ValueError as problem:
            print(f"damaged cache file {file.name} is made again ({problem})", file=sys.stderr)
    made = make()
    with atomic.replacing(file) as partial:
        partial.write(json.dumps(made).encode())
    return made
