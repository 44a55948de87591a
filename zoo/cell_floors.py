"""What may be said of cells without looking at them: the floors under every figure of cells. No torch.

`majority` says the commonest class, the mean N:C and the commonest word of each attribute in training of every cell.
`class` is told the true class, and says the mean N:C and the commonest words of that class in training: what is above
it is more than the class gives away. Both are told where the cells are, so that only figures that do not depend on a
cell's place have a floor (`CellMetric.floors`).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zoo.cell_table import Table, ratio
from zoo.cells import Cells

Floor = Literal["majority", "class"]
FLOORS: tuple[Floor, ...] = ("majority", "class")


class Said(BaseModel):
    """What one floor says of every cell, from the training cells of one fold."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    label: int = Field(ge=-1)
    """The commonest class, the first of equals; -1 where no class is known"""
    nc: float | None = Field(ge=0, le=1)
    """Mean of N/(N+C); None where there are no masks"""
    ratio: float | None = Field(ge=0)
    """Mean of N/C; None where there are no masks"""
    words: list[int]
    """The commonest word of each attribute; -1 where it is not known"""


class Constants(BaseModel):
    """What the floors say in one fold."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    every: Said
    classes: list[Said]
    """Of each class; a class that training has not is said to be like every cell"""


def constants(truth: Iterable[Cells], classes: int, attributes: int) -> Constants:
    """What the floors say, from the true cells (with masks, where there are any) of the training fields of one fold."""
    known = [(one.labels, one.nc, one.attributes) for one in truth]
    label, nc = (np.concatenate([np.zeros(0), *(part[number] for part in known)]) for number in (0, 1))
    words = np.concatenate([np.zeros((0, attributes), np.int64), *(part[2] for part in known)])
    every = _said(label.astype(np.int64), nc, words)
    return Constants(
        every=every,
        classes=[
            _said(label[mine].astype(np.int64), nc[mine], words[mine]) if (mine := label == one).any() else every
            for one in range(classes)
        ],
    )


def says(name: Floor, table: Table, folds: np.ndarray, of_folds: Sequence[Constants]) -> Table:
    """The table of a floor on the same true cells: all of them found, in their places, nothing spurious.

    folds: (fields,) fold number of each field; of_folds: what the floors say in each fold.
    """
    true = Table(*(column[table.real] for column in table))
    # one line a fold and class; the last of a fold for cells of unknown class, and all that `majority` asks for
    said = [[*one.classes, one.every] for one in of_folds]
    fold, kind = folds[true.field], true.true_label if name == "class" else np.full(len(true.field), -1)
    nc, over, label = (
        _values([[_number(getattr(line, what)) for line in lines] for lines in said])[fold, kind]
        for what in ("nc", "ratio", "label")
    )
    words = np.array([[line.words for line in lines] for lines in said], np.int64)[fold, kind]
    nothing = np.full(len(fold), np.nan)
    return true._replace(
        seen=np.ones(len(fold), bool), found_label=label.astype(np.int64), found_nc=nc, found_ratio=over,
        found_attributes=words.reshape(true.true_attributes.shape), largest_found=true.largest,
        score=np.ones(len(fold)), hit=np.zeros(len(fold), bool), box_jaccard=nothing, cell_jaccard=nothing,
        nucleus_jaccard=nothing, cytoplasm_jaccard=nothing,
    )  # fmt: skip


def _said(label: np.ndarray, nc: np.ndarray, words: np.ndarray) -> Said:
    return Said(
        label=_commonest(label), nc=_mean(nc), ratio=_mean(ratio(nc)), words=[_commonest(column) for column in words.T]
    )


def _commonest(numbers: np.ndarray) -> int:
    known = numbers[numbers >= 0]
    return int(np.bincount(known).argmax()) if len(known) else -1


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _number(value: float | None) -> float:
    return 0.0 if value is None else float(value)


def _values(lines: list[list[Any]]) -> np.ndarray:
    return np.array(lines, np.float64)
