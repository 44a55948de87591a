"""A floor without a network: stain, Otsu, watershed, and a logistic regression on colours and shapes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from zoo.cell_masks import discs, tight
from zoo.cell_model import CellModel, FieldKind
from zoo.cells import Cells, none
from zoo.errors import ZooError
from zoo.types import Backbone

_LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Thresholds that are tried; 0 is the mean of what lies outside, 1 of what lies inside."""
_FEATURES = 19
_LEAST = 0.25
"""Smallest cell, in parts of the area of the middle true one."""


@dataclass(frozen=True)
class Watershed(CellModel):
    """Colour is turned into the density of a stain (Ruifrok & Johnston, 2001) along the direction that best tells
    cytoplasm from the rest in the training fields; Otsu's threshold (1979), kept near one that was fitted there too; a
    watershed of the distance to the edge (Beucher & Lantuejoul, 1979); the nucleus by a second threshold inside the
    cell. Class and attributes come from logistic regressions on colours and shapes. Without true masks an ellipse in
    each true box stands in, and the nucleus is its darker part. The backbone is not looked at."""

    paper: ClassVar[str] = "Beucher & Lantuejoul, Use of watersheds in contour detection, 1979"

    epochs: int = 0
    """0 = no gradient steps: there is nothing here that could take one."""

    def network(self, kind: FieldKind, backbone: Backbone, seed: int) -> nn.Module:
        return _Settings(kind, backbone)

    def prepare(self, network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]]) -> None:
        assert isinstance(network, _Settings)
        pairs = [
            (_density(image), cells)
            for images, batch in fields for image, cells in zip(images, batch, strict=True)
        ]  # fmt: skip
        if not any(len(cells.labels) for _, cells in pairs):
            raise ZooError("watershed: no training field has a cell; give some that do")
        _fit_stain(network, pairs)
        rows, labels, words = [], [], []
        for density, cells in pairs:
            masks = _segment(network, density)
            for mask, box in zip(masks, tight(masks), strict=True):
                overlap = [_overlap(box, true) for true in cells.boxes]
                if overlap and max(overlap) >= 0.5:
                    rows.append(_features(network, density, mask))
                    labels.append(cells.labels[int(np.argmax(overlap))])
                    words.append(cells.attributes[int(np.argmax(overlap))])
        _fit_words(network, np.array(rows).reshape(-1, _FEATURES), [np.array(labels), *np.array(words).T])

    def loss(self, network: nn.Module, images: Tensor, truth: Sequence[Cells]) -> NoReturn:
        raise ZooError("watershed takes no gradient steps: leave out --set epochs")

    @torch.no_grad()
    def find(self, network: nn.Module, images: Tensor) -> list[Cells]:
        assert isinstance(network, _Settings)
        found = []
        for image in images:
            density = _density(image)
            masks = _segment(network, density)
            if not len(masks):
                found.append(none(len(network.counts) - 1, *density.shape[:2]))
                continue
            features = np.stack([_features(network, density, mask) for mask in masks])
            known = (features - network.mean.numpy()) / network.spread.numpy()
            scores = torch.from_numpy(known).float() @ network.weight.T + network.bias
            label, *words = (one.softmax(1) for one in scores.split(network.counts, 1))
            spoken = np.stack([one.argmax(1).numpy() for one in words], 1) if words else np.zeros((len(masks), 0), int)
            found.append(Cells(label.argmax(1).numpy(), tight(masks), masks, spoken, label.amax(1).numpy()))
        return found


class _Settings(nn.Module):
    """All that was fitted, as buffers."""

    stain: Tensor
    """(2, 4): direction in optical density and what is subtracted, of the cell and of the nucleus in it"""
    level: Tensor
    """(2,) thresholds, of the cell and of the nucleus"""
    area: Tensor
    """() of the middle true cell, in pixels"""
    mean: Tensor
    spread: Tensor
    weight: Tensor
    """(classes and words, features)"""
    bias: Tensor

    def __init__(self, kind: FieldKind, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.counts = backbone, [kind.classes, *kind.attributes]
        several = sum(self.counts)
        shapes: dict[str, tuple[int, ...]] = {"stain": (2, 4), "level": (2,), "area": (), "mean": (_FEATURES,)}
        shapes |= {"spread": (_FEATURES,), "weight": (several, _FEATURES), "bias": (several,)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))

    def _apply(self, fn: Any, recurse: bool = True) -> "_Settings":
        """Stays in memory of the CPU, where scikit-image works."""
        return self


def _density(image: Tensor) -> np.ndarray:
    """Optical density, blurred by one pixel: (3, H, W) in 0..1 -> (H, W, 3)."""
    from skimage.filters import gaussian

    colours = image.permute(1, 2, 0).cpu().double().numpy()
    return gaussian(-np.log10(np.clip(colours, 1 / 255, 1)), 1, channel_axis=-1)


def _stained(settings: _Settings, density: np.ndarray, which: int) -> np.ndarray:
    """How much of the cell's (0) or the nucleus's (1) stain there is, (..., 3) -> (...)."""
    *direction, offset = settings.stain[which].double().numpy()
    return density @ np.array(direction) - offset


