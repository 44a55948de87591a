"""Image files as arrays: decoding, masks, and the square cut out of the middle."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.items import View
from zoo.errors import ZooError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CYTOPLASM, NUCLEUS = 64, 192
"""Grey levels from which a mask's pixel counts as cytoplasm, and as nucleus."""


class Unreadable(ZooError):
    """A file that is no whole image."""


def rgb(file: Path) -> np.ndarray:
    """(H, W, 3) uint8 of an image file; ZooError where it cannot be read whole."""
    return np.asarray(_opened(file, "RGB"))


def levels(file: Path, cytoplasm: int = CYTOPLASM, nucleus: int = NUCLEUS) -> np.ndarray:
    """(H, W) uint8 of a mask file: 0 background, 1 cytoplasm, 2 nucleus. Grey levels 0/1/2, or from those given."""
    grey = np.asarray(_opened(file, "L"))
    if grey.max(initial=0) <= 2:
        return grey.copy()
    return (grey >= cytoplasm).astype(np.uint8) + (grey >= nucleus)


def size(file: Path) -> tuple[int, int]:
    """Height and width of an image file, from its head alone; Unreadable where it has none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        raise Unreadable(f"{file}: cannot be read as an image (truncated or damaged)") from None


def square(image: np.ndarray, view: View, nearest: bool = False) -> np.ndarray:
    """Centre crop of at most `view.crop` pixels (never padded), resized to (side, side[, 3])."""
    from PIL import Image

    height, width = image.shape[:2]
    crop = min(view.crop or height, height, width)
    top, left = (height - crop) // 2, (width - crop) // 2
    cut = Image.fromarray(np.ascontiguousarray(image[top:top + crop, left:left + crop]))
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
    return np.asarray(cut if crop == view.side else cut.resize((view.side, view.side), method))


def _opened(file: Path, mode: str) -> "Picture":
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise Unreadable(f"{file}: more than 8 bits a channel ({image.mode}), save it as 8-bit RGB")
            return image.convert(mode)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        raise Unreadable(f"{file}: cannot be read as an image (truncated or damaged)") from None
