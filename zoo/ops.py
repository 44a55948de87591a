"""Pure tensor functions that several plug-ins share. All of them map over episodes with `torch.func.vmap`."""

import torch
from torch import Tensor
from torch.nn import functional as F


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
