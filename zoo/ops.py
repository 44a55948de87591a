"""Pure tensor functions that several plug-ins share. Those of features map over episodes with `torch.func.vmap`."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

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
    lengths = a.square().sum(-1, keepdim=True) + b.square().sum(-1)
    # b first: where a is the same for many episodes, torch.vmap then makes one matrix product of them all.
    return torch.sub(lengths, (b @ a.T).T, alpha=2).clamp_min(0)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of every pair: (n, d), (m, d) -> (n, m). Its gradient is finite where a = b."""
    return (squared_distances(a, b) + 1e-12).sqrt()


def unit(features: Tensor) -> Tensor:
    """Features scaled to length one along the last axis."""
    return F.normalize(features, dim=-1)


def descend(start: Tensor, gradient: Callable[[Tensor], Tensor], steps: int, rate: float) -> Tensor:
    """Where gradient descent with momentum 0.9 comes to from `start`, in `steps` steps of learning rate `rate`."""
    point, speed = start, torch.zeros_like(start)
    for _ in range(steps):
        speed = 0.9 * speed + gradient(point)
        point = point - rate * speed
    return point


@torch.no_grad()
def pair_maps(
    backbone: Backbone,
    compared: Callable[[Tensor], Tensor],
    query: Tensor,
    support: Tensor,
    pairs: Tensor,
    distance: Literal["l2", "cosine", "inner", "apart"],
) -> tuple[Tensor, Tensor]:
    """Class activation maps of query-support pairs: the maps weighted by d(-distance) / d(maps), averaged over places.

    "inner" is the inner product of the two with their lengths held fixed: through a mean over places the weighted
    maps then are each place's share of the similarity, where the other two say what would make it grow. "apart" is
    the same less each image's product with itself: shares of cosine - 1, half the squared distance, negated.

    Hidden tensors `query` (n, ...) and `support` (k, ...); `pairs` (n, s) long, the supports to pair with each query;
    the distance is taken after `compared`. Returns the maps over the queries and over the supports, both (n, s, h, w),
    of either sign. Where the backbone is mean-pooled, d/d(map) at each of h x w places is d/d(mean) / hw: a gradient of
    c numbers a pair replaces one through the maps; with no neck behind the mean, inner products need none at all.
    Elsewhere it goes through `embed`, about 32 pairs at a time.
    """
    own, other = backbone.grid(query).float(), backbone.grid(support).float()
    sizes = len(query), pairs.shape[1], *own.shape[2:]
    own, other = own.flatten(2), other.flatten(2)
    if backbone.mean_pooled and distance in ("inner", "apart"):
        a, b = own.mean(2), other.mean(2)
        if torch.equal(backbone.neck(b), b):
            over_query, over_support = _shares(compared, (own, a), (other, b), pairs, distance == "apart")
            return over_query.view(sizes), over_support.view(sizes)
    of_query, of_support = _pair_weights(backbone, compared, query, support, pairs, distance)
    over_support = own.new_zeros(of_query.shape[:2] + own.shape[2:])
    for rows, numbers in _alike(pairs):
        over_support[rows] = torch.einsum("nsc,scp->nsp", of_support[rows], other[numbers])
    return torch.bmm(of_query, own).view(sizes), over_support.view(sizes)


