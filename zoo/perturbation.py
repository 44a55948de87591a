"""Images that lose or regain pixels, and what the classifier then says of them: shared by the metrics of faithfulness.

What does not depend on the saliency (probabilities of whole, blank and blurred images, of images without a square) is
computed once a batch of queries and kept in `Explained.shared` for the next metric and the next explainer.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained
from zoo.ops import blur

BATCH = 32
"""Most images of a forward pass."""
SIGMA = 0.1
"""Gaussian sigma of the blurred image, as a fraction of its side: our choice, wide enough that a stained cell loses
its outline."""
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Of the pixels, the most salient first: the bins of ERASER (DeYoung et al., 2020)."""
Ground = Literal["image", "fill", "blur"]
"""The whole image, the mean colour of the training images, or the image's blurred copy."""


def ground(explained: Explained, name: Ground) -> Tensor:
    """(n, 3, H, W)"""
    images = explained.images
    if name == "image":
        return images
    if name == "fill":
        return explained.fill.to(images)[:, None, None].expand_as(images)
    return explained.once("blurred images", lambda: blur(images, SIGMA * images.shape[-1]), large=True)


def pixel_order(saliency: Tensor) -> Tensor:
    """Pixel numbers (row-major), the most salient first: (n, H, W) -> (n, H * W).

    Equal values come in one fixed pseudo-random order, the same for every image: row-major order would take the top
    of the image first.
    """
    flat = saliency.flatten(1)
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(0)).to(flat.device)
    return shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]


def pixel_rank(saliency: Tensor) -> Tensor:
    """Place of each pixel in `pixel_order`, 0 = the most salient: (n, H, W) -> (n, H, W) long."""
    order = pixel_order(saliency)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view_as(saliency)


def answers(explained: Explained, images: Iterable[Tensor], item: Tensor) -> Tensor:
    """Probability of the target for images in batches; `item` (m,) says whose query each is. -> (m,)"""
    targets = explained.target[item].split(BATCH)
    with torch.no_grad():
        return torch.cat([explained.probability(*pair) for pair in zip(images, targets, strict=True)]).float()


def whole(explained: Explained, name: Ground = "image") -> Tensor:
    """Probability of the target for the whole image, or for nothing of it: (n,). Computed once."""
    items = torch.arange(len(explained.images), device=explained.images.device)
    return explained.once(_of(name), lambda: answers(explained, ground(explained, name).split(BATCH), items))


def known(explained: Explained, name: Ground, probability: Tensor) -> None:
    """Spare `whole` its passes: this probability (n,) of the target was computed on the way."""
    explained.once(_of(name), probability.float)


def _of(name: Ground) -> str:
    return f"probability of {name}"


def changed(explained: Explained, rank: Tensor, counts: Sequence[int], start: Ground, end: Ground) -> Iterator[Tensor]:
    """Batches of images in which the `count` pixels with the lowest rank (n, H, W) came from `end`, the others from
    `start`: those of the first query for every count, then those of the second ..."""
    before, after = ground(explained, start), ground(explained, end)
    item, many = grid(rank, counts)
    for items, count in zip(item.split(BATCH), many.split(BATCH), strict=True):
        gone = rank[items].unsqueeze(1) < count.view(-1, 1, 1, 1)
        yield torch.where(gone, after[items], before[items])


def curve(explained: Explained, rank: Tensor, counts: Sequence[int], start: Ground, end: Ground) -> Tensor:
    """Probability of the target after each count of pixels changed from `start` to `end`, lowest rank first:
    (n, H, W) -> (n, counts). At most 32 images a forward pass; none where nothing or everything changes and the
    answer is known."""
    ends: dict[int, Ground] = {0: start, rank[0].numel(): end}
    found = {count: whole(explained, name) for count, name in ends.items() if _of(name) in explained.shared}
    # A pass of the two ends alone would be a small one, and small ones take twice as long an image.
    asked = [count for count in counts if count not in found]
    if asked:
        item, _ = grid(rank, asked)
        every = answers(explained, changed(explained, rank, asked, start, end), item).view(len(rank), -1)
        found |= dict(zip(asked, every.unbind(1), strict=True))
    for count in {*ends} & {*asked}:
        known(explained, ends[count], found[count])
    return torch.stack([found[count] for count in counts], 1)


