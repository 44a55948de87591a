"""Explained images made by hand, for tests of explanation metrics."""

from typing import Any

import torch
from tiny import classifier
from torch import Tensor, nn

from zoo.explaining import Explained
from zoo.types import Backbone

WHITE = torch.ones(2, 3, 2, 2)
LEFT_FIRST = torch.tensor([[4.0, 2.0], [3.0, 1.0]]).repeat(2, 1, 1)


def explained(
    pictures: Tensor,
    saliency: Tensor,
    probability: Any = None,
    masks: Tensor | None = None,
    threshold: float | None = None,
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **more: Any,
) -> Explained:
    """Targets 0, 1, 0, 1 ...; without `probability` a metric that looks at the classifier fails."""

    def never(*_: Any) -> Tensor:
        raise AssertionError("this metric must not look at the classifier")

    target = torch.arange(len(pictures)) % 2
    return Explained(pictures, saliency, target, probability or never, masks, torch.tensor(fill), threshold, **more)


def lit(pictures: Tensor, target: Tensor) -> Tensor:
    """Share of white pixels of the left half, for target 0, or of the right half, for target 1."""
    left, right = pictures[:, 0].eq(1).float().chunk(2, dim=2)
    return torch.where(target == 0, left.mean((1, 2)), right.mean((1, 2)))


def colourful(pictures: Tensor, target: Tensor) -> Tensor:
    """A smooth function of all pixels, different for each target."""
    weight = torch.linspace(-1, 1, pictures[0].numel()).view(pictures.shape[1:])
    return torch.sigmoid((pictures * weight).sum((1, 2, 3)) * (1 - 2 * target))


class Network(nn.Module):
    """A small classifier as other libraries want one: images -> probabilities."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier(backbone)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return (20 * self.classifier(images)).softmax(1)

    @torch.no_grad()
    def probability(self, images: Tensor, target: Tensor) -> Tensor:
        return self(images).gather(1, target[:, None]).squeeze(1)
