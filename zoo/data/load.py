"""`load`: a card's name or the path of a user's own data -> Items."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.data import card as card_file
from zoo.data import pack, readers
from zoo.data.card import Card
from zoo.data.fields import crops
from zoo.data.items import Items, View
from zoo.data.pictures import Unreadable
from zoo.data.readers import Digest, Entry, Listing
from zoo.errors import ZooError, unknown

OWN_VIEW = View(crop=0, side=160)
"""How a user's own pictures are packed unless told otherwise."""
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test"})


def cards() -> list[str]:
    """Names of the datasets that have a card."""
    return card_file.names()


def present(dataset: str) -> bool:
    """Whether the data of a card, or of a path, are there; looks at names only."""
    if dataset not in cards():
        return Path(dataset).expanduser().exists()
    return card_file.read(dataset).present


def load(dataset: str, view: View | None = None) -> Items:
    """Items of a card, of class folders or of a CSV (path,label[,mask]).

    Left out, with a line each in `dropped`: hidden files, other files, files the card excludes, byte-identical
    files whose classes differ. Raises ZooError for missing data and for an image that cannot be read.
    """
    listing, root, card = listed(dataset, view)
    view = view or (View(card.crop, card.side) if card else OWN_VIEW)
    if view.side < 1 or view.crop < 0:
        raise ZooError(f"crop {view.crop} and side {view.side} make no picture; give crop >= 0 and side >= 1")
    name = card.name if card else root.stem if root.is_file() else root.name
    hashes = pack.digests([entry.source for entry in listing.entries], str(root))
    subset = subset_of(card, listing) if card else None
    left_out = {rule.name: rule.reason for rule in card.exclude} if card else {}
    left_out |= conflicts(listing, hashes)
    kept = [pair for pair in zip(listing.entries, hashes, strict=True) if pair[0].name not in left_out]
    there = {entry.name for entry in listing.entries}
    dropped = sorted(listing.dropped + [f"{file}: {reason}" for file, reason in left_out.items() if file in there])
    entries, hashes = [entry for entry, _ in kept], [digest for _, digest in kept]
    if not entries:
        raise ZooError(f"{dataset}: all {len(dropped)} files were dropped; `zoo data audit {dataset}` says why")
    facts = {"dataset": name, "subset": subset, "classes": listing.classes, "dropped": dropped}
    try:
        packed = pack.pack(entries, hashes, view, bool(hashes[0].mask) or bool(card and card.masks), facts)
    except Unreadable as error:
        raise ZooError(f"{error}; mend or delete it, `zoo data audit {dataset}` lists all such files") from None
    return Items(
        dataset=name, subset=subset, synthetic=bool(card and card.synthetic), classes=listing.classes,
        names=tuple(entry.name for entry in entries),
        labels=np.array([entry.label for entry in entries], dtype=np.int64),
        groups=groups_of(entries, hashes), pixels=packed.pixels, masks=packed.masks,
        dropped=tuple(dropped), content_sha256=packed.sha256,
    )


def listed(dataset: str, view: View | None = None) -> tuple[Listing, Path, Card | None]:
    """What lies there before anything but other files is left out, its folder (or CSV), and the card if it has one."""
    if dataset in cards():
        card = card_file.read(dataset)
        return card_listing(card, view), card.root, card
    path = Path(dataset).expanduser()
    if not path.exists():
        if path.name == dataset and not path.suffix:
            raise unknown("dataset", dataset, cards(), "zoo data list")
        raise ZooError(f"{path}: no such folder or CSV; give class folders, a CSV, or a name from `zoo data list`")
    return own_listing(path.resolve()), path.resolve(), None


def card_listing(card: Card, view: View | None = None) -> Listing:
    """Everything that lies in the card's folder, before any item is left out but non-images."""
    card.needed()
    if card.layout == "folders":
        return readers.folders(card.root, card.classes)
    if card.layout == "pairs":
        return readers.pairs(card.root, card.classes)
    if card.layout == "npz":
        return readers.npz(_npz(card, (view or View(card.crop, card.side)).side), card.classes)
    if card.layout == "generated":
        return readers.drawn(card.classes, card.per_class)
    if card.layout == "attributes":
        raise ZooError(f"{card.name}: it has no images of its own; `--dataset pbc --explainer attributes` reads it")
    return crops.listing(card)


def own_listing(path: Path) -> Listing:
    """A user's own data, by looking: a CSV, a folder with one CSV of path,label in it, or class folders."""
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise ZooError(f"{path}: neither a folder nor a .csv; give class folders or a CSV with columns path,label")
        return _two(path, readers.table(path))
    tables = [file for file in sorted(path.glob("*.csv")) if readers.is_table(file)]
    if len(tables) > 1:
        raise ZooError(f"{path}: holds {len(tables)} CSV files of path,label; give one of them, such as {tables[0]}")
    if tables:
        return _two(path, readers.table(tables[0]))
    listing = readers.folders(path)
    if listing.classes and _SPLITS.issuperset(name.lower() for name in listing.classes):
        held = ", ".join(listing.classes)
        raise ZooError(f"{path}: holds {held}, not classes; give one of them, such as {path / listing.classes[0]}")
    if not listing.entries:
        raise ZooError(f"{path}: no class folders with images and no CSV with columns path,label in it")
    used = sorted({entry.label for entry in listing.entries})
    listing.classes = tuple(listing.classes[label] for label in used)
    listing.entries = [Entry(entry.name, used.index(entry.label), entry.source) for entry in listing.entries]
    return _two(path, listing)


def _two(path: Path, listing: Listing) -> Listing:
    if len(listing.classes) < 2:
        raise ZooError(f"{path}: images of one class alone ({', '.join(listing.classes)}); give two classes or more")
    return listing


def groups_of(entries: Sequence[Entry], hashes: Sequence[Digest]) -> np.ndarray:
    """(n,) int64: the position of the first item of the same group, else with the same bytes."""
    first: dict[str, int] = {}
    keys = (entry.group or digest.image for entry, digest in zip(entries, hashes, strict=True))
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)


def subset_of(card: Card, listing: Listing) -> str | None:
    """None for the whole dataset, else the name of the part that is there."""
    if not card.counts:
        return None
    found = np.bincount([entry.label for entry in listing.entries], minlength=len(card.classes))
    short = sum(max(0, card.counts[name] - int(n)) for name, n in zip(card.classes, found, strict=True))
    if not short:
        return None
    names = {entry.name for entry in listing.entries}
    for subset in card.subsets:
        if names == card.listed(subset):
            return subset.name
    return f"partial ({len(names)} of {sum(card.counts.values())})"


def conflicts(listing: Listing, hashes: Sequence[Digest]) -> dict[str, str]:
    """name -> reason, for every byte-identical file whose twin has another class."""
    same: dict[str, list[Entry]] = defaultdict(list)
    for entry, digest in zip(listing.entries, hashes, strict=True):
        same[digest.image].append(entry)
    return {
        entry.name: "same bytes, other class: " + ", ".join(twin.name for twin in twins if twin is not entry)
        for twins in same.values() if len({twin.label for twin in twins}) > 1
        for entry in twins
    }


def _npz(card: Card, side: int) -> Path:
    """The smallest stored size that is not below `side`, else the largest."""
    stored = [(item.side, card.root / item.file) for item in card.downloads if (card.root / item.file).is_file()]
    if not stored:
        raise ZooError(f"{card.name}: none of its files in {card.root}; `zoo data get {card.name}` fetches one")
    return min(stored, key=lambda found: (found[0] < side, abs(found[0] - side)))[1]
