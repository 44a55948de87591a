"""PBC's pictures that WBCAtt has attributes of, as fields with one cell that fills them."""

from dataclasses import dataclass, field

import numpy as np

from zoo.attributes import WBCATT
from zoo.data import attributes, card
from zoo.data.fields.source import Field, FieldEntry, FieldListing, true_cells
from zoo.data.pictures import rgb
from zoo.data.readers import Digest, File, folders


@dataclass(frozen=True)
class Told:
    """One picture, the class of its cell and the words of its attributes."""

    file: File
    label: int
    words: tuple[int, ...]
    crop: int
    computed: bool = field(default=False, init=False)

    def stamp(self) -> str:
        return f"told:{self.label}:{self.words}:{self.crop}:{self.file.stamp()}"

    def digest(self) -> Digest:
        return Digest(self.file.digest().image, f"{self.label}:{self.words}:{self.crop}")

    def size(self) -> tuple[int, int]:
        return self.crop, self.crop

    def read(self) -> Field:
        """The middle of the picture, as the few-shot benchmarks see it; what a smaller one lacks repeats its border."""
        image = rgb(self.file.path)
        lacks = [max(0, self.crop - side) for side in image.shape[:2]]
        image = np.pad(image, [*((lack // 2, lack - lack // 2) for lack in lacks), (0, 0)], "edge")
        top, left = ((side - self.crop) // 2 for side in image.shape[:2])
        image = np.ascontiguousarray(image[top : top + self.crop, left : left + self.crop])
        box = np.array([[0, 0, self.crop, self.crop]], np.float32)
        return Field(image, true_cells([self.label], box, None, [self.words], len(self.words)))


def listing(classes: tuple[str, ...]) -> FieldListing:
    """Every annotated picture that is there. ZooError where PBC, or WBCAtt, is not."""
    pbc = card.read("pbc")
    pbc.needed()
    found = {name: row for part in attributes.wbcatt().values() for name, row in part.items()}
    left_out = {rule.name for rule in pbc.exclude}
    entries = []
    for entry in folders(pbc.root, classes).entries:
        if entry.name in found and entry.name not in left_out and isinstance(entry.source, File):
            words = tuple(one.values.index(found[entry.name][one.name]) for one in WBCATT)
            entries.append(FieldEntry(entry.name, Told(entry.source, entry.label, words, pbc.crop)))
    missing = len(found) - len(entries)
    return FieldListing(classes, WBCATT, False, entries, [f"{missing} annotated images are not in {pbc.root.name}"])
