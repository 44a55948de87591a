"""What was found of cells beside what is true of them: the table that every figure of cells is made from. No torch.

True and found cells of one field are paired by the Hungarian assignment that makes the sum of their IoU largest: IoU
of the cells' masks where both have them, else of their boxes; cells that do not touch are no pair. What then counts:

- A pair with an IoU of `LEAST` or more is one cell, true and found: one row.
- Every other true cell is missed: a row in which nothing was found, so that its class and its attributes are wrong
  and its N:C is found as 0. Its Jaccard indices are those of its pair, where it has one below `LEAST`, else 0.
- Every other found cell is spurious: a row of its own, wrong in its class and its attributes. Its Jaccard indices are
  0, or NaN where the true cell of its pair already has them; it has no true N:C, so that it never enters N:C errors.
- A true cell of unknown class (label -1) enters no figure of classes, nor does the cell found as it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from zoo.cells import Cells

LEAST = 0.5
"""IoU from which on two cells are the same one."""


class Table(NamedTuple):
    """n rows, one for each true cell and one for each spurious one. NaN: does not count; -1: is not there."""

    field: np.ndarray
    """(n,) int64, number of the field"""
    real: np.ndarray
    """(n,) bool: there is a true cell"""
    seen: np.ndarray
    """(n,) bool: there is a found cell"""
    true_label: np.ndarray
    """(n,) int64; -1 where the class is not known, or there is no true cell"""
    found_label: np.ndarray
    """(n,) int64; -1 where there is no found cell"""
    score: np.ndarray
    """(n,) in 0..1, NaN where there is no found cell"""
    hit: np.ndarray
    """(n,) bool: the found cell is right in COCO's matching, of boxes at IoU 0.5 within a class, most certain first"""
    largest: np.ndarray
    """(n,) bool: of the true cells of its field the one with the largest box, the first of equals"""
    largest_found: np.ndarray
    """(n,) bool: of the found cells of its field the one with the largest box, of equals the most certain"""
    box_jaccard: np.ndarray
    """(n,) in 0..1, as the three below: |A and B| / |A or B| of the boxes"""
    cell_jaccard: np.ndarray
    """(n,) of the whole cells' masks; NaN where nobody drew any"""
    nucleus_jaccard: np.ndarray
    """(n,) NaN where there is no nucleus, neither true nor found"""
    cytoplasm_jaccard: np.ndarray
    """(n,) NaN where there is no cytoplasm, neither true nor found"""
    true_nc: np.ndarray
    """(n,) N/(N+C) in 0..1, NaN where it is not known"""
    found_nc: np.ndarray
    """(n,) in 0..1; 0 where nothing was found"""
    true_ratio: np.ndarray
    """(n,) N/C; NaN where it is not known, or infinite"""
    found_ratio: np.ndarray
    """(n,) 0 where nothing was found, or where it is infinite"""
    true_attributes: np.ndarray
    """(n, attributes) int64; -1 where it is not known"""
    found_attributes: np.ndarray
    """(n, attributes) int64; -1 where there is no found cell"""
    weight: np.ndarray
    """(n,) float64: how often the row counts; 1, but in resamples"""

    @property
    def spurious(self) -> np.ndarray:
        """(n,) bool: a found cell where there is none."""
        return ~self.real

    def weighted(self, fields: np.ndarray) -> "Table":
        """The same with each row counting as often as its field: fields (fields,) counts."""
        return self._replace(weight=np.asarray(fields, np.float64)[self.field])

    def of_fields(self, fields: np.ndarray) -> "Table":
        """The rows of some fields: fields (fields,) bool."""
        chosen = np.asarray(fields, bool)[self.field]
        return Table(*(column[chosen] for column in self))


def ratio(nc: np.ndarray) -> np.ndarray:
    """N/C of N/(N+C) = r: r / (1 - r), NaN where r is 1, so that there is no cytoplasm to divide by."""
    return np.divide(nc, 1 - nc, out=np.full(len(nc), np.nan), where=nc < 1)


