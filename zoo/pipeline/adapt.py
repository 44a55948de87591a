"""Methods that adapt the backbone in each episode: one classifier an episode, and a bank of them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.data.splits import hash64
from zoo.pipeline import cache
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import AtPrecision, Device
from zoo.pipeline.progress import bar
from zoo.pipeline.workers import results
from zoo.record import Bank, Episode
from zoo.types import Adapting, Backbone

BATCH = 64


class FromTrunk(Backbone):
    """A backbone that is shown cached trunks (n, ...) where others are shown images."""

    def __init__(self, backbone: Backbone, device: Device) -> None:
        super().__init__()
        self.inner, self.device = backbone, device
        self.name, self.dim, self.mean_pooled = backbone.name, backbone.dim, backbone.mean_pooled
        self.eval()

    def hidden(self, images: Tensor) -> Tensor:
        return self.inner.tail(images)

    def embed(self, hidden: Tensor) -> Tensor:
        return self.inner.embed(hidden)

    def grid(self, hidden: Tensor) -> Tensor:
        return self.inner.grid(hidden)

    def neck(self, pooled: Tensor) -> Tensor:
        return self.inner.neck(pooled)

    def trunk(self, images: Tensor) -> Tensor:
        return images

    def tail(self, trunk: Tensor) -> Tensor:
        return self.inner.tail(trunk)


def adapt(
    method: Adapting,
    backbone: AtPrecision | FromTrunk,
    state: nn.Module | None,
    images: Tensor,
    labels: Tensor,
    seed: int,
    numbers: np.ndarray,
) -> tuple[Backbone, Any]:
    """The backbone and the parameters of one episode. What is random follows from the seed and from the supports'
    item `numbers` (k,), so that an episode comes out the same wherever it is met."""
    device = backbone.device
    random = torch.Generator().manual_seed(hash64("adapt", seed, *numbers.tolist()) >> 1)
    with torch.enable_grad(), fast_depthwise(backbone, device.name == "cpu" and device.precision == "bf16"):
        adapted, params = method.adapt(backbone, state, images, labels, random)
    return adapted.eval().requires_grad_(False), params


def evaluate_adapting(
    method: Adapting,
    backbone: AtPrecision | FromTrunk,
    state: nn.Module | None,
    bank: Bank,
    images: Callable[[np.ndarray], Tensor],
    seed: int,
    key: tuple[Any, ...] | None = None,
) -> list[np.ndarray]:
    """Scores (q, way) of every episode; on the CPU in several processes where that takes long, one thread an episode.
    `images`, which must pickle, gives item numbers (n,) as what the backbone is shown: images (n, 3, H, W), or trunks.
    With a `key`, of all that determines them but seed and episode, scores are kept as they come, and a run that was
    killed goes on from there."""

    def tasks() -> Iterator[Callable[[], np.ndarray]]:
        for episode in bank.episodes:
            file = cache.place("adapted", ".npy", *key, seed, *(part.tolist() for part in episode)) if key else None
            found = cache.whole(file, (len(episode.query), len(episode.classes)), np.float32) if file else None
            if found is not None:
                yield partial(np.array, found)
            else:
                yield partial(_scored, method, backbone, state, episode, images, seed, file)

    scores, count = [], len(bank.episodes)
    together = results(tasks(), count) if backbone.device.name == "cpu" else (task() for task in tasks())
    with bar(f"adapting in {count} episodes", count) as advance:
        for found in together:
            scores.append(found)
            advance(1)
    return scores


def _scored(
    method: Adapting,
    backbone: AtPrecision | FromTrunk,
    state: nn.Module | None,
    episode: Episode,
    images: Callable[[np.ndarray], Tensor],
    seed: int,
    file: Path | None,
) -> np.ndarray:
    """Scores (q, way) of one episode, kept at `file`."""
    shown = images(episode.support)
    labels = torch.as_tensor(episode.support_labels, device=shown.device)
    adapted, params = adapt(method, backbone, state, shown, labels, seed, episode.support)
    parts = np.split(episode.query, range(BATCH, len(episode.query), BATCH))
    with torch.no_grad():
        found = [method.scores(params, method.features(adapted, adapted.hidden(images(part)))) for part in parts]
    scores = torch.cat(found).float().cpu().numpy()
    if file is not None:
        cache.keep(file, scores)
    return scores
