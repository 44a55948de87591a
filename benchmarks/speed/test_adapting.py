"""Fine-tuning the whole backbone in each of some episodes: one process with every thread, one with one thread, and as
`zoo` does it where the work is long, processes of one thread each. How much that gains grows with the cores.

Run by hand: uv run pytest benchmarks/speed/test_adapting.py
"""

from functools import partial

import numpy as np
import pytest
import torch

from zoo import registry
from zoo.methods.finetune import Finetune
from zoo.pipeline import adapt, workers
from zoo.pipeline.device import AtPrecision, choose
from zoo.pipeline.train import as_images
from zoo.record import Bank, BankSpec, Episode

EPISODES, SIDE = 5, 160


@pytest.mark.parametrize("way", ["all threads", "one thread", "processes"])
def test_episodes(benchmark, monkeypatch: pytest.MonkeyPatch, way: str) -> None:  # type: ignore[no-untyped-def]
    device, random = choose("cpu"), np.random.default_rng(0)
    backbone = AtPrecision(registry.backbone("mobilenetv2_100", None, pretrained=False).requires_grad_(False), device)
    pixels = random.integers(0, 256, (120, SIDE, SIDE, 3), np.uint8)
    labels, query = np.repeat(np.arange(8), 5), np.arange(80, 120)
    episodes = tuple(Episode(np.arange(8), np.arange(40) + k, labels, query, labels) for k in range(EPISODES))
    bank = Bank(BankSpec(kind="standard", way=8, shot=5, episodes=EPISODES), episodes)
    images = partial(lambda all_of_them, numbers: as_images(all_of_them[numbers], device), pixels)

    def evaluated() -> list[np.ndarray]:
        return adapt.evaluate_adapting(Finetune(part="full"), backbone, None, bank, images, 0)

    monkeypatch.setattr(workers, "WORTH_STARTING", np.inf)
    if way == "all threads":
        monkeypatch.setattr(adapt, "results", lambda tasks, _: (task() for task in tasks))
    expected = evaluated() if way == "processes" else None
    if way == "processes":
        monkeypatch.setattr(workers, "WORTH_STARTING", 0.0)
    benchmark.extra_info |= {"episodes": EPISODES, "threads": torch.get_num_threads()}
    found = benchmark.pedantic(evaluated, rounds=2, warmup_rounds=way == "processes")  # which start there
    assert expected is None or all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