def rows(truth: Cells, found: Cells, field: int = 0) -> Table:
    """The rows of one field: true cells in their order, then spurious ones in theirs.

    ValueError where the masks differ in size or the attributes in number.
    """
    if truth.attributes.shape[1:] != found.attributes.shape[1:]:
        raise ValueError(f"attributes: {truth.attributes.shape[1:]} true ones, {found.attributes.shape[1:]} found")
    boxes = box_iou(truth.boxes, found.boxes)
    overlap = _overlap(truth, found, boxes)
    closest = _pairs(overlap)
    same = closest >= 0
    same[same] = overlap[np.flatnonzero(same), closest[same]] >= LEAST
    partner = np.where(same, closest, -1)
    alone = np.setdiff1d(np.arange(len(found.labels)), partner)
    true_at = np.concatenate([np.arange(len(partner)), np.full(len(alone), -1)])
    found_at = np.concatenate([partner, alone])
    beside = np.concatenate([closest, np.where(np.isin(alone, closest), -2, alone)])
    real, seen = true_at >= 0, found_at >= 0
    jaccards = [_jaccard(true_at, beside, part) for part in _parts(truth, found)]
    true_nc = _take(truth.nc, true_at, np.nan)
    found_nc = np.where(seen, np.nan_to_num(_take(found.nc, found_at, 0)), 0)
    return Table(
        field=np.full(len(real), field, np.int64), real=real, seen=seen,
        true_label=_take(truth.labels, true_at, -1), found_label=_take(found.labels, found_at, -1),
        score=_take(found.scores.astype(np.float64), found_at, np.nan),
        hit=_take(_hits(truth, found, boxes), found_at, False),
        largest=_take(_first(_areas(truth.boxes)), true_at, False),
        largest_found=_take(_largest_found(found), found_at, False),
        box_jaccard=_of_pairs(boxes, true_at, beside),
        cell_jaccard=jaccards[0], nucleus_jaccard=jaccards[1], cytoplasm_jaccard=jaccards[2],
        true_nc=true_nc, found_nc=found_nc, true_ratio=ratio(true_nc), found_ratio=np.nan_to_num(ratio(found_nc)),
        true_attributes=_take(truth.attributes, true_at, -1), found_attributes=_take(found.attributes, found_at, -1),
        weight=np.ones(len(real)),
    )  # fmt: skip


def paired(truth: Cells, found: Cells) -> list[tuple[int, int]]:
    """(true, found) numbers of the cells that are the same one."""
    overlap = _overlap(truth, found, box_iou(truth.boxes, found.boxes))
    pairs = enumerate(_pairs(overlap).tolist())
    return [(true, other) for true, other in pairs if other >= 0 and overlap[true, other] >= LEAST]


