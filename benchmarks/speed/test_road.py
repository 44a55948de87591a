"""ROAD's imputation against pytorch-grad-cam's, on the same masks, to the same result. Times are of the processor."""

import time

import numpy as np
import pytest
import torch

from zoo.metrics.explanation.road import imputed
from zoo.ops import upsample
from zoo.perturbation import pixel_rank

SIDE = 224


@pytest.mark.benchmark(timer=time.process_time)
def test_imputation_of_one_image(benchmark):
    """A tenth, two tenths ... nine tenths of the pixels, the blobs of a CAM first, and last."""
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    random = torch.Generator().manual_seed(0)
    image = torch.rand(3, SIDE, SIDE, generator=random)
    rank = pixel_rank(upsample(torch.rand(1, 7, 7, generator=random), SIDE, SIDE))[0]
    shares = [step / 10 * SIDE**2 for step in range(1, 10)]
    masks = [places < share for share in shares for places in (rank, SIDE**2 - 1 - rank)]
    peer, theirs = NoisyLinearImputer(noise=0), []
    start = time.process_time()
    theirs = [peer(image, (~gone).float()).numpy() for gone in masks]
    spent = time.process_time() - start

    def ours():
        return [imputed(image.numpy(), gone.numpy()) for gone in masks]

    for found, right in zip(benchmark.pedantic(ours, rounds=1, warmup_rounds=1), theirs, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)
    ratio = spent / benchmark.stats.stats.min
    benchmark.extra_info["times as fast as pytorch-grad-cam"] = round(ratio, 2)
    assert ratio >= 2
