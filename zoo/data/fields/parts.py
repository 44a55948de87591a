"""One mask of a whole field, split among the boxes of its cells."""

import numpy as np

SMALLEST = 100
"""Pixels that a connected part must have to be a cell, or a part of one; smaller ones are slips of the pen."""


def split(levels: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Masks (k, H, W) of the boxes (k, 4), and masks (H, W) of what no box claims, from (H, W) uint8 0/1/2.

    A box's own part is the connected part (edges or corners touching) with most pixels in it. A part that is one box's
    own is that box's whole, its pixels outside the box included; one that is the own of several is shared pixel by
    pixel, each to the box with the nearest middle, where distances are in widths and heights of that box. Any other
    part goes to the box that holds most of it; what lies in no box is left over.
    """
    from skimage.measure import label

    numbers = np.asarray(label(levels > 0, connectivity=2), np.int64)
    masks = np.zeros((len(boxes), *levels.shape), np.uint8)
    sizes = np.bincount(numbers.ravel(), minlength=1)
    parts = [numbers == number for number in range(1, len(sizes)) if sizes[number] >= SMALLEST]
    windows = [tuple(np.rint(box).astype(int)) for box in boxes]
    held = np.array([[part[y:down, x:right].sum() for x, y, right, down in windows] for part in parts], np.int64)
    held = held.reshape(len(parts), len(boxes))
    own = np.where(held.any(0), held.argmax(0), -1) if len(parts) else np.full(len(boxes), -1)
    left = []
    for number, part in enumerate(parts):
        owners = np.flatnonzero(own == number)
        if not len(owners) and held[number].any():
            owners = held[number].argmax(keepdims=True)
        if not len(owners):
            left.append(np.where(part, levels, 0).astype(np.uint8))
        elif len(owners) == 1:
            masks[owners[0]][part] = levels[part]
        else:
            place = np.nonzero(part)
            masks[(owners[_distance(boxes[owners], *place).argmin(0)], *place)] = levels[part]
    return masks, left


def _distance(boxes: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k, n) squared distances of pixels from the boxes' middles, in their widths and heights."""
    left, top, right, bottom = boxes.T[:, :, None]
    x = (columns + 0.5 - (left + right) / 2) / (right - left)
    y = (rows + 0.5 - (top + bottom) / 2) / (bottom - top)
    return x**2 + y**2
