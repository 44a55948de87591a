"""SiamCAM: all pairs at once against one backward pass a pair, and from images against the forward pass alone."""

import time

import pytest
import torch

from zoo import registry
from zoo.explainers.siamcam import SiamCAM
from zoo.explaining import Classifier
from zoo.ops import class_means, pair_maps, squared_distances, unit
from zoo.pipeline.device import AtPrecision, choose
from zoo.types import Backbone, Method, Support

QUERIES, WAY, SHOT, CHANNELS, SIDE = 64, 8, 5, 1280, 6


class Cached(Backbone):
    """Images that already are maps: what is timed is the explanation alone."""

    name, dim, mean_pooled = "cached", CHANNELS, True

    def hidden(self, images):
        return images

    def embed(self, hidden):
        return hidden.mean((2, 3))

    def grid(self, hidden):
        return hidden


class Nearest(Method):
    paper = "none"

    def compared(self, features):
        return unit(features)

    def fit(self, state, support):
        return class_means(self.compared(support.features), support.labels, len(support.classes))

    def scores(self, params, features):
        return -squared_distances(self.compared(features), params)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(("supports", "least"), [("of its class", 10), ("every one", 50)])
def test_closed_form_against_a_backward_pass_a_pair(benchmark, supports, least):
    """Maps of each query and the supports of its class, as SiamCAM asks for them, or every support, as ContrastCAM
    does. Times are of the processor."""
    random = torch.Generator().manual_seed(0)
    backbone, method = Cached(), Nearest()
    maps, hidden = (
        torch.rand(n, CHANNELS, SIDE, SIDE, generator=random).to(memory_format=torch.channels_last)  # as a backbone's
        for n in (QUERIES, WAY * SHOT)
    )
    numbers = torch.arange(WAY * SHOT).expand(QUERIES, -1)
    if supports == "of its class":
        numbers = numbers[:, :SHOT] + (torch.arange(QUERIES) % WAY * SHOT)[:, None]

    def pair_by_pair(queries):
        cams = torch.zeros(2, queries, numbers.shape[1], SIDE, SIDE)
        for i in range(queries):
            for j, number in enumerate(numbers[i].tolist()):
                pair = [one.clone().requires_grad_() for one in (maps[i : i + 1], hidden[number][None])]
                a, b = (backbone.embed(one) for one in pair)
                likeness = (a * unit(b).detach()).sum() / a.detach().norm()
                (likeness + (b * unit(a).detach()).sum() / b.detach().norm()).backward()
                for side, one in enumerate(pair):
                    assert one.grad is not None
                    cams[side, i, j] = (one.grad.mean((2, 3), keepdim=True) * one).sum((0, 1)).detach()
        return cams

    @torch.no_grad()
    def together():
        return pair_maps(backbone, method.compared, maps, hidden, numbers, "inner")

    found = benchmark.pedantic(together, rounds=20, warmup_rounds=2)
    some = 8
    start = time.process_time()
    slow = pair_by_pair(some)
    gain = (time.process_time() - start) * QUERIES / some / benchmark.stats.stats.median
    benchmark.extra_info["gain over one backward pass a pair"] = round(gain, 1)
    for one, two in zip(found, slow, strict=True):
        torch.testing.assert_close(one[:some], two, rtol=0, atol=1e-6)
    assert gain > least


def test_from_images_against_the_forward_pass_alone(benchmark):
    """A batch of queries through mobilenetv2 at the precision of runs on this machine."""
    random = torch.Generator().manual_seed(0)
    network = registry.backbone("mobilenetv2_100", None, pretrained=False).requires_grad_(False)
    backbone, method = AtPrecision(network, choose("cpu")), registry.method("stn")
    images = torch.rand(64, 3, 192, 192, generator=random)
    with torch.no_grad():
        hidden = backbone.hidden(images[: WAY * SHOT])
    support = Support(backbone.embed(hidden), torch.arange(WAY).repeat_interleave(SHOT), torch.arange(WAY))
    fitted = Classifier(backbone, method, method.fit(None, support), support, hidden)
    target = torch.arange(len(images)) % WAY
    benchmark.pedantic(lambda: SiamCAM().explain(fitted, images, target, seed=0), rounds=5, warmup_rounds=1)
    forward = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.no_grad():
            fitted(images)
        forward.append(time.perf_counter() - start)
    ratio = benchmark.stats.stats.min / min(forward)
    benchmark.extra_info["times the forward pass alone"] = round(ratio, 3)
    assert ratio < 1.5
