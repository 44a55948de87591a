"""Embeddings: computed once for each (weights, precision, images), kept on disk, memory-mapped."""

import numpy as np
import torch

from zoo.data.items import Items
from zoo.pipeline import cache
from zoo.pipeline.device import AtPrecision
from zoo.pipeline.progress import bar
from zoo.pipeline.train import as_images

BATCH = 64


def embed(backbone: AtPrecision, weights_sha256: str, items: Items, chosen: np.ndarray) -> np.ndarray:
    """Embeddings (n, d) float32 of the chosen item numbers (n,), in their order."""
    device = backbone.device
    file = cache.place(
        "embeddings", ".npy", weights_sha256, items.sha256, chosen.tolist(), device.name, device.precision, BATCH
    )
    return cache.array(file, (len(chosen), backbone.dim), lambda: _compute(backbone, items, chosen))


def _compute(backbone: AtPrecision, items: Items, chosen: np.ndarray) -> np.ndarray:
    parts = []
    with torch.inference_mode(), bar(f"embedding {len(chosen)} images", len(chosen)) as advance:
        for start in range(0, len(chosen), BATCH):
            part = chosen[start : start + BATCH]
            parts.append(backbone(as_images(items.pixels[part], backbone.device)).cpu().numpy())
            advance(len(part))
    return np.concatenate(parts)
