"""`zoo predict`: a user's own images, classified by a user's own support set."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zoo import registry
from zoo.data import readers
from zoo.data.benchmark import Benchmark
from zoo.data.items import View
from zoo.data.pictures import rgb, square
from zoo.errors import ZooError
from zoo.pipeline import setup as setups
from zoo.pipeline.adapt import adapt
from zoo.pipeline.device import AtPrecision, Device, choose
from zoo.pipeline.evaluate import fitted
from zoo.pipeline.fit import Clock, fit
from zoo.pipeline.train import as_images
from zoo.pipeline.views import looks, turned
from zoo.types import Adapting, Backbone, Method, Support


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
    check_method(method)
    chosen = setups.choose_benchmark(benchmark)
    view = setups.view(chosen)
    classes, files, labels = support_files(support)
    # Every picture is read before anything is trained: a broken one must not cost the user that time.
    queries, supports = squares(images, view), squares(files, view)
    built, network, state = ready(method, chosen, backbone, weights, settings, seed, device, precision)
    scores = _scores(built, network, state, supports, labels, queries, seed)
    return [
        Prediction(
            image, classes[int(row.argmax())],
            dict(zip(classes, row.softmax(0).tolist(), strict=True)), dict(zip(classes, row.tolist(), strict=True)),
        )
        for image, row in zip(images, scores.cpu(), strict=True)
    ]  # fmt: skip


def check_method(method: str) -> None:
    """ZooError where the method has no use for supports."""
    if not registry.plugin("methods", method).uses_support:  # type: ignore[attr-defined]
        raise ZooError(f"--method {method}: it ignores supports; choose one that uses them (`zoo list methods`)")


def ready(
    method: str, benchmark: Benchmark, backbone: str | None, weights: str | None, settings: Mapping[str, str] | None,
    seed: int, device: str, precision: str,
) -> tuple[Method, AtPrecision, nn.Module | None]:  # fmt: skip
    """The method, its backbone, trained where it learns, and the parts that it learned beside that."""
    if registry.method(method, settings).trains:
        made = setups.setup(
            method, benchmark=benchmark.name, backbone=backbone, weights=weights, settings=settings, seed=seed,
            device=device, precision=precision,
        )  # fmt: skip
        fitted = fit(made, None, Clock())
        return made.method, fitted.backbone, fitted.state
    setups.check_seed(seed)
    where = choose(device, precision)
    built = registry.method(method, settings)
    own, views = looks(backbone or benchmark.backbone, built.adapts, method)
    bare = turned(setups.load_backbone(own, weights, seed)[0].requires_grad_(False), views)
    return built, AtPrecision(bare, where), None


def support_files(support: Path) -> tuple[list[str], list[Path], list[int]]:
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


def squares(files: list[Path], view: View) -> np.ndarray:
    """(n, side, side, 3) uint8"""
    if not files:
        raise ZooError("no images to classify; give one file or more")
    for file in files:
        if not file.is_file():
            raise ZooError(f"{file}: no such image")
    return np.stack([square(rgb(file), view) for file in files])


@torch.no_grad()
def _scores(
    method: Method, backbone: AtPrecision, state: nn.Module | None, supports: np.ndarray, labels: list[int],
    queries: np.ndarray, seed: int,
) -> Tensor:  # fmt: skip
    """(n, way) of the queries (n, side, side, 3). A transductive method sees them all together."""
    own = torch.tensor(labels, device=backbone.device.name)
    if isinstance(method, Adapting) and method.adapts:
        images, numbers = as_images(supports, backbone.device), np.arange(len(supports))
        adapted, params = adapt(method, backbone, state, images, own, seed, numbers)
        return method.scores(params, _features(method, adapted, backbone.device, queries)).float()
    features = _features(method, backbone, backbone.device, supports)
    query = _features(method, backbone, backbone.device, queries)
    classes = torch.arange(int(own.max()) + 1, device=own.device)
    return method.scores(fitted(method, state, Support(features, own, classes), query), query).float()


def _features(method: Method, backbone: Backbone, device: Device, pixels: np.ndarray) -> Tensor:
    parts = np.array_split(pixels, -(-len(pixels) // 64))
    return torch.cat([method.features(backbone, backbone.hidden(as_images(part, device))) for part in parts])
