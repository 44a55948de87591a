"""What is odd in a dataset: duplicates, conflicts, strange files and sizes, a second colour batch, class balance."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zoo.data import pack, readers
from zoo.data.alike import near, thumbnail
from zoo.data.load import conflicts, listed, subset_of
from zoo.data.pictures import Unreadable
from zoo.data.readers import Entry


@dataclass(frozen=True)
class Report:
    """The findings, in item names."""

    dataset: str
    subset: str | None
    counts: dict[str, int]
    """Images per class, duplicates included."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of byte-identical images."""
    conflicts: tuple[str, ...]
    """Images whose byte-identical twin has another class."""
    near: tuple[tuple[str, ...], ...]
    """Groups of images that look the same, with different bytes."""
    other_files: tuple[str, ...]
    """Hidden files and files that are no images, with the reason."""
    unreadable: tuple[str, ...]
    """Images that cannot be read whole, with the reason."""
    sizes: dict[str, int]
    """'width x height' -> images, most frequent first."""
    odd: tuple[str, ...]
    """Images whose size is not the most frequent one."""
    odd_per_class: dict[str, int]
    background: tuple[float, float, float] | None
    """Median background colour (R, G, B, 0..255) of images of the most frequent size."""
    odd_background: tuple[float, float, float] | None
    """The same of all other images."""

    @property
    def shift(self) -> tuple[float, float, float] | None:
        """Background of odd-sized images minus that of the others, grey levels per channel."""
        if self.background is None or self.odd_background is None:
            return None
        red, green, blue = (round(b - a, 1) for a, b in zip(self.background, self.odd_background, strict=True))
        return red, green, blue

    @property
    def imbalance(self) -> float:
        """Largest class over smallest class with images."""
        present = [count for count in self.counts.values() if count]
        return max(present) / min(present) if present else 1.0

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The report as text, one finding a line."""
        total, part = sum(self.counts.values()), f" ({self.subset})" if self.subset else ""
        shift = self.shift
        return [
            f"{self.dataset}{part}: {total} images, {len(self.counts)} classes",
            "classes: " + ", ".join(f"{name} {count}" for name, count in self.counts.items())
            + f"; largest to smallest {self.imbalance:.1f}",
            f"byte-identical groups: {len(self.duplicates)}" + _first(" = ".join(g) for g in self.duplicates),
            f"images whose twin has another class: {len(self.conflicts)}" + _first(self.conflicts),
            f"groups that look the same: {len(self.near)}" + _first(" ~ ".join(g) for g in self.near),
            f"other files: {len(self.other_files)}" + _first(self.other_files),
            f"unreadable images: {len(self.unreadable)}" + _first(self.unreadable),
            "sizes: " + ", ".join(f"{size} {count}" for size, count in list(self.sizes.items())[:8]),
            f"odd sizes: {len(self.odd)}" + _first((f"{name} {n}" for name, n in self.odd_per_class.items()), most=20),
            "background of odd sizes against the rest (R, G, B): "
            + ("none to compare" if shift is None else ", ".join(f"{value:+.1f}" for value in shift)),
        ]


def audit(dataset: str) -> Report:
    """Look at every file of a card's data or of a user's own. Reads everything once; changes nothing."""
    listing, root, card = listed(dataset)
    entries = listing.entries
    hashes = pack.digests([entry.source for entry in entries], str(root))
    same: dict[str, list[Entry]] = defaultdict(list)
    for entry, digest in zip(entries, hashes, strict=True):
        same[digest.image].append(entry)
    with pack.workers([entry.source for entry in entries]) as pool:
        looks = list(pack.shown(pool.map(_look, entries, chunksize=16), len(entries), "looking at images"))
    readers.forget()
    seen = {entry.name: look for entry, look in zip(entries, looks, strict=True) if isinstance(look, _Look)}
    sizes = Counter(look.size for look in seen.values())
    usual = sizes.most_common(1)[0][0] if sizes else None
    odd = [entry for entry in entries if entry.name in seen and seen[entry.name].size != usual]
    odd_names = {entry.name for entry in odd}
    firsts = [twins[0].name for twins in same.values() if twins[0].name in seen]
    counts = Counter(entry.label for entry in entries)
    return Report(
        dataset=card.name if card else root.name,
        subset=subset_of(card, listing) if card else None,
        counts={name: counts[label] for label, name in enumerate(listing.classes)},
        duplicates=tuple(tuple(entry.name for entry in twins) for twins in same.values() if len(twins) > 1),
        conflicts=tuple(sorted(conflicts(listing, hashes))),
        near=near(firsts, np.array([seen[name].small for name in firsts])),
        other_files=tuple(listing.dropped),
        unreadable=tuple(look for look in looks if isinstance(look, str)),
        sizes={f"{width} x {height}": count for (width, height), count in sizes.most_common()},
        odd=tuple(entry.name for entry in odd),
        odd_per_class=dict(Counter(listing.classes[entry.label] for entry in odd)),
        background=_median(look.background for name, look in seen.items() if name not in odd_names),
        odd_background=_median(seen[entry.name].background for entry in odd),
    )


@dataclass(frozen=True)
class _Look:
    size: tuple[int, int]
    small: np.ndarray
    background: np.ndarray


def _look(entry: Entry) -> _Look | str:
    """What one image looks like, or why it cannot be read."""
    try:
        image, _ = entry.source.read()
    except Unreadable as error:
        return str(error)
    return _Look((image.shape[1], image.shape[0]), thumbnail(image), _background(image))


def _background(image: np.ndarray) -> np.ndarray:
    """(3,) median colour of the brighter half of the outer frame: plasma rather than cells."""
    rim = max(1, min(image.shape[:2]) // 20)
    sides = (image[:rim], image[-rim:], image[:, :rim], image[:, -rim:])
    frame = np.concatenate([side.reshape(-1, 3) for side in sides])
    light = frame.sum(1, dtype=np.int64)
    return np.median(frame[light >= np.median(light)], axis=0)


def _median(colours: Iterable[np.ndarray]) -> tuple[float, float, float] | None:
    every = list(colours)
    if not every:
        return None
    red, green, blue = (round(float(value), 1) for value in np.median(every, axis=0))
    return red, green, blue


def _first(texts: Iterable[str], most: int = 3) -> str:
    every = list(texts)
    return f" ({'; '.join(every[:most])}{'; ...' if len(every) > most else ''})" if every else ""
