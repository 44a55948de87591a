"""Pure tensor functions that several plug-ins share. Those of features map over episodes with `torch.func.vmap`."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.types import Backbone


def one_hot(labels: Tensor, way: int) -> Tensor:
    """Float indicator of each label: (n,) -> (n, way)."""
    return (labels.unsqueeze(-1) == torch.arange(way, device=labels.device)).float()


def class_means(features: Tensor, labels: Tensor, way: int) -> Tensor:
    """Mean of each class: (n, d), (n,) -> (way, d). A class without items gets zeros."""
    member = one_hot(labels, way)
    return member.T @ features / member.sum(0).clamp_min(1).unsqueeze(-1)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distance of every pair: (n, d), (m, d) -> (n, m), never negative."""
    return (a.square().sum(-1, keepdim=True) + b.square().sum(-1) - 2 * a @ b.T).clamp_min(0)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of every pair: (n, d), (m, d) -> (n, m). Its gradient is finite where a = b."""
    return (squared_distances(a, b) + 1e-12).sqrt()


def unit(features: Tensor) -> Tensor:
    """Features scaled to length one along the last axis."""
    return F.normalize(features, dim=-1)


@torch.no_grad()
def pair_weights(
    backbone: Backbone,
    compared: Callable[[Tensor], Tensor],
    query: Tensor,
    support: Tensor,
    pairs: Tensor,
    distance: Literal["l2", "cosine", "inner"],
) -> tuple[Tensor, Tensor]:
    """Channel weights of query-support pairs: d(-distance) / d(maps), averaged over places.

    "inner" is the inner product of the two with their lengths held fixed: through a mean over places the weighted
    maps then are each place's share of the similarity, where the other two say what would make it grow.

    Hidden tensors `query` (n, ...) and `support` (k, ...); `pairs` (n, s) long, the supports to pair with each query;
    the distance is taken after `compared`. Returns the weights of the queries' and of the supports' maps, both
    (n, s, c). Where the backbone is mean-pooled, d/d(map) at each of h x w places is d/d(mean) / hw: a gradient of c
    numbers a pair replaces one through the maps. Elsewhere it goes through `embed`, about 32 pairs at a time.
    """
    if backbone.mean_pooled:
        places = backbone.grid(query)[0, 0].numel()
        query, support = backbone.grid(query).mean((2, 3)), backbone.grid(support).mean((2, 3))
        rest, rows = backbone.neck, len(query)
    else:
        places, rest, rows = 1, backbone.embed, max(1, 32 // pairs.shape[1])
    weights = []
    for part, others in zip(query.split(rows), pairs.split(rows), strict=True):
        a = part.repeat_interleave(others.shape[1], 0).requires_grad_()
        b = support[others.flatten()].requires_grad_()
        with torch.enable_grad():
            x, y = rest(a).float(), rest(b).float()
            left, right = compared(x), compared(y)
            if distance == "l2":
                likeness = -((left - right).square().sum(-1) + 1e-12).sqrt()
            elif distance == "cosine":
                likeness = F.cosine_similarity(left, right)
            else:
                likeness = (x * unit(right).detach()).sum(-1) / x.detach().norm(dim=-1)
                likeness = likeness + (y * unit(left).detach()).sum(-1) / y.detach().norm(dim=-1)
            gradients = torch.autograd.grad(likeness.sum(), (a, b))
        if not backbone.mean_pooled:
            gradients = [backbone.grid(gradient).mean((2, 3)) for gradient in gradients]
        weights.append([(gradient / places).float().unflatten(0, others.shape) for gradient in gradients])
    of_query, of_support = (torch.cat(side) for side in zip(*weights, strict=True))
    return of_query, of_support


def upsample(saliency: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, to the size of the image: (n, h, w) -> (n, height, width)."""
    return F.interpolate(saliency.unsqueeze(1), (height, width), mode="bilinear", align_corners=False).squeeze(1)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., H, W), sigma in pixels; weights are rescaled at the border, so nothing darkens there."""

    def weights(side: int) -> Tensor:
        place = torch.arange(side, device=images.device, dtype=images.dtype)
        return (-(place[:, None] - place).square() / (2 * sigma**2)).softmax(1)

    return weights(images.shape[-2]) @ images @ weights(images.shape[-1]).T


def pixel_order(saliency: Tensor) -> Tensor:
    """Pixel numbers (row-major), the most salient first: (n, H, W) -> (n, H * W).

    Equal values come in one fixed pseudo-random order, the same for every image: row-major order would take the top
    of the image first.
    """
    flat = saliency.flatten(1)
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(0)).to(flat.device)
    return shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]


@torch.no_grad()
def perturbation_curve(
    start: Tensor,
    end: Tensor,
    saliency: Tensor,
    steps: int,
    probability: Callable[[Tensor, Tensor], Tensor],
    target: Tensor,
) -> Tensor:
    """Probability of the target while `start` turns into `end`, the most salient pixels first.

    Images (n, c, H, W), saliency (n, H, W), target (n,) -> (n, steps + 1), at the fractions 0, 1/steps ... 1 of the
    pixels. At most 64 images a forward pass. Raises ZooError for fewer than one step.
    """
    if steps < 1:
        raise ZooError(f"steps={steps}: a perturbation curve needs at least 1; give steps=10")
    n, _, height, width = start.shape
    pixels = height * width
    order = pixel_order(saliency)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(pixels, device=order.device).expand_as(order))
    rank = rank.view(n, 1, height, width)
    counts = torch.tensor([round(step * pixels / steps) for step in range(steps + 1)], device=order.device)
    item = torch.arange(n, device=order.device).repeat_interleave(steps + 1)
    curve = []
    for items, count in zip(item.split(64), counts.repeat(n).split(64), strict=True):
        images = torch.where(rank[items] < count.view(-1, 1, 1, 1), end[items], start[items])
        curve.append(probability(images, target[items]))
    return torch.cat(curve).float().view(n, steps + 1)


def above_quantile(saliency: Tensor, quantile: float) -> Tensor:
    """Pixels above a quantile of their own image's saliency: (n, H, W) -> (n, H, W) bool. Equal values stay together,
    so that an even map marks nothing."""
    flat = saliency.flatten(1)
    rank = min(max(round(quantile * flat.shape[1]), 1), flat.shape[1])
    return saliency > flat.kthvalue(rank).values.view(-1, 1, 1)


def jaccard(a: Tensor, b: Tensor) -> Tensor:
    """|a and b| / |a or b| of each pair of masks: (n, H, W) bool, twice -> (n,). 0 where both are empty."""
    return (a & b).sum((1, 2)) / (a | b).sum((1, 2)).clamp_min(1)


def best_threshold(saliency: Tensor, masks: Tensor) -> float:
    """The quantile of 0.05, 0.1 ... 0.95 with the highest mean Jaccard: (n, H, W), (n, H, W) bool -> number.

    Give validation items only: chosen on the items that are scored, it inflates the figure.
    """
    quantiles = [step / 20 for step in range(1, 20)]
    return max(quantiles, key=lambda quantile: float(jaccard(above_quantile(saliency, quantile), masks).mean()))
