"""Deletion and insertion against the bare forward passes that they cannot do without."""

import time

import pytest
import torch
from torchvision.models import resnet18

from zoo import registry
from zoo.types import Explained

IMAGES, SIDE, STEPS = 6, 192, 10


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_little_above_the_bare_forward_passes(benchmark, name):
    random = torch.Generator().manual_seed(0)
    network = resnet18(weights=None, num_classes=8).eval()
    images = torch.rand(IMAGES, 3, SIDE, SIDE, generator=random)
    saliency = torch.rand(IMAGES, SIDE, SIDE, generator=random)
    target = torch.arange(IMAGES)

    @torch.no_grad()
    def probability(images, target):
        return network(images).softmax(1).gather(1, target[:, None]).squeeze(1)

    batch = torch.rand(IMAGES * (STEPS + 1), 3, SIDE, SIDE, generator=random)

    def bare():
        """Seconds of the same number of images, in batches of the same size."""
        start = time.perf_counter()
        for images in batch.split(64):
            probability(images, torch.zeros(len(images), dtype=torch.long))
        return time.perf_counter() - start

    metric = registry.explanation_metric(name)
    given = Explained(images, saliency, target, probability, None, torch.tensor([0.8, 0.7, 0.75]), None)
    passes = []
    benchmark.pedantic(metric.measure, (given,), setup=lambda: passes.append(bare()), rounds=5, warmup_rounds=1)
    ratio = benchmark.stats.stats.min / min(passes)
    benchmark.extra_info["times the bare forward passes"] = round(ratio, 2)
    assert ratio <= 1.25
