"""`zoo explain IMAGE`: a user's own images, why each went to its class, and why not to the next one."""

import hashlib
import importlib.metadata
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo import atomic, ops, registry
from zoo.attribution import allowed
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.pipeline import cache
from zoo.pipeline import setup as setups
from zoo.pipeline.explain import check, likeness
from zoo.pipeline.explanation_page import draw
from zoo.pipeline.predict import check_method, ready, squares, support_files
from zoo.pipeline.scene import Scene
from zoo.record import Episode

MOST = 50
"""Images of one page."""


@dataclass(frozen=True)
class OwnImage:
    """One explained image of the user."""

    file: Path
    image: np.ndarray
    """(H, W, 3) uint8, as the backbone saw it"""
    dissimilarity: dict[str, float]
    """Class -> minus the method's score: lower is more alike"""
    saliency: np.ndarray
    """(H, W): what speaks for the predicted class"""
    next_saliency: np.ndarray
    """(H, W): what speaks for the runner-up"""
    supports: np.ndarray
    """(shot, H, W, 3) uint8, of the predicted class"""
    support_files: list[Path]
    support_saliency: np.ndarray | None
    """(shot, H, W): where each support resembles the image; None where the explainer does not say"""
    likeness: list[float]
    """Cosine similarity to each of these supports, in the features that the method compares"""

    @property
    def ranked(self) -> list[str]:
        """Classes, the most alike first."""
        return sorted(self.dissimilarity, key=self.dissimilarity.__getitem__)