def fractions(explained: Explained, steps: int) -> list[int]:
    """Numbers of pixels at the fractions 0, 1/steps ... 1. Raises ZooError for fewer than one step."""
    if steps < 1:
        raise ZooError(f"steps={steps}: a perturbation curve needs at least 1; give steps=10")
    pixels = explained.saliency[0].numel()
    return [round(step * pixels / steps) for step in range(steps + 1)]


def area(
    explained: Explained, steps: int, start: Ground, end: Ground, least_first: bool = False,
    saliency: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Area (n,) in 0..1 under the probability of the target while `start` turns into `end` in equal fractions
    0, 1/steps ... 1 of the pixels, the most salient first (or last), by the trapezoid rule. The saliency is that of
    the explanation, or the one given (n, H, W)."""
    rank = pixel_rank(explained.saliency if saliency is None else saliency)
    if least_first:
        rank = rank[0].numel() - 1 - rank
    return torch.trapezoid(curve(explained, rank, fractions(explained, steps), start, end), dx=1 / steps)


def drops(explained: Explained, gone: Tensor, name: str) -> Tensor:
    """How far the probability of the target falls when the pixels of `gone` (draws, H, W) bool turn into the mean
    colour: (n, draws). The draws are the same for every image, and computed once under this name."""

    def compute() -> Tensor:
        images, blank = explained.images, ground(explained, "fill")
        item, draw = grid(images, range(len(gone)))
        pictures = (
            torch.where(gone[draws].unsqueeze(1), blank[items], images[items])
            for items, draws in zip(item.split(BATCH), draw.split(BATCH), strict=True)
        )
        return whole(explained).unsqueeze(1) - answers(explained, pictures, item).view(len(images), len(gone))

    return explained.once(name, compute)


def sums(saliency: Tensor, gone: Tensor) -> Tensor:
    """Saliency within each draw: (n, H, W), (draws, H, W) bool -> (n, draws)."""
    return saliency.flatten(1).double() @ gone.flatten(1).double().T


def grid(items: Tensor, values: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Every pair of an item's number and a value: two (n * values,), the values of the first item first."""
    item = torch.arange(len(items), device=items.device).repeat_interleave(len(values))
    return item, torch.tensor(list(values), device=items.device, dtype=torch.long).repeat(len(items))


def pair_area(explained: Explained, steps: int, start: Ground, end: Ground) -> Tensor:
    """As `area`, of the similarity to the supports of the target class instead of its probability: (n,) in -1..1, mean
    over these supports. Raises ZooError without `Explained.likeness`, and for fewer than one step."""
    if explained.likeness is None:
        raise ZooError("pair_deletion and pair_insertion need the similarity to supports; use them through `zoo run`")
    likeness, counts, n = explained.likeness, fractions(explained, steps), len(explained.images)
    maps = explained.saliency.unsqueeze(1) if explained.per_support is None else explained.per_support
    areas = []
    for number in range(maps.shape[1]):
        rank = pixel_rank(maps[:, number])
        item, _ = grid(rank, counts)
        targets = explained.target[item].split(BATCH)
        pictures = changed(explained, rank, counts, start, end)
        with torch.no_grad():
            found = torch.cat([likeness(*pair) for pair in zip(pictures, targets, strict=True)]).float()
        heights = found.view(n, steps + 1, -1)
        if explained.per_support is not None:
            heights = heights[:, :, number : number + 1]
        areas.append(torch.trapezoid(heights, dx=1 / steps, dim=1))
    return torch.cat(areas, 1).nanmean(1)
