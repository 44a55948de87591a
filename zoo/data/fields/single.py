"""Pictures of one cell each with its mask, as fields with one cell."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.data.fields.source import Field, FieldEntry, FieldListing, tight, true_cells
from zoo.data.pictures import size
from zoo.data.readers import Digest, File, pairs
from zoo.errors import ZooError


@dataclass(frozen=True)
class Single:
    """One picture and the class of its cell."""

    file: File
    label: int
    computed: bool = field(default=False, init=False)

    def stamp(self) -> str:
        return f"single:{self.label}:{self.file.stamp()}"

    def digest(self) -> Digest:
        image, mask = self.file.digest()
        return Digest(image, f"{mask}:{self.label}")

    def size(self) -> tuple[int, int]:
        return size(self.file.path)

    def read(self) -> Field:
        """The box is the mask's tight one. ZooError for a mask that is empty or of another size."""
        image, mask = self.file.read()
        if mask is None or mask.shape != image.shape[:2]:
            raise ZooError(f"{self.file.mask}: not of the size of its image {self.file.path.name}; mend it")
        if not mask.any():
            raise ZooError(f"{self.file.mask}: no cell in it; mend it or delete it with its image")
        return Field(image, true_cells([self.label], np.array([tight(mask)]), mask[None], [()], 0))


def listing(root: Path, classes: tuple[str, ...]) -> FieldListing:
    """The layout `pairs`; each set of pictures is a series."""
    found = pairs(root, classes)
    entries = [
        FieldEntry(entry.name, Single(entry.source, entry.label), entry.name.split("/")[0])
        for entry in found.entries if isinstance(entry.source, File)
    ]  # fmt: skip
    return FieldListing(classes, (), True, entries, found.dropped)
