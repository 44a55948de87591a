"""Readers: how each layout lists its items, and how one item becomes pixels. Nothing is cached here."""

import csv
import hashlib
import os
import threading
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from zoo.data.pictures import levels, rgb
from zoo.errors import ZooError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"})


class Digest(NamedTuple):
    """SHA-256 of an item's bytes."""

    image: str
    mask: str = ""


class Origin(Protocol):
    """Where bytes come from."""

    @property
    def computed(self) -> bool:
        """Whether Python code draws it, instead of a library decoding a file."""
        ...

    def stamp(self) -> str:
        """Changes when the bytes may have changed; cheap."""
        ...

    def digest(self) -> Digest:
        """Of the bytes as they lie on disk."""
        ...


class Source(Origin, Protocol):
    """Where one item comes from."""

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Image (H, W, 3) uint8 RGB and mask (H, W) uint8 0/1/2, if there is one. Raises ZooError."""
        ...


@dataclass(frozen=True)
class File:
    """An image file, with or without a mask file."""

    path: Path
    mask: Path | None = None
    computed: bool = field(default=False, init=False)

    def stamp(self) -> str:
        return " ".join(
            f"{file}:{stat.st_size}:{stat.st_mtime_ns}" for file in (self.path, self.mask) if file
            for stat in (file.stat(),)
        )

    def digest(self) -> Digest:
        return Digest(*(hashlib.sha256(file.read_bytes()).hexdigest() for file in (self.path, self.mask) if file))

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        return rgb(self.path), None if self.mask is None else levels(self.mask)


@dataclass(frozen=True)
class Row:
    """A row of an array inside an npz file."""

    path: Path
    array: str
    row: int
    computed: bool = field(default=False, init=False)

    def stamp(self) -> str:
        stat = self.path.stat()
        return f"{self.path}:{stat.st_size}:{stat.st_mtime_ns}:{self.array}:{self.row}"

    def digest(self) -> Digest:
        return Digest(hashlib.sha256(self.read()[0].tobytes()).hexdigest())

    def read(self) -> tuple[np.ndarray, None]:
        images = stored(self.path, self.array)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or self.row >= len(images):
            raise ZooError(f"{self.path}: {self.array} are not (n, H, W, 3) uint8 with one for each label")
        return images[self.row], None


@dataclass(frozen=True)
class Drawn:
    """A synthetic cell."""

    kind: str
    seed: int
    computed: bool = field(default=True, init=False)

    def stamp(self) -> str:
        return f"drawn:{generator()}:{self.kind}:{self.seed}"

    def digest(self) -> Digest:
        return Digest(hashlib.sha256(self.stamp().encode()).hexdigest())

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        from zoo.data import smear

        cell = smear.cell(self.kind, self.seed)
        return cell.image, cell.mask


@dataclass(frozen=True)
class Entry:
    """One item, not read yet."""

    name: str
    label: int
    source: Source
    group: str = ""
    """What it shares with others that must stay on its side of every split; empty = its bytes."""


@dataclass
class Listing:
    """What a reader found, sorted by name."""

    classes: tuple[str, ...]
    entries: list[Entry]
    dropped: list[str] = field(default_factory=list)


def folders(root: Path, classes: Iterable[str] = ()) -> Listing:
    """Class folders: root/<class>/**/<image>. Without `classes`, every folder with an image is one."""
    given = tuple(classes)
    found = given or tuple(sorted(
        folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith((".", "__"))
    ))
    listing = Listing(found, [])
    for label, name in enumerate(found):
        if not (root / name).is_dir():
            continue
        for folder, _, files in os.walk(root / name):
            inside = Path(folder).relative_to(root).as_posix()
            for file in files:
                relative, path = f"{inside}/{file}", Path(folder, file)
                if "/." in relative:
                    listing.dropped.append(f"{relative}: hidden file")
                elif path.suffix.lower() not in SUFFIXES:
                    listing.dropped.append(f"{relative}: not an image")
                elif not path.is_file():
                    listing.dropped.append(f"{relative}: a link to nothing")
                else:
                    listing.entries.append(Entry(relative, label, File(path)))
    return _sorted(listing)


def is_table(file: Path) -> bool:
    """Whether the CSV's first line names path and label."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return {"path", "label"} <= set(next(csv.reader(stream), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def table(file: Path) -> Listing:
    """A CSV with columns path,label[,mask]; paths are relative to the CSV. Classes in alphabetical order."""
    lines = rows(file)
    for column in ("path", "label"):
        if lines and column not in lines[0]:
            raise ZooError(f"{file}: no column '{column}'; the columns must be path,label or path,label,mask")
    if not lines:
        raise ZooError(f"{file}: no rows; the columns must be path,label or path,label,mask")
    listing = Listing(tuple(sorted({(row["label"] or "").strip() for row in lines})), [])
    if "" in listing.classes:
        raise ZooError(f"{file}: a row has no label; give every row one")
    masked = ["mask" in row and bool((row["mask"] or "").strip()) for row in lines]
    if any(masked) != all(masked):
        raise ZooError(f"{file}: line {masked.index(False) + 2} has no mask; give every row one, or none")
    seen: set[str] = set()
    for line, row in enumerate(lines, start=2):
        name = Path((row["path"] or "").strip().replace("\\", "/")).as_posix()
        if name in seen:
            raise ZooError(f"{file}: line {line} names {name} a second time; keep one of the rows")
        seen.add(name)
        image = _beside(file, line, name)
        mask = _beside(file, line, (row["mask"] or "").strip().replace("\\", "/")) if masked[0] else None
        listing.entries.append(Entry(name, listing.classes.index((row["label"] or "").strip()), File(image, mask)))
    return _sorted(listing)


