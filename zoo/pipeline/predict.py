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
    classes, files = _support_files(support)
    if issubclass(cls, Learned):
        made = setups.setup(
            method, benchmark=benchmark, backbone=backbone, weights=weights, settings=settings, seed=seed,
            device=device, precision=precision,
        )  # fmt: skip
        fitted = fit(made, None, Clock())
        built, network, state, view = made.method, fitted.backbone, fitted.state, setups.view(made.benchmark)
    else:
        chosen = setups.choose_benchmark(benchmark)
        built, state, view = registry.method(method, settings), None, setups.view(chosen)
        bare = setups.load_backbone(backbone or chosen.backbone, weights, seed)[0]
        network = AtPrecision(bare.requires_grad_(False), choose(device, precision))
    with torch.no_grad():
        features = _embed(network, [file for file, _ in files], view)
        labels = torch.tensor([label for _, label in files], device=features.device)
        params = built.fit(state, Support(features, labels, torch.arange(len(classes), device=features.device)))
        scores = built.scores(params, _embed(network, images, view)).float()
    return [
        Prediction(
            image, classes[int(row.argmax())],
            dict(zip(classes, row.softmax(0).tolist(), strict=True)), dict(zip(classes, row.tolist(), strict=True)),
        )
        for image, row in zip(images, scores.cpu(), strict=True)
    ]  # fmt: skip


def _support_files(support: Path) -> tuple[list[str], list[tuple[Path, int]]]:
    """Class names, and (file, label) sorted by label."""
    if not support.is_dir():
        raise ZooError(f"--support {support}: no such folder; it holds one sub-folder of images a class")
    listing = readers.folders(support)
    used = sorted({entry.label for entry in listing.entries})
    if len(used) < 2:
        raise ZooError(f"--support {support}: {len(used)} sub-folders hold images; at least 2 classes are needed")
    files = [(support / entry.name, used.index(entry.label)) for entry in listing.entries]
    return [listing.classes[label] for label in used], sorted(files, key=lambda pair: pair[1])


def _embed(backbone: AtPrecision, files: list[Path], view: View) -> torch.Tensor:
    for file in files:
        if not file.is_file():
            raise ZooError(f"{file}: no such image")
    pixels = np.stack([square(rgb(file), view) for file in files])
    parts = np.array_split(pixels, -(-len(pixels) // 64))
    return torch.cat([backbone(as_images(part, backbone.device)) for part in parts])
