"""Getting a dataset: download with resume, or take what the user has; unpack; land in the card's layout at once."""

import hashlib
import logging
import shutil
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from contextlib import nullcontext
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, BinaryIO

from zoo import paths
from zoo.data import attributes
from zoo.data import card as card_file
from zoo.data.archive import unpack
from zoo.data.card import Card, Download
from zoo.data.fields import load as fields
from zoo.data.load import card_listing, present, subset_of
from zoo.errors import ZooError

_CHUNK = 1 << 18
_TIMEOUT = 30
_FLAT = ("npz", "attributes")
"""Layouts whose files lie as they are published."""


def get(name: str, source: Path | None = None) -> str:
    """Put a dataset below the data root, downloaded or from `source` (a zip, an npz or a folder).

    Returns one line that says what happened. Nothing half-made is left where `load` looks.
    """
    card = card_file.read(name)
    if card.layout in ("generated", "crops"):
        return get(card.of) if card.of else f"{name}: drawn by zoo itself, nothing to download"
    if source is None and present(name) and not verify(name):
        return f"{name}: already in {card.root}{_part(card)}"
    if card.layout not in _FLAT and card.root.exists() and any(card.root.iterdir()):
        raise ZooError(f"{card.root}: already there; move it away first, or set ZOO_DATA to another folder")
    try:
        paths.data().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".zoo-", dir=paths.data()) as staging:
            if source is None:
                files = [_download(card, item) for item in _wanted(card)]
            elif source.exists():
                files = [source]
            else:
                raise ZooError(f"{source}: no such file or folder; --from takes the zip, npz or folder you have")
            for file in files:
                _place(card, file, Path(staging) / "unpacked")
            if source is None:
                for file in files:
                    file.unlink(missing_ok=True)
    except OSError as error:
        where, why = error.filename or paths.data(), error.strerror or "not all could be copied"
        raise ZooError(f"{where}: {why}; check the space and the permissions, or set ZOO_DATA elsewhere") from None
    problems = verify(name)
    return f"{name}: in {card.root}{_part(card)}" + (
        f"; {len(problems)} problems (`zoo data verify {name}`), first: {problems[0]}" if problems else "")


def verify(name: str) -> list[str]:
    """What is wrong with the data of a card, one line each; empty where all is as published."""
    card = card_file.read(name)
    if card.layout in ("generated", "crops"):
        return verify(card.of) if card.of else []
    if not present(name):
        return [f"no data in {card.root}"]
    if card.layout == "npz":
        stored = [item for item in card.downloads if (card.root / item.file).is_file()]
        wrong = [item for item in stored if not _matches(card.root / item.file, item.hash)]
        return [f"{item.file}: its hash is not {item.hash}; delete it and get it again" for item in wrong] or (
            [] if stored else [f"none of {', '.join(item.file for item in card.downloads)} in {card.root}"])
    if card.layout in ("bccd", "leukox"):
        return _fields(card)
    if card.layout == "attributes":
        return _attributes(card)
    listing = card_listing(card)
    problems = []
    if card.layout == "folders":
        odd = sorted(f.name for f in card.root.iterdir() if f.is_dir() and f.name not in (*card.classes, "__MACOSX"))
        problems += [f"{folder}: a folder that is no class" for folder in odd if not folder.startswith(".")]
    subset = subset_of(card, listing)
    if subset in {part.name for part in card.subsets}:
        return problems
    found = Counter(listing.classes[entry.label] for entry in listing.entries)
    return problems + [
        f"{kind}: {found[kind]} files, {count} published" for kind, count in card.counts.items() if found[kind] != count
    ]


def _fields(card: Card) -> list[str]:
    """Whether there are as many fields as published; every one is read, and the first that cannot be is said."""
    try:
        found = fields.load(card.name)
    except ZooError as error:
        return [str(error)]
    count = len(found.names)
    return [] if count == card.fields else [f"{count} whole fields, {card.fields} published", *found.dropped]


def _attributes(card: Card) -> list[str]:
    """Whether as many images of each class have attributes as published, in words that are known."""
    try:
        found = Counter(item.split("/")[0] for part in attributes.wbcatt().values() for item in part)
    except ZooError as error:
        return [str(error)]
    return [f"{kind}: {found[kind]} rows, {n} published" for kind, n in card.counts.items() if found[kind] != n]


def _part(card: Card) -> str:
    subset = subset_of(card, card_listing(card)) if card.counts and card.layout not in _FLAT else None
    return f" ({subset})" if subset else ""


def _wanted(card: Card) -> list[Download]:
    wanted = [item for item in card.downloads if item.side in (0, card.side)]
    if not wanted:
        raise ZooError(f"{card.name}: zoo cannot download it; {_by_hand(card)}")
    return wanted


def _by_hand(card: Card) -> str:
    how = card.by_hand or f"see {card.source}"
    return f"{how}, then `zoo data get {card.name} --from FILE_OR_FOLDER` puts it into {card.root}"


