"""ROAD: target's probability without the least, minus without the most salient pixels, imputed; higher is better."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric
from zoo.perturbation import BATCH, answers, fractions, grid, pixel_rank

NOISE = 0.01
"""Standard deviation of the noise on imputed pixels, as in the paper's code."""
_CROSS, _DIAGONAL = 1 / 6, 1 / 12
_WEIGHTS = np.array([[_DIAGONAL, _CROSS, _DIAGONAL], [_CROSS, 0, _CROSS], [_DIAGONAL, _CROSS, _DIAGONAL]])


@dataclass(frozen=True)
class Road(ExplanationMetric):
    """Rong et al., ICML 2022, arXiv 2202.00449, noisy linear imputation: every removed pixel becomes the weighted mean
    of its eight neighbours, removed ones included, plus a little noise, so that the outline of what was removed gives
    nothing away. Half the difference of two mean probabilities, after removing the least salient (LeRF) and the most
    salient (MoRF) 1/steps, 2/steps ... (steps - 1)/steps of the pixels; -0.5..0.5."""

    about: ClassVar[Literal["faithfulness"]] = "faithfulness"
    higher_is_better: ClassVar[bool] = True
    steps: int = 10
    """10: a tenth, two tenths ... nine tenths of the pixels are removed."""

    def measure(self, explained: Explained) -> Tensor:
        images, rank = explained.images, pixel_rank(explained.saliency).cpu().numpy()
        counts = fractions(explained, max(self.steps, 2))[1:-1]
        signed = [*counts, *(-count for count in counts)]  # negative: the least salient
        item, count = grid(images, signed)
        noise = NOISE * torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(0)).numpy()
        pixels = images.cpu().numpy()

        def picture(number: int, removed: int) -> Tensor:
            gone = rank[number] < removed if removed > 0 else rank[number] >= rank[number].size + removed
            return torch.from_numpy(imputed(pixels[number], gone) + gone * noise)

        def pictures() -> Iterator[Tensor]:
            # Solving takes far longer than looking, and holds no lock: one system a core.
            with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                for items, many in zip(item.split(BATCH), count.split(BATCH), strict=True):
                    yield torch.stack(list(pool.map(picture, items.tolist(), many.tolist()))).to(images)

        most, least = answers(explained, pictures(), item).view(len(images), 2, -1).mean(2).unbind(1)
        return (least - most) / 2


def imputed(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The image (c, H, W) with the pixels of `gone` (H, W) bool solved for, float32; at least one must be left.

    One symmetric system for all channels: for each removed pixel, (sum of the weights of its neighbours within the
    image) x value - weighted sum of removed neighbours = weighted sum of the others.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    filled = image.astype(np.float32)
    order = _order(*gone.shape)
    rows, columns = np.divmod(order[gone.ravel()[order]], gone.shape[1])
    if not len(rows):
        return filled
    number = np.full((gone.shape[0] + 2, gone.shape[1] + 2), -2, np.int32)  # -2 outside the image, -1 kept
    number[1:-1, 1:-1] = -1
    number[rows + 1, columns + 1] = np.arange(len(rows))
    around = np.stack([number[rows + i, columns + j] for i in range(3) for j in range(3)], 1)
    weights = np.where(around == -2, 0, _WEIGHTS.ravel())
    coefficients = -weights
    coefficients[:, 4] = weights.sum(1)
    unknown = around >= 0
    starts = np.concatenate([[0], unknown.sum(1).cumsum()]).astype(np.int32)
    system = csc_array((coefficients[unknown], around[unknown], starts), shape=(len(rows), len(rows)))
    system.sort_indices()
    padded = np.pad(np.where(gone, 0, image), ((0, 0), (1, 1), (1, 1))).astype(np.float64)
    known = np.zeros((len(image), len(rows)))
    for i, j in zip(*np.nonzero(_WEIGHTS), strict=True):
        known += _WEIGHTS[i, j] * padded[:, rows + i, columns + j]
    solver = splu(system, permc_spec="NATURAL", diag_pivot_thresh=0, relax=20, panel_size=4,
                  options={"SymmetricMode": True})  # fmt: skip
    filled[:, rows, columns] = solver.solve(np.ascontiguousarray(known.T)).T
    return filled


@functools.cache
def _order(height: int, width: int) -> np.ndarray:
    """Pixel numbers in the order in which they are eliminated: nested dissection (George, 1973), the two halves before
    the line that parts them, and so on, which leaves the fewest new coefficients on a grid."""

    def dissected(places: np.ndarray) -> list[np.ndarray]:
        if min(places.shape) < 3 or places.size <= 32:
            return [places.ravel()]
        if places.shape[0] < places.shape[1]:
            places = places.T
        middle = len(places) // 2
        return [*dissected(places[:middle]), *dissected(places[middle + 1 :]), places[middle]]

    return np.concatenate(dissected(np.arange(height * width).reshape(height, width)))
