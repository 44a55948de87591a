"""LeukoX, as HemaX (Pal et al., ISBI 2024, doi 10.1109/ISBI56570.2024.10635140) documents it: tensors in .pt files.

{train,val,test}/{inputs,bounding_boxes,instances,classes}/<name>.pt; attributes in text files, rows
`test/<name>.jpg;2 2 2 2;` with four codes for each cell.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.cells import Attribute
from zoo.data.fields.parts import split
from zoo.data.fields.source import Field, FieldEntry, FieldListing, inside, true_cells
from zoo.data.readers import Digest
from zoo.errors import ZooError

SPLITS = ("test", "train", "val")
FOLDERS = ("inputs", "bounding_boxes", "instances", "classes")
FIRST_CODE = 2
ATTRIBUTES = tuple(
    Attribute(name, tuple(f"code {FIRST_CODE + i}" for i in range(count)))
    for name, count in (("granularity", 2), ("cytoplasm_colour", 2), ("nucleus_shape", 3), ("size_vs_rbc", 3))
)
"""The words behind the codes are not published."""
_Codes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Tensors:
    """One field: four tensors, and the attributes of its cells (None where no row names it)."""

    folder: Path
    stem: str
    classes: int
    first_class: int
    """What the classes file calls class 0"""
    codes: _Codes | None
    computed: bool = field(default=False, init=False)

    def _file(self, what: str) -> Path:
        return self.folder / what / f"{self.stem}.pt"

    def stamp(self) -> str:
        files = ((file, file.stat()) for file in map(self._file, FOLDERS))
        known = f"leukox:{self.first_class}:{self.codes}"
        return " ".join([known, *(f"{file}:{s.st_size}:{s.st_mtime_ns}" for file, s in files)])

    def digest(self) -> Digest:
        image, *known = (hashlib.sha256(self._file(what).read_bytes()).hexdigest() for what in FOLDERS)
        text = " ".join([str(self.first_class), str(self.codes), *known])
        return Digest(image, hashlib.sha256(text.encode()).hexdigest())

    def size(self) -> tuple[int, int]:
        height, width = self._image().shape[:2]
        return height, width

    def read(self) -> Field:
        """A nucleus or cytoplasm in no box, a box without either, and shapes that do not fit are ZooErrors."""
        image = self._image()
        height, width = image.shape[:2]
        boxes = self._boxes(height, width)
        count = len(boxes)
        labels = class_codes(self._file("classes")) - self.first_class
        if len(labels) != count:
            raise ZooError(f"{self._file('classes')}: {len(labels)} classes for {count} boxes; make them as many")
        if count and not 0 <= labels.min() <= labels.max() < self.classes:
            raise ZooError(f"{self._file('classes')}: a class is not one of the {self.classes} of the dataset; mend it")
        codes = self.codes or ((-1,) * len(ATTRIBUTES),) * count
        if len(codes) != count:
            raise ZooError(f"{self._file('inputs')}: attributes of {len(codes)} cells for {count} boxes; mend its row")
        masks = self._masks(boxes, height, width)
        return Field(image, true_cells(labels.tolist(), boxes, masks, codes, len(ATTRIBUTES)))

    def _image(self) -> np.ndarray:
        file = self._file("inputs")
        image = tensor(file)
        if image.ndim != 3 or image.shape[0] != 3:
            raise ZooError(f"{file}: its shape is {image.shape}, not (3, height, width); save it anew")
        if image.dtype != np.uint8:
            image = image.astype(np.float32)
            if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 255):
                raise ZooError(f"{file}: its values are not in 0..1 or 0..255; save the image before it is normalised")
            image = np.rint(image * (255 if image.max() <= 1 else 1)).astype(np.uint8)
        return np.ascontiguousarray(image.transpose(1, 2, 0))

    def _boxes(self, height: int, width: int) -> np.ndarray:
        file = self._file("bounding_boxes")
        boxes = tensor(file).astype(float)
        if boxes.ndim == 1 and boxes.size in (0, 4):
            boxes = boxes.reshape(-1, 4)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ZooError(f"{file}: its shape is {boxes.shape}, not (cells, 4); save [X, Y, W, H] of each cell")
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        return inside(file, corners, height, width)

    def _masks(self, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
        """(k, H, W) from channels nucleus and cytoplasm, of each cell or of the field as a whole."""
        file, count = self._file("instances"), len(boxes)
        drawn = tensor(file)
        if drawn.shape not in ((2, height, width), (count, 2, height, width)):
            raise ZooError(
                f"{file}: its shape is {drawn.shape}, not (2, {height}, {width}) or ({count}, 2, {height}, {width})"
            )
        inked = drawn > 0.5
        levels = np.where(inked[..., 0, :, :], 2, inked[..., 1, :, :]).astype(np.uint8)
        if levels.ndim == 2:
            levels, left = split(levels, boxes)
            if left:
                raise ZooError(f"{file}: a mask of {int((left[0] > 0).sum())} pixels lies in no box; add its box")
        empty = np.flatnonzero(~levels.any((1, 2)))
        if len(empty):
            raise ZooError(f"{file}: no mask in box {empty[0] + 1}; draw it, or delete the box")
        return levels


def listing(root: Path, classes: tuple[str, ...]) -> FieldListing:
    """The fields of every split that have all four files."""
    found = FieldListing(classes, ATTRIBUTES, True, [])
    codes = _attributes(root)
    stems = []
    for split_name in SPLITS:
        for file in sorted((root / split_name / "inputs").glob("[!.]*.pt")):
            name = f"{split_name}/{file.stem}"
            missing = [what for what in FOLDERS if not (root / split_name / what / file.name).is_file()]
            if missing:
                found.dropped.append(f"{name}: no {missing[0]}/{file.name}")
            else:
                stems.append((name, root / split_name, file.stem))
    first = _first_class([folder / "classes" / f"{stem}.pt" for _, folder, stem in stems], len(classes))
    found.entries = [
        FieldEntry(name, Tensors(folder, stem, len(classes), first, codes.get(name))) for name, folder, stem in stems
    ]
    return found


def tensor(file: Path) -> np.ndarray:
    """The one tensor in a .pt file; read with `weights_only`, so that nothing in it can run."""
    import pickle

    import torch

    try:
        value = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZooError(f"{file}: not a tensor as torch.save writes it ({why}); get it again") from None
    if not isinstance(value, torch.Tensor):
        raise ZooError(f"{file}: a {type(value).__name__}, not a tensor; save the tensor alone")
    return value.detach().float().numpy() if value.is_floating_point() else value.numpy()


def class_codes(file: Path) -> np.ndarray:
    """(k,) int64 from (k,), (k, 1) or one-hot (k, classes)."""
    codes = tensor(file)
    if codes.ndim == 2 and codes.shape[1] > 1:
        return codes.argmax(1)
    if codes.ndim > 2 or (codes != np.rint(codes)).any():
        raise ZooError(f"{file}: its shape is {codes.shape}; save one whole number for each cell")
    return codes.reshape(-1).astype(np.int64)


def _first_class(files: list[Path], classes: int) -> int:
    """1 where codes are 1..classes, else 0: which of them is not published, but the released head has one too many."""
    codes = [code for file in files for code in class_codes(file).tolist()]
    return 1 if codes and min(codes) > 0 and max(codes) == classes else 0


def _attributes(root: Path) -> dict[str, _Codes]:
    """'test/IMG_3115' -> codes of its cells from 0, of all text files. ZooError for a code that there is not."""
    known: dict[str, _Codes] = {}
    for file in sorted(root.glob("*.txt")):
        try:
            text = file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ZooError(f"{file}: cannot be read as text ({error}); mend it or delete it") from None
        for line, row in enumerate(text.splitlines(), start=1):
            path, *cells = (part.strip() for part in row.split(";"))
            if cells := [cell for cell in cells if cell]:
                where = Path(path.replace("\\", "/"))
                known[f"{where.parts[0]}/{where.stem}"] = tuple(_row(file, line, cell) for cell in cells)
    return known


def _row(file: Path, line: int, text: str) -> tuple[int, ...]:
    wanted = " ".join(attribute.name for attribute in ATTRIBUTES)
    if not re.fullmatch(rf"\d+(\s+\d+){{{len(ATTRIBUTES) - 1}}}", text):
        raise ZooError(f"{file}: line {line}: '{text}' are not four codes ({wanted}); mend it")
    codes = [int(word) for word in text.split()]
    for attribute, code in zip(ATTRIBUTES, codes, strict=True):
        last = FIRST_CODE + len(attribute.values) - 1
        if not FIRST_CODE <= code <= last:
            raise ZooError(
                f"{file}: line {line}: {attribute.name} has no code {code}, only {FIRST_CODE}..{last}; mend it"
            )
    return tuple(code - FIRST_CODE for code in codes)