def _download(card: Card, item: Download) -> Path:
    """The file, complete and with the right hash. A broken download goes on from where it stopped."""
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    folder = paths.data() / ".downloads" / card.name
    part = folder / f"{item.file}.part"

    def resumed(url: str, output_file: str, _pooch: object) -> None:
        _continue(card, url, part)
        part.replace(output_file)

    downloader: Any = resumed  # pooch's own type asks for argument names that it never uses
    try:
        return Path(pooch.retrieve(item.url, item.hash or None, item.file, folder, downloader=downloader))
    except ValueError:  # pooch's word for a wrong hash
        raise ZooError(
            f"{item.url}: what came does not have the hash {item.hash}; run the command again, or {_by_hand(card)}"
        ) from None


def _continue(card: Card, url: str, part: Path) -> None:
    """Download `url` to `part`, going on from what is there if the server still has the same file."""
    version = part.with_suffix(".version")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() and version.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "hemazoo"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version.read_text("utf-8"))
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            if answer.status != 206:
                have = 0
            elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise ZooError(f"{url}: the server went on from the wrong place; run the command again to start anew")
            tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            if tag and not tag.startswith("W/"):
                version.write_text(tag, "utf-8")
            else:
                version.unlink(missing_ok=True)
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            with part.open("ab" if have else "wb") as out:
                _copy(answer, out, have, total, f"downloading {card.name}")
        size = part.stat().st_size
        if total is not None and size < total:
            raise ZooError(f"{url}: the connection ended at {size} of {total} bytes; run the command again to go on")
    except urllib.error.HTTPError as error:
        if error.code == 416:
            part.unlink()
        raise ZooError(f"{url}: the server says {error.code} {error.reason}; try again, or {_by_hand(card)}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ZooError(f"{url}: cannot be reached ({reason}); try again, or {_by_hand(card)}") from None
    version.unlink(missing_ok=True)


def _copy(answer: Any, out: BinaryIO, have: int, total: int | None, what: str) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) if console.is_terminal else nullcontext() as bar:
        line = bar.add_task(what, total=total, completed=have) if bar else None
        while True:
            try:
                block = answer.read(_CHUNK)
            except IncompleteRead as cut:
                block, answer = cut.partial, None
            out.write(block)
            if bar and line is not None:
                bar.update(line, advance=len(block))
            if not block or answer is None:
                return


def _place(card: Card, file: Path, staging: Path) -> None:
    """Move the dataset out of a zip, an npz or a folder to where the card says."""
    if card.layout in _FLAT:
        _place_flat(card, file, staging)
        return
    if file.is_dir():
        found = _layout_root(card, file)
        shutil.copytree(found, staging / "copy")
        found = staging / "copy"
    else:
        try:
            unpack(file, staging)
        except ZooError:
            if paths.data() in file.parents:
                file.unlink(missing_ok=True)  # our own download: the next run fetches it afresh
            raise
        found = _layout_root(card, staging)
    card.root.parent.mkdir(parents=True, exist_ok=True)
    if card.root.exists():
        card.root.rmdir()
    found.replace(card.root)


def _place_flat(card: Card, file: Path, staging: Path) -> None:
    known = {item.file: item for item in card.downloads}
    given = sorted(file.iterdir()) if file.is_dir() else [file]
    given = [one for one in given if one.name in known]
    if not given:
        raise ZooError(f"{file}: none of {', '.join(known)} there; {_by_hand(card)}")
    staging.mkdir(parents=True, exist_ok=True)
    for one in given:
        if not _matches(one, known[one.name].hash):
            raise ZooError(f"{one}: its hash is not {known[one.name].hash}; {_by_hand(card)}")
        shutil.copyfile(one, staging / one.name)
    card.root.mkdir(parents=True, exist_ok=True)
    for one in given:
        (staging / one.name).replace(card.root / one.name)


def _layout_root(card: Card, top: Path) -> Path:
    """The folder at or below `top` that holds the dataset: most class folders, or the CSVs of classes."""
    signs = {
        "pairs": ("Class Labels of *.csv",), "bccd": ("JPEGImages", "Annotations", "NucleusMasks"),
        "leukox": ("train/inputs", "val/inputs", "test/inputs"),
    }.get(card.layout, card.classes)  # fmt: skip

    def score(folder: Path) -> int:
        return sum(len(list(folder.glob(sign))) for sign in signs)

    best = max([top, *sorted(folder for folder in top.rglob("*") if folder.is_dir())], key=score)
    if not score(best):
        wanted = f"'{signs[0]}'" if card.layout == "pairs" else f"folders {', '.join(signs)}"
        raise ZooError(f"{top.name if top.name != 'unpacked' else card.name}: no {wanted} in it; {_by_hand(card)}")
    return best


def _matches(file: Path, known: str) -> bool:
    if not known:
        return True
    kind, value = known.split(":")
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest() == value
