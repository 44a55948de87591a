"""The packed image cache: every item decoded once, cropped, resized and kept as one memory-mapped array.

Layout: cache/packed/<key>/{pixels.npy, masks.npy, manifest.json}, as `stored` keeps any set of arrays;
cache/packed/digests/<root>.json remembers the SHA-256 of files whose size and time have not changed.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from zoo import paths
from zoo.data.items import View
from zoo.data.pictures import square
from zoo.data.readers import Digest, Entry, Origin, forget
from zoo.errors import ZooError

T = TypeVar("T")

VERSION = 1
"""Raise it when the same bytes would be packed into other pixels."""


class Packed(NamedTuple):
    """The opened arrays; shapes as in `Items`."""

    pixels: np.ndarray
    masks: np.ndarray | None
    sha256: str


class Stored(NamedTuple):
    """What `stored` keeps."""

    arrays: dict[str, np.ndarray]
    """Memory-mapped, by the stems of their files."""
    manifest: dict[str, Any]
    """With `sha256`, of the arrays."""


def digests(sources: Sequence[Origin], root: str) -> list[Digest]:
    """SHA-256 of every source's bytes, remembered for this `root` while size and time stay the same."""
    file = paths.cache() / "packed" / "digests" / f"{hashlib.sha256(root.encode()).hexdigest()[:24]}.json"
    try:
        known = {stamp: Digest(*digest) for stamp, digest in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        known = {}
    try:
        stamps = [source.stamp() for source in sources]
        missing = [i for i, stamp in enumerate(stamps) if stamp not in known]
        with ThreadPoolExecutor() as pool:
            found = shown(pool.map(lambda i: sources[i].digest(), missing), len(missing), "hashing")
            known |= {stamps[i]: digest for i, digest in zip(missing, found, strict=True)}
    except OSError as error:
        raise ZooError(f"{error.filename}: cannot be read ({error.strerror}); mend it or delete it") from None
    if missing:
        with _writing():
            _write_json(file, {stamp: known[stamp] for stamp in stamps})
    return [known[stamp] for stamp in stamps]


def pack(entries: Sequence[Entry], hashes: Sequence[Digest], view: View, masked: bool, facts: dict[str, Any]) -> Packed:
    """The entries' pixels, from the cache or made now. `facts` goes into the manifest for people to read."""
    parts = [[entry.name, entry.label, *digest] for entry, digest in zip(entries, hashes, strict=True)]
    key = hashlib.sha256(json.dumps([VERSION, view.crop, view.side, masked, parts]).encode()).hexdigest()[:32]
    manifest = {"key": key, "crop": view.crop, **facts, "items": parts}
    found = stored(key, lambda part: _fill(part, entries, view, masked, manifest))
    return Packed(found.arrays["pixels"], found.arrays.get("masks"), found.manifest["sha256"])


def stored(key: str, fill: Callable[[Path], tuple[dict[str, np.memmap], dict[str, Any]]]) -> Stored:
    """The arrays and the manifest of a key, from the cache or made now.

    `fill` writes <name>.npy for every array into the folder it is given, and returns the arrays and the manifest.
    """
    from filelock import FileLock

    folder = paths.cache() / "packed" / key
    with _writing():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            found = _opened(folder)
            if found is None:
                if folder.exists():
                    print(f"zoo: the packed images in {folder} are damaged; packing them again", file=sys.stderr)
                _make(folder, fill)
                found = _opened(folder)
    if found is None:
        raise ZooError(f"{folder}: what was written could not be read back; check the disk, or set ZOO_CACHE elsewhere")
    return found


def _one(entry: Entry, view: View, masked: bool) -> tuple[np.ndarray, np.ndarray | None]:
    image, mask = entry.source.read()
    if masked and (mask is None or mask.shape != image.shape[:2]):
        raise ZooError(f"{entry.name}: its mask {None if mask is None else mask.shape} does not fit {image.shape[:2]}")
    return square(image, view), square(mask, view, nearest=True) if masked and mask is not None else None


def _fill(
    part: Path, entries: Sequence[Entry], view: View, masked: bool, manifest: dict[str, Any]
) -> tuple[dict[str, np.memmap], dict[str, Any]]:
    shape = (len(entries), view.side, view.side)
    arrays = {"pixels": np.lib.format.open_memmap(part / "pixels.npy", "w+", np.uint8, (*shape, 3))}
    if masked:
        arrays["masks"] = np.lib.format.open_memmap(part / "masks.npy", "w+", np.uint8, shape)
    with workers([entry.source for entry in entries]) as pool:
        size = len(entries)
        made = pool.map(_one, entries, [view] * size, [masked] * size, chunksize=16)
        for row, (image, mask) in enumerate(shown(made, size, "packing images")):
            arrays["pixels"][row] = image
            if mask is not None:
                arrays["masks"][row] = mask
    return arrays, manifest


def _make(folder: Path, fill: Callable[[Path], tuple[dict[str, np.memmap], dict[str, Any]]]) -> None:
    """Write the folder under another name, then put it in place in one step."""
    part = folder.with_suffix(".part")  # one writer at a time: the lock is held, so a leftover is nobody's
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        arrays, manifest = fill(part)
        for array in arrays.values():
            array.flush()
        manifest["sha256"] = _content(list(arrays.values()))
        manifest["files"] = {f"{name}.npy": _stamp(part / f"{name}.npy") for name in arrays}
        del arrays
        _write_json(part / "manifest.json", manifest)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        forget()
        shutil.rmtree(part, ignore_errors=True)


def _opened(folder: Path) -> Stored | None:
    """The arrays, or None where they are missing or damaged.

    The hash of the pixels is taken again only where size or time differ from when they were written.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        names, digest = manifest["files"], str(manifest["sha256"])
        found = {name: np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names}
        touched = any(_stamp(folder / name) != stamp for name, stamp in names.items())
        if touched and _content(list(found.values())) != digest:
            return None
        return Stored({name.removesuffix(".npy"): array for name, array in found.items()}, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _stamp(file: Path) -> list[int]:
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _content(arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def workers(sources: Sequence[Origin]) -> Executor:
    """Processes for what Python draws where they can be forked; threads for files, whose decoding leaves Python."""
    forks = "fork" in multiprocessing.get_all_start_methods() and sys.platform == "linux"
    if sources and sources[0].computed and forks:
        return ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork"))
    return ThreadPoolExecutor()


def shown(results: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The results, with a progress bar on standard error once they have taken two seconds."""
    from rich.console import Console
    from rich.progress import Progress

    start, bar, line = time.monotonic(), None, None
    try:
        for done, result in enumerate(results, start=1):
            yield result
            if bar is None and time.monotonic() - start > 2 and done < total:
                bar = Progress(console=Console(stderr=True), refresh_per_second=2)
                bar.start()
                line = bar.add_task(what, total=total)
            if bar is not None and line is not None:
                bar.update(line, completed=done)
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = f"cannot be written ({error.strerror})"
        raise ZooError(f"{paths.cache()}: {why}; set ZOO_CACHE to a folder that can") from None


def _write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value), "utf-8")
    part.replace(file)