def joined(tables: Iterable[Table]) -> Table:
    """The rows of several fields, one after another. ValueError where there is none."""
    every = list(tables)
    if not every:
        raise ValueError("there is no field to make a table of")
    return Table(*(np.concatenate(columns) for columns in zip(*every, strict=True)))


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(k, m) intersection over union of boxes (k, 4) and (m, 4): left, top, right, bottom; 0 of empty ones."""
    one, other = (np.asarray(boxes, np.float64)[:, :4] for boxes in (a, b))
    size = np.minimum(one[:, None, 2:], other[None, :, 2:]) - np.maximum(one[:, None, :2], other[None, :, :2])
    both = size.clip(0).prod(-1)
    return _share(both, _areas(one)[:, None] + _areas(other) - both, 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).clip(0).prod(1)


def _share(part: np.ndarray, whole: np.ndarray, empty: float) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), empty, np.float64), where=whole > 0)


def _overlap(truth: Cells, found: Cells, boxes: np.ndarray) -> np.ndarray:
    """(k, m) IoU of masks; of boxes (k, m) where nobody drew the true cell or the model makes no masks."""
    if truth.masks is None or found.masks is None or not boxes.size:
        return boxes
    if truth.masks.shape[1:] != found.masks.shape[1:]:
        raise ValueError(f"masks: true ones are {truth.masks.shape[1:]}, found ones {found.masks.shape[1:]} pixels")
    # counts of pixels: whole numbers below 2^24, which float32 holds exactly
    flat = [(masks > 0).reshape(len(masks), -1).astype(np.float32) for masks in (truth.masks, found.masks)]
    both, sizes = (flat[0] @ flat[1].T).astype(np.float64), [part.sum(1, dtype=np.float64) for part in flat]
    of_masks = _share(both, sizes[0][:, None] + sizes[1] - both, 0)
    return np.where(sizes[0][:, None] > 0, of_masks, boxes)


def _pairs(overlap: np.ndarray) -> np.ndarray:
    """(k,) the found cell of each true one, -1 where it touches none."""
    from scipy.optimize import linear_sum_assignment

    closest = np.full(len(overlap), -1)
    true_at, found_at = linear_sum_assignment(overlap, maximize=True)
    touching = overlap[true_at, found_at] > 0
    closest[true_at[touching]] = found_at[touching]
    return closest


def _hits(truth: Cells, found: Cells, boxes: np.ndarray) -> np.ndarray:
    """(m,) bool, as `Table.hit`."""
    hit, free = np.zeros(len(found.labels), bool), np.ones(len(truth.labels), bool)
    for number in np.argsort(-found.scores, kind="stable"):
        fits = free & (truth.labels == found.labels[number]) & (boxes[:, number] >= LEAST)
        if fits.any():
            free[np.where(fits, boxes[:, number], -1).argmax()] = False
            hit[number] = True
    return hit


def _parts(truth: Cells, found: Cells) -> list[tuple[np.ndarray | None, np.ndarray | None, np.ndarray]]:
    """(true, found, drawn) of the whole cell, its nucleus and its cytoplasm; drawn (k,): somebody drew the cell."""
    if truth.masks is None:
        return [(None, None, np.zeros(0, bool))] * 3
    drawn = np.asarray(truth.masks.any((1, 2)))
    kinds = (1, 2), (2,), (1,)
    return [
        (np.isin(truth.masks, kind), None if found.masks is None else np.isin(found.masks, kind), drawn)
        for kind in kinds
    ]


def _jaccard(
    true_at: np.ndarray, beside: np.ndarray, part: tuple[np.ndarray | None, np.ndarray | None, np.ndarray]
) -> np.ndarray:
    """(n,) Jaccard index of one part of the cells in each row; `beside` -1 is nothing, -2 what counts elsewhere."""
    true, found, drawn = part
    value = np.full(len(true_at), np.nan)
    if true is None:
        return value
    for row, (one, other) in enumerate(zip(true_at, beside, strict=True)):
        if other == -2 or (one >= 0 and not drawn[one]):
            continue
        masks = [true[one]] if one >= 0 else []
        masks += [found[other]] if other >= 0 and found is not None else []
        if union := np.logical_or.reduce(masks).sum() if masks else 0:
            value[row] = np.logical_and(*masks).sum() / union if len(masks) == 2 else 0
    return value


def _of_pairs(boxes: np.ndarray, true_at: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """(n,) IoU (k, m) of each row's pair; 0 of a cell alone, NaN of what counts elsewhere."""
    value = np.where(beside == -2, np.nan, 0.0)
    both = (true_at >= 0) & (beside >= 0)
    value[both] = boxes[true_at[both], beside[both]]
    return value


def _first(values: np.ndarray) -> np.ndarray:
    """(k,) bool: the largest, the first of equals."""
    return np.arange(len(values)) == (values.argmax() if len(values) else -1)


def _largest_found(found: Cells) -> np.ndarray:
    areas = _areas(found.boxes)
    return _first(np.where(areas == areas.max(initial=-np.inf), found.scores, -1))


def _take(values: np.ndarray, at: np.ndarray, missing: float) -> np.ndarray:
    """values[at], `missing` where `at` is below 0."""
    taken = np.full((len(at), *values.shape[1:]), missing, values.dtype)
    taken[at >= 0] = values[at[at >= 0]]
    return taken