def pairs(root: Path, classes: tuple[str, ...]) -> Listing:
    """<set>/<number>.bmp beside <set>/<number>.png (mask), codes 1, 2 ... in `Class Labels of <set>.csv`."""
    listing = Listing(classes, [])
    for file in sorted(root.glob("Class Labels of *.csv")):
        folder = root / file.stem.removeprefix("Class Labels of ")
        for row in rows(file):
            number, code = list(row.values())[:2]
            if not (str(number).isdigit() and str(code).isdigit() and 1 <= int(str(code)) <= len(classes)):
                raise ZooError(f"{file}: row {number},{code} is not a number and a class code 1..{len(classes)}")
            image = folder / f"{int(str(number)):03d}.bmp"
            mask = image.with_suffix(".png")
            name = f"{folder.name}/{image.stem}"
            if image.is_file() and mask.is_file():
                listing.entries.append(Entry(name, int(str(code)) - 1, File(image, mask)))
            else:
                listing.dropped.append(f"{name}: {'mask' if image.is_file() else 'image'} is missing")
    return _sorted(listing)


def npz(file: Path, classes: tuple[str, ...]) -> Listing:
    """MedMNIST: arrays <split>_images (n, H, W, 3) uint8 and <split>_labels (n, 1)."""
    listing = Listing(classes, [])
    for split in ("train", "val", "test"):
        labels = stored(file, f"{split}_labels").reshape(-1)
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise ZooError(f"{file}: {split}_labels are not all in 0..{len(classes) - 1}")
        listing.entries += [
            Entry(f"{split}/{row:05d}", int(label), Row(file, f"{split}_images", row))
            for row, label in enumerate(labels)
        ]
    return _sorted(listing)


def drawn(classes: Iterable[str], per_class: int) -> Listing:
    """Synthetic cells: item i of each class has seed i."""
    listing = Listing(tuple(classes), [])
    listing.entries = [
        Entry(f"{kind}/{seed:04d}", label, Drawn(kind, seed))
        for label, kind in enumerate(listing.classes) for seed in range(per_class)
    ]
    return _sorted(listing)


def stored(file: Path, array: str) -> np.ndarray:
    """One array of an npz file, kept for the next call. Pickled objects are refused."""
    with _one_reader:
        return _stored(file, array)


def forget() -> None:
    """Let go of the arrays that `stored` keeps."""
    _stored.cache_clear()


_one_reader = threading.Lock()


@lru_cache(maxsize=6)
def _stored(file: Path, array: str) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return arrays[array]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ZooError(f"{file}: {array} cannot be read ({error}); delete the file and get it again") from None


def rows(file: Path) -> list[dict[str, str | None]]:
    """The rows of a CSV with a line of names above. ZooError where it cannot be read."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ZooError(f"{file}: cannot be read as CSV: {error}") from None


def _beside(file: Path, line: int, name: str) -> Path:
    if not name or Path(name).is_absolute():
        raise ZooError(f"{file}: line {line}: path '{name}' must be relative to the CSV")
    if not (file.parent / name).is_file():
        raise ZooError(f"{file}: line {line}: there is no file {file.parent / name}")
    return file.parent / name


def _sorted(listing: Listing) -> Listing:
    listing.entries.sort(key=lambda entry: entry.name)
    listing.dropped.sort()
    return listing


@lru_cache
def generator() -> str:
    """Hash of the generator's source, so that cells drawn by older code are never mixed in."""
    digest = hashlib.sha256()
    for file in sorted((Path(__file__).parent / "smear").glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
