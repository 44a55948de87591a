"""From a found map of cytoplasm and nucleus to the masks and boxes of cells. Numpy only."""

import numpy as np
from scipy import ndimage

from zoo.cells import Cells


def tight(masks: np.ndarray) -> np.ndarray:
    """Smallest box around each mask, (k, H, W) -> (k, 4) float32: left, top, right, bottom; zeros of an empty one."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        columns, rows = (np.flatnonzero(mask.any(axis)) for axis in (0, 1))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def discs(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The ellipse in each box, all cytoplasm: (k, 4) -> (k, H, W) uint8. What is said of a cell's place without masks;
    a pixel that lies in two goes to the first."""
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    masks = np.zeros((len(boxes), height, width), np.uint8)
    free = np.ones((height, width), bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(np.float64), strict=True):
        across, down = 2 * x - left - right, 2 * y - top - bottom
        wide, high = max(right - left, 1e-6), max(bottom - top, 1e-6)
        mask[((across / wide) ** 2 + (down / high) ** 2 <= 1) & free] = 1
        free &= mask == 0
    return masks


def inside(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which pixels have their middle in each box: (k, 4) -> (k, H, W) bool."""
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    left, top, right, bottom = boxes.T[:, :, None, None]
    return (left <= x) & (x <= right) & (top <= y) & (y <= bottom)


def cleaned(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask (H, W) of 0, 1, 2, its holes filled with cytoplasm."""
    parts, count = ndimage.label(mask)  # type: ignore[misc]
    if count > 1:
        mask = mask * (parts == 1 + np.bincount(parts.ravel())[1:].argmax())
    holes = ndimage.binary_fill_holes(mask) & (mask == 0)  # type: ignore[operator]
    return np.where(holes, 1, mask).astype(np.uint8)


def clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes (k, 4) cut off at the field's edges, float32."""
    return np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)


def kept(cells: Cells, rows: np.ndarray) -> Cells:
    """Some of the cells: numbers of them, or one bool for each."""
    masks = None if cells.masks is None else cells.masks[rows]
    return Cells(cells.labels[rows], cells.boxes[rows], masks, cells.attributes[rows], cells.scores[rows])


def apart(masks: np.ndarray) -> np.ndarray:
    """Masks (k, H, W) where a pixel of two cells stays with the first; a copy."""
    taken = (masks > 0).cumsum(0) > 1
    return np.where(taken, 0, masks).astype(np.uint8)