def explain(
    images: Sequence[Path],
    support: Path,
    method: str,
    explainer: str,
    out: Path,
    arrays: bool = False,
    benchmark: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    settings: Mapping[str, str] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> list[Path]:
    """Classify images by the sub-folders of `support`, explain the answer and the runner-up, and draw both to `out`.

    With `arrays` the same numbers go beside it: out.npz and out.json, which says what they are. Returns the files
    written. Raises ZooError for the first thing that is wrong.
    """
    if out.suffix.lower() != ".png":
        raise ZooError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    if not 1 <= len(images) <= MOST:
        raise ZooError(f"{len(images)} images: give 1 to {MOST} at a time")
    check_method(method)
    for_method, for_explainer = setups.settings_of(method, explainer, settings or {})
    explaining = registry.explainer(explainer, for_explainer)
    check(registry.method(method, for_method), explaining, (method, explainer))
    if explaining.needs in ("masks", "attributes"):
        lack = f"your images have no {explaining.needs}"
        raise ZooError(f"--explainer {explainer}: {lack}; choose another (`zoo list explainers`)")
    chosen = setups.choose_benchmark(benchmark)
    view = setups.view(chosen)
    classes, files, labels = support_files(support)
    queries, supports = squares(list(images), view), squares(files, view)
    built, network, state = ready(method, chosen, backbone, weights, for_method, seed, device, precision)
    allowed(explaining, network)
    items, episode = _as_episode(classes, [*files, *images], np.concatenate([supports, queries]), labels)
    nothing = torch.zeros(3, device=network.device.name)
    scene = Scene(network, built, state, items, np.arange(len(classes)), 1.0, nothing, nothing, seed)
    scene = _with_features(scene, episode)
    found = _explained(scene, explaining, episode, list(images), files, seed)
    title = f"{method} + {explainer}"
    written = [draw(found, title, out, f"{backbone or chosen.backbone}; supports from {support.name or support}")]
    if arrays:
        made = {
            "method": method, "method_settings": asdict(built), "explainer": explainer,
            "explainer_settings": asdict(explaining), "backbone": backbone or chosen.backbone,
            "weights_sha256": cache.state_sha256(network, state), "benchmark": chosen.name, "seed": seed,
            "crop": view.crop, "side": view.side, "device": network.device.name, "precision": network.device.precision,
            "versions": {name: importlib.metadata.version(name) for name in ("hemazoo", "torch", "timm", "numpy")},
        }  # fmt: skip
        written += write_arrays(found, out, made)
    return written


def write_arrays(found: Sequence[OwnImage], out: Path, made: Mapping[str, Any]) -> list[Path]:
    """The numbers behind a picture: `out` with .npz, and a manifest with .json, to which `made` is added."""
    classes = list(found[0].dissimilarity)
    meanings = {
        "images": "as the backbone saw them, RGB",
        "saliency": "evidence for the predicted class, higher is more; its unit is the explainer's own",
        "next_saliency": "evidence for the runner-up",
        "dissimilarity": "minus the method's score, a column a class, in the order of `classes`",
    }
    arrays = {
        "images": np.stack([one.image for one in found]),
        "saliency": np.stack([one.saliency for one in found]),
        "next_saliency": np.stack([one.next_saliency for one in found]),
        "dissimilarity": np.array([[one.dissimilarity[name] for name in classes] for one in found]),
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    manifest = {
        **made,
        "classes": classes,
        "images": [
            {
                "file": str(one.file), "sha256": hashlib.sha256(one.file.read_bytes()).hexdigest(),
                "predicted": one.ranked[0], "runner_up": one.ranked[1], "dissimilarity": one.dissimilarity,
                "supports": {str(file): value for file, value in zip(one.support_files, one.likeness, strict=True)},
            }
            for one in found
        ],
        "arrays": {
            name: {"shape": list(array.shape), "dtype": str(array.dtype), "meaning": meanings[name]}
            for name, array in arrays.items()
        },
        "npz": out.with_suffix(".npz").name,
        "npz_sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }  # fmt: skip
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    for path, raw in ((out.with_suffix(".npz"), content.getvalue()), (out.with_suffix(".json"), text.encode())):
        atomic.write(path, raw)
    return [out.with_suffix(".npz"), out.with_suffix(".json")]


def _as_episode(
    classes: Sequence[str], files: Sequence[Path], pixels: np.ndarray, labels: Sequence[int]
) -> tuple[Items, Episode]:
    """The user's images as items, supports first, and the one episode that they make."""
    count, k = len(files), len(labels)
    # What the queries are is unknown: no method ever sees their labels.
    own = np.array([*labels, *[0] * (count - k)])
    names = tuple(str(file) for file in files)
    items = Items("own images", None, False, tuple(classes), names, own, np.arange(count), pixels)
    return items, Episode(np.arange(len(classes)), np.arange(k), own[:k], np.arange(k, count), own[k:])


def _with_features(scene: Scene, episode: Episode) -> Scene:
    """The scene with what a transductive method sees of the queries."""
    if not scene.method.transductive:
        return scene
    with torch.no_grad():
        seen = scene.method.features(scene.backbone, scene.backbone.hidden(scene.images(episode.query)))
    features = seen.new_zeros(len(scene.items), *seen.shape[1:])
    features[torch.as_tensor(episode.query, device=seen.device)] = seen
    return replace(scene, features=features)


def _explained(
    scene: Scene, explainer: Any, episode: Episode, images: list[Path], supports: list[Path], seed: int
) -> list[OwnImage]:
    classifier, queries = scene.classifier(episode), scene.images(episode.query)
    scores = scene.scores(classifier, queries)
    first, second = scores.topk(2, dim=1).indices.unbind(1)
    size = queries.shape[2:]

    def maps(saliency: Tensor) -> np.ndarray:
        return ops.upsample(saliency, *size).cpu().numpy()

    why, why_not = (explainer.explain(classifier, queries, target, seed) for target in (first, second))
    saliency, next_saliency, alike = maps(why.saliency), maps(why_not.saliency), likeness(classifier, queries, first)
    found = []
    for row, number in enumerate(episode.query):
        own = np.flatnonzero(episode.support_labels == int(first[row]))
        on_support = why.support_saliency
        found.append(OwnImage(
            file=images[row],
            image=np.asarray(scene.items.pixels[number]),
            dissimilarity=dict(zip(scene.items.classes, (-scores[row]).tolist(), strict=True)),
            saliency=saliency[row],
            next_saliency=next_saliency[row],
            supports=np.asarray(scene.items.pixels[episode.support[own]]),
            support_files=[supports[index] for index in own],
            support_saliency=None if on_support is None else maps(on_support[row, : len(own)]),
            likeness=alike[row, : len(own)].tolist(),
        ))  # fmt: skip
    return found