def _shares(
    compared: Callable[[Tensor], Tensor], query: tuple[Tensor, Tensor], support: tuple[Tensor, Tensor], pairs: Tensor,
    apart: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Each place's share of the pairs' inner products, both (n, s, p): of maps (n, c, p), (k, c, p) and their means."""
    (own, a), (other, b) = query, support
    left, right = unit(compared(a)), unit(compared(b))
    over_query = own.new_empty(*pairs.shape, own.shape[2])
    over_support = torch.empty_like(over_query)
    for rows, numbers in _alike(pairs):
        over_query[rows] = right[numbers] @ (own if len(rows) == len(own) else own[rows])
        over_support[rows] = (left[rows] @ other[numbers]).transpose(0, 1)
    if apart:
        over_query -= left.unsqueeze(1) @ own
        over_support -= (right.unsqueeze(1) @ other).squeeze(1)[pairs]
    places = own.shape[2]
    over_query /= (places * a.norm(dim=1)).clamp_min(1e-12)[:, None, None]  # an image without features has no shares
    over_support /= (places * b.norm(dim=1)).clamp_min(1e-12)[pairs].unsqueeze(2)
    return over_query, over_support


def _alike(pairs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The queries with the same supports, and those: (m,) and (s,) long."""
    kinds, kind = pairs.unique(dim=0, return_inverse=True)
    for number, supports in enumerate(kinds):
        yield (kind == number).nonzero().squeeze(1), supports


def _pair_weights(
    backbone: Backbone, compared: Callable[[Tensor], Tensor], query: Tensor, support: Tensor, pairs: Tensor,
    distance: Literal["l2", "cosine", "inner", "apart"],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Weights of the queries' and of the supports' channels, both (n, s, c), by autograd."""
    if backbone.mean_pooled:
        places = backbone.grid(query)[0, 0].numel()
        query, support = backbone.grid(query).float().mean((2, 3)), backbone.grid(support).float().mean((2, 3))
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
                a_to_b, b_to_a = unit(right).detach(), unit(left).detach()
                if distance == "apart":
                    a_to_b, b_to_a = a_to_b - b_to_a, b_to_a - a_to_b
                likeness = (x * a_to_b).sum(-1) / x.detach().norm(dim=-1).clamp_min(1e-12)
                likeness = likeness + (y * b_to_a).sum(-1) / y.detach().norm(dim=-1).clamp_min(1e-12)
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


def same_image(apart: Tensor) -> Tensor:
    """Pairs so near that they are one and the same image, from squared distances of unit features; same shape."""
    return apart <= 2e-6


Pulling = tuple[Tensor, Callable[[Tensor], Tensor]]
"""Scores (way, n) by prototypes (way, d), and from a gradient on these scores to that on the prototypes."""


def by_product(prototypes: Tensor, features: Tensor, temperature: float) -> Pulling:
    """temperature x (inner product - half the prototype's squared length): the negative half of the squared distance,
    but for what is the same for every class."""
    lengths = prototypes.square().sum(-1, keepdim=True)

    def pull(slope: Tensor) -> Tensor:
        return temperature * (slope @ features - slope.sum(-1, keepdim=True) * prototypes)

    return temperature * (prototypes @ features.T - lengths / 2), pull


def by_cosine(prototypes: Tensor, features: Tensor, temperature: float) -> Pulling:
    """temperature x cosine, of features of length one."""
    length = prototypes.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    turned = prototypes / length

    def pull(slope: Tensor) -> Tensor:
        free = temperature * slope @ features
        return (free - (free * turned).sum(-1, keepdim=True) * turned) / length

    return temperature * turned @ features.T, pull


def by_distance(prototypes: Tensor, features: Tensor, temperature: float) -> Pulling:
    """-temperature x Euclidean distance."""
    apart = distances(features, prototypes).T

    def pull(slope: Tensor) -> Tensor:
        share = temperature * slope / apart
        return share @ features - share.sum(-1, keepdim=True) * prototypes

    return -temperature * apart, pull


def adam(start: Tensor, gradient: Callable[[Tensor], Tensor], steps: int, rate: float) -> Tensor:
    """Where `steps` steps of Adam lead from `start` (Kingma & Ba, ICLR 2015, with their constants)."""
    place, mean, square = start, torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, steps + 1):
        slope = gradient(place)
        mean, square = torch.add(0.9 * mean, slope, alpha=0.1), torch.add(0.999 * square, slope.square(), alpha=0.001)
        spread = (square / (1 - 0.999**step)).sqrt() + 1e-8
        place = place - rate / (1 - 0.9**step) * mean / spread
    return place


def moved_prototypes(
    prototypes: Tensor,
    scores: Callable[[Tensor], Pulling],
    truth: Tensor,
    weight: float,
    slope: Callable[[Tensor], Tensor],
    steps: int,
    rate: float,
    seen: Tensor | None = None,
) -> Tensor:
    """Prototypes (way, d) moved by Adam down `weight` x cross-entropy of the supports + a loss of the queries.

    `scores` gives prototypes' scores (way, k + q) of supports and queries, in that order, and how these pull them;
    `truth` (way, k) is the supports' indicator; `slope` maps the queries' posteriors (way, q) to the gradient of their
    loss. Where `scores` are those of more items (way, n), `seen` numbers the supports' and queries' among them. Every
    gradient is written out, and every matrix has its long side last: several times as fast as autograd
    along a few classes.
    """
    k = truth.shape[1]

    numbers = None if seen is None else seen.expand(len(prototypes), -1)

    def gradient(place: Tensor) -> Tensor:
        every, pull = scores(place)
        posterior = (every if numbers is None else every.gather(1, numbers)).softmax(0)
        of_query = posterior[:, k:]
        down = slope(of_query)
        down = of_query * (down - (of_query * down).sum(0))
        slopes = torch.cat([weight / k * (posterior[:, :k] - truth), down], 1)
        return pull(slopes if numbers is None else torch.zeros_like(every).scatter(1, numbers, slopes))

    return adam(prototypes, gradient, steps, rate)


def otsu_masks(images: Tensor) -> Tensor:
    """Where the green value lies below Otsu's threshold, that is, where the stain is: (n, 3, H, W) -> (n, H, W) bool.
    Nothing in an image of one green value."""
    from skimage.filters import threshold_otsu

    green = images[:, 1]
    thresholds = [float(threshold_otsu(channel)) for channel in green.cpu().numpy()]
    return green < torch.tensor(thresholds, device=images.device)[:, None, None]


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's correlation of each pair of rows: (n, m), (n, m) -> (n,) in -1..1. Equal values share their mean rank;
    0 where a row has one value only."""

    def ranks(values: Tensor) -> Tensor:
        ordered = values.sort(dim=1).values
        first, after = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
        centred = (first + after).double() - values.shape[1]
        return centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-30)

    return (ranks(a.contiguous()) * ranks(b.contiguous())).sum(1).clamp(-1, 1).float()