def _fit_stain(settings: _Settings, pairs: Sequence[tuple[np.ndarray, Cells]]) -> None:
    """Direction, offset and threshold of both stains, and the middle true cell's area."""
    insides, outsides, nuclei, areas, truths = [], [], [], [], []
    for density, cells in pairs:
        masks = cells.masks if cells.masks is not None else discs(cells.boxes, *density.shape[:2])
        place = masks.max(0) if len(masks) else np.zeros(density.shape[:2], np.uint8)
        if cells.masks is None:
            dark = density.sum(2)
            place = place + (place & (dark > np.median(dark[place > 0]) if place.any() else False))
        truths.append(place)
        areas += [(mask > 0).sum() for mask in masks]
        # Every fourth pixel says as much.
        insides.append(density[::2, ::2][place[::2, ::2] == 1])
        nuclei.append(density[::2, ::2][place[::2, ::2] == 2])
        outsides.append(density[::2, ::2][place[::2, ::2] == 0])
    inside, nucleus, outside = (np.concatenate(part) for part in (insides, nuclei, outsides))
    settings.area.fill_(float(np.median(areas)))
    # The nucleus is dark in any direction; what tells the cell from the rest is its cytoplasm.
    for which, (low, high) in enumerate(((outside, inside), (inside, nucleus))):
        if len(low) > 3 and len(high) > 3:
            settings.stain[which] = torch.from_numpy(_direction(low, high)).float()
    least = (1, 2)
    for which in range(2):
        quality = []
        for level in _LEVELS:
            overlaps = []
            for (density, _), place in zip(pairs, truths, strict=True):
                over = _stained(settings, density, which) > level
                true = place >= least[which]
                over &= place > 0 if which else True  # the nucleus is looked for inside the cell
                overlaps.append((over & true).sum() / max((over | true).sum(), 1))
            quality.append(np.mean(overlaps))
        settings.level[which] = _LEVELS[int(np.argmax(quality))]


def _direction(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Fisher's discriminant (1936) and its offset, so that the mean of `low` (n, 3) lies at 0 and of `high` at 1."""
    spread = (np.cov(low.T) + np.cov(high.T)) / 2 + 1e-6 * np.eye(3)
    apart = high.mean(0) - low.mean(0)
    direction = np.linalg.solve(spread, apart)
    direction /= max(direction @ apart, 1e-9)
    return np.append(direction, direction @ low.mean(0))


def _threshold(values: np.ndarray, level: float) -> float:
    """Otsu's, but not further than a quarter from the fitted one: it finds two halves of anything."""
    from skimage.filters import threshold_otsu

    return float(np.clip(threshold_otsu(values), 0.75 * level, 1.25 * level)) if np.ptp(values) > 0 else level


def _segment(settings: _Settings, density: np.ndarray) -> np.ndarray:
    """Masks (k, H, W) of a field, the largest cell first."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    stain = _stained(settings, density, 0)
    over = ndimage.binary_fill_holes(stain > _threshold(stain, float(settings.level[0])))
    area = float(settings.area)
    assert over is not None
    deep = ndimage.gaussian_filter(np.asarray(ndimage.distance_transform_edt(over)), 1)
    radius = (area / np.pi) ** 0.5
    peaks = peak_local_max(deep, min_distance=max(int(0.7 * radius), 1), labels=over.astype(int), exclude_border=False)
    markers = np.zeros(over.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    parts = watershed(-deep, markers, mask=over)
    sizes = np.bincount(parts.ravel(), minlength=len(peaks) + 1)[1:]
    large = [number for number in np.argsort(-sizes, kind="stable") if sizes[number] >= max(_LEAST * area, 1)]
    dark = _stained(settings, density, 1)
    masks = np.zeros((len(large), *over.shape), np.uint8)
    for mask, number in zip(masks, large, strict=True):
        cell = parts == number + 1
        mask[cell] = 1 + (dark[cell] > _threshold(dark[cell], float(settings.level[1])))
    return masks


def _features(settings: _Settings, density: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours and shapes of one cell: (H, W, 3), (H, W) -> (features,)."""
    from skimage.measure import label, regionprops

    cell, nucleus = mask > 0, mask == 2
    whole = regionprops(cell.astype(np.uint8))[0]
    inner: Any = regionprops(nucleus.astype(np.uint8))[0] if nucleus.any() else whole
    lobes = sum(part.area > 0.02 * whole.area for part in regionprops(label(nucleus)))
    values = [
        np.log(whole.area / float(settings.area)), whole.eccentricity, whole.solidity,
        nucleus.sum() / whole.area, inner.eccentricity, inner.solidity, lobes,
    ]  # fmt: skip
    for part in (nucleus, mask == 1):
        colours = density[part] if part.any() else density[cell]
        values += [*colours.mean(0), *colours.std(0)]
    return np.array(values, np.float64)


def _fit_words(settings: _Settings, features: np.ndarray, columns: Sequence[np.ndarray]) -> None:
    """A logistic regression for the class and one for each attribute, of the cells (k, features) that were found."""
    from sklearn.linear_model import LogisticRegression

    if len(features):
        settings.mean.copy_(torch.from_numpy(features.mean(0)))
        settings.spread.copy_(torch.from_numpy(features.std(0)))
    settings.spread[settings.spread < 1e-6] = 1
    scaled = (features - settings.mean.numpy()) / settings.spread.numpy()
    parts = zip(settings.weight.split(settings.counts), settings.bias.split(settings.counts), strict=True)
    for (weight, bias), column in zip(parts, columns, strict=False):
        rows = column >= 0
        seen = np.unique(column[rows])
        bias.fill_(-1e4)  # a word that no training cell has is never said
        bias[seen] = 0
        if len(seen) > 1:
            fitted: Any = LogisticRegression(max_iter=2000).fit(scaled[rows], column[rows])
            slopes, starts = torch.from_numpy(fitted.coef_).float(), torch.from_numpy(fitted.intercept_).float()
            two = len(seen) == 2
            weight[seen] = torch.cat([-slopes, slopes]) / 2 if two else slopes
            bias[seen] = torch.cat([-starts, starts]) / 2 if two else starts


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Jaccard of two boxes."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = float(sides.clip(0).prod())
    return both / max(float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - both, 1e-9)
