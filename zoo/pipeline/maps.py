"""Maps, like embeddings computed once and kept on disk; and methods that read them, a few at a time in memory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from zoo import atomic
from zoo.data.items import Items
from zoo.pipeline import cache
from zoo.pipeline.device import AtPrecision
from zoo.pipeline.embed import BATCH
from zoo.pipeline.evaluate import support_of
from zoo.pipeline.progress import bar
from zoo.pipeline.train import as_images
from zoo.record import Bank
from zoo.types import Method

QUERIES = 256
"""How many maps are looked at together."""


def maps(
    backbone: AtPrecision, weights_sha256: str, items: Items, chosen: np.ndarray, kind: str,
    read: Callable[[Tensor], Tensor],
) -> Tensor:  # fmt: skip
    """What `read` makes of images, as float16 (items, ...) indexed by item number; only the chosen rows mean anything.

    `kind` names what `read` reads. On the CPU the tensor lies in a file: a row costs memory when it is looked at, so
    that 5,000 maps of 1280 x 5 x 5, 320 MB, fit beside anything. Rows not chosen are holes in the file.
    """
    device = backbone.device
    with torch.inference_mode():
        one = read(as_images(items.pixels[chosen[:1]], device))[0]
    shape = (len(items), *one.shape)
    file = cache.place(
        kind, ".npy", weights_sha256, items.sha256, chosen.tolist(), shape, device.name, device.precision, BATCH
    )
    # Copy-on-write, because torch knows no read-only memory.
    found = cache.whole(file, shape, np.float16, "c")
    if found is None:
        _write(file, shape, backbone, items, chosen, kind, read)
        found = np.load(file, mmap_mode="c")
    return torch.from_numpy(found).to(device.name)


def _write(
    file: Path, shape: tuple[int, ...], backbone: AtPrecision, items: Items, chosen: np.ndarray, kind: str,
    read: Callable[[Tensor], Tensor],
) -> None:  # fmt: skip
    row = int(np.prod(shape[1:])) * 2
    with (
        atomic.replacing(file) as partial,
        torch.inference_mode(),
        bar(f"{kind} of {len(chosen)} images", len(chosen)) as advance,
    ):
        np.lib.format.write_array_header_2_0(partial, {"descr": "<f2", "fortran_order": False, "shape": shape})
        start = partial.tell()
        for part in (chosen[first : first + BATCH] for first in range(0, len(chosen), BATCH)):
            found = read(as_images(items.pixels[part], backbone.device)).half().cpu().contiguous().numpy()
            for number, values in zip(part.tolist(), found, strict=True):
                partial.seek(start + number * row)
                partial.write(values.tobytes())
            advance(len(part))
        partial.truncate(start + len(items) * row)


def evaluate_maps(
    method: Method, state: nn.Module | None, bank: Bank, found: Tensor, classes: np.ndarray
) -> list[np.ndarray]:
    """Scores (q, way) of every episode, one after the other, by a method that reads maps and is not transductive.
    `found` (items, c, h, w) is indexed by item number; `classes` are the benchmark's, as dataset-wide numbers."""
    scores = []

    def rows(numbers: np.ndarray) -> Tensor:
        return found[torch.as_tensor(numbers, device=found.device)].float()

    with torch.no_grad(), bar(f"{len(bank.episodes)} episodes", len(bank.episodes)) as advance:
        for episode in bank.episodes:
            params = method.fit(state, support_of(episode, rows(episode.support), classes))
            parts = np.split(episode.query, range(QUERIES, len(episode.query), QUERIES))
            scores.append(torch.cat([method.scores(params, rows(part)) for part in parts]).cpu().numpy())
            advance(1)
    return scores
