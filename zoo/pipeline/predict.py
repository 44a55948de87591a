"""`zoo predict`: a user's own images, classified by a user's own support set."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from zoo import registry
from zoo.data import readers
from zoo.data.items import View
from zoo.data.pictures import rgb, square
from zoo.errors import ZooError
from zoo.pipeline import setup as setups
from zoo.pipeline.device import AtPrecision, choose
from zoo.pipeline.fit import Clock, fit
from zoo.pipeline.train import as_images
from zoo.types import Learned, Support


class Prediction(NamedTuple):
    """One image's answer."""

    image: Path
    predicted: str
    """Name of the support sub-folder"""
    probability: dict[str, float]
    """Softmax of the scores, a class each; not calibrated, since own images have no validation set"""
    score: dict[str, float]
    """The method's scores, for the distance-based ones minus the dissimilarity"""


def predict(
    images: list[Path],
    support: Path,
    method: str,
    benchmark: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    settings: Mapping[str, str] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> list[Prediction]:
    """Classify images by the sub-folders of `support`, cropped and resized as the benchmark's own images are.

    A learned method trains on the benchmark's training split first, or takes what an earlier run trained there.
    """
    cls = registry.plugin("methods", method)
    if not cls.uses_support:
        raise ZooError(f"--method {method}: it ignores supports; choose one that uses them (`zoo list methods`)")
    chosen = setups.choose_benchmark(benchmark)
    view = setups.view(chosen)
    classes, files, labels = _support_files(support)
    # Every picture is read before anything is trained: a broken one must not cost the user that time.
    queries, supports = _squares(images, view), _squares(files, view)
    if issubclass(cls, Learned):
        made = setups.setup(
            method, benchmark=chosen.name, backbone=backbone, weights=weights, settings=settings, seed=seed,
            device=device, precision=precision,
        )  # fmt: skip
        fitted = fit(made, None, Clock())
        built, network, state = made.method, fitted.backbone, fitted.state
    else:
        built, state, where = registry.method(method, settings), None, choose(device, precision)
        bare = setups.load_backbone(backbone or chosen.backbone, weights, seed)[0]
        network = AtPrecision(bare.requires_grad_(False), where)
    with torch.no_grad():
        features = _embed(network, supports)
        own = torch.tensor(labels, device=features.device)
        params = built.fit(state, Support(features, own, torch.arange(len(classes), device=features.device)))
        scores = built.scores(params, _embed(network, queries)).float()
    return [
        Prediction(
            image, classes[int(row.argmax())],
            dict(zip(classes, row.softmax(0).tolist(), strict=True)), dict(zip(classes, row.tolist(), strict=True)),
        )
        for image, row in zip(images, scores.cpu(), strict=True)
    ]  # fmt: skip


def _support_files(support: Path) -> tuple[list[str], list[Path], list[int]]:
    """Class names, and the files with their labels, sorted by label."""
    if not support.is_dir():
        raise ZooError(f"--support {support}: no such folder; it holds one sub-folder of images a class")
    listing = readers.folders(support)
    used = sorted({entry.label for entry in listing.entries})
    if len(used) < 2:
        raise ZooError(f"--support {support}: sub-folders with images: {len(used)}; at least 2 classes are needed")
    entries = sorted(listing.entries, key=lambda entry: entry.label)
    labels = [used.index(entry.label) for entry in entries]
    return [listing.classes[label] for label in used], [support / entry.name for entry in entries], labels


def _squares(files: list[Path], view: View) -> np.ndarray:
    """(n, side, side, 3) uint8"""
    if not files:
        raise ZooError("no images to classify; give one file or more")
    for file in files:
        if not file.is_file():
            raise ZooError(f"{file}: no such image")
    return np.stack([square(rgb(file), view) for file in files])


def _embed(backbone: AtPrecision, pixels: np.ndarray) -> torch.Tensor:
    parts = np.array_split(pixels, -(-len(pixels) // 64))
    return torch.cat([backbone(as_images(part, backbone.device)) for part in parts])
