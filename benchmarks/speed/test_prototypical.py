"""Prototypical on cached embeddings, 8-way 5-shot 15-query: easyfsl one episode at a time, and `zoo` many together.

Run by hand: uv run pytest benchmarks/speed/test_prototypical.py
"""

import numpy as np
import pytest
import torch
from easyfsl.methods import PrototypicalNetworks

from zoo import registry
from zoo.pipeline.evaluate import evaluate
from zoo.record import Bank, BankSpec, Episode

EPISODES, WAY, SHOT, QUERY = 200, 8, 5, 15


def bank() -> Bank:
    random = np.random.default_rng(0)
    members = np.arange(WAY * 100).reshape(WAY, 100)
    episodes = []
    for _ in range(EPISODES):
        drawn = np.stack([random.choice(row, SHOT + QUERY, replace=False) for row in members])
        support, query = drawn[:, :SHOT].ravel(), drawn[:, SHOT:].ravel()
        labels = np.arange(WAY)
        episodes.append(Episode(labels, support, labels.repeat(SHOT), query, labels.repeat(QUERY)))
    return Bank(BankSpec(kind="standard", way=WAY, shot=SHOT, query=QUERY, episodes=EPISODES), tuple(episodes))


@pytest.mark.parametrize("d", [384, 768, 1536])
@pytest.mark.parametrize("who", ["easyfsl", "zoo"])
def test_prototypical(benchmark, who: str, d: int) -> None:  # type: ignore[no-untyped-def]
    episodes = bank()
    features = torch.randn(WAY * 100, d, generator=torch.Generator().manual_seed(0))
    features += 0.3 * torch.nn.functional.one_hot(torch.arange(WAY * 100) // 100, d) * d**0.5
    peer = PrototypicalNetworks(backbone=torch.nn.Identity())

    @torch.no_grad()
    def theirs() -> list[np.ndarray]:
        found = []
        for episode in episodes.episodes:
            peer.process_support_set(features[episode.support], torch.from_numpy(episode.support_labels))
            found.append(peer(features[episode.query]).numpy())
        return found

    def ours() -> list[np.ndarray]:
        return evaluate(registry.method("prototypical"), None, episodes, features, np.arange(WAY))

    agree = [(a.argmax(1) == b.argmax(1)).all() for a, b in zip(theirs(), ours(), strict=True)]
    assert all(agree)
    benchmark.group = f"d = {d}"
    benchmark.pedantic(theirs if who == "easyfsl" else ours, rounds=5, warmup_rounds=1)
