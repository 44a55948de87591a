"""Small fake datasets in the real layouts, made of noise."""

from pathlib import Path

import numpy as np
from PIL import Image


def noise(seed: int, height: int = 40, width: int = 40) -> np.ndarray:
    """(height, width, 3) uint8, smooth enough to survive JPEG."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def save(file: Path, image: np.ndarray, quality: int = 90) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file, quality=quality)
    return file


def class_folders(root: Path, classes: tuple[str, ...], each: int = 3, first: int = 0) -> Path:
    """root/<class>/<class>_<i>.jpg, all different."""
    for label, name in enumerate(classes):
        for i in range(each):
            save(root / name / f"{name}_{i}.jpg", noise(first + 100 * label + i))
    return root


def truncate(file: Path) -> None:
    """Cut the file in half."""
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def mask(height: int, width: int) -> np.ndarray:
    """(height, width) uint8: background 0, a cytoplasm square 128 with stray greys, a nucleus 255."""
    grey = np.zeros((height, width), np.uint8)
    grey[height // 4: 3 * height // 4, width // 4: 3 * width // 4] = 128
    grey[height // 4, width // 4] = 64
    grey[0, 0] = 63
    grey[2 * height // 5: 3 * height // 5, 2 * width // 5: 3 * width // 5] = 255
    grey[2 * height // 5, 2 * width // 5] = 192
    return grey


def wbc(root: Path) -> Path:
    """The layout of segmentation_wbc: two sets of different sizes."""
    for number, (side, header) in enumerate(((30, "image ID,class label"), (50, "image ID,class")), start=1):
        codes = {1: 2, 2: 1, 3: 5} if number == 1 else {1: 4, 2: 3}
        for image in codes:
            save(root / f"Dataset {number}" / f"{image:03d}.bmp", noise(10 * number + image, side, side))
            save(root / f"Dataset {number}" / f"{image:03d}.png", mask(side, side))
        text = "\r\n".join([header, *(f"{image},{code}" for image, code in codes.items()), ""])
        (root / f"Class Labels of Dataset {number}.csv").write_text(text, newline="")
    return root


def npz(file: Path, side: int = 8) -> Path:
    """The layout of a MedMNIST file: 4 + 2 + 2 pictures, labels 0..7."""
    file.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    arrays = {}
    for split, labels in (("train", [7, 0, 1, 2]), ("val", [3, 4]), ("test", [5, 6])):
        arrays[f"{split}_images"] = random.integers(0, 256, (len(labels), side, side, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.array(labels)[:, None]
    np.savez_compressed(file, **arrays)
    return file
