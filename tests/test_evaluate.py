"""Evaluation over a bank: together equals one by one, and the temperature is the likeliest."""

import numpy as np
import pytest
import torch

from zoo import registry
from zoo.pipeline import evaluate as pipeline
from zoo.pipeline.evaluate import accuracy, evaluate, fit_temperature
from zoo.record import Bank, BankSpec, Episode
from zoo.types import FromProducts, Support

CLASSES = np.array([1, 3, 4])


def bank(queries: tuple[int, ...] = (6, 6, 4, 6)) -> Bank:
    """Episodes of 2 of the classes 1, 3, 4, with unequal numbers of queries; item n has class CLASSES[n % 3]."""
    episodes = []
    for number, q in enumerate(queries):
        chosen = np.array([number % 2, 2])
        support = np.concatenate([np.arange(5) * 3 + c for c in chosen])
        query = np.concatenate([(np.arange(q // 2) + 5) * 3 + c for c in chosen])
        episodes.append(Episode(CLASSES[chosen], support, np.repeat([0, 1], 5), query, np.repeat([0, 1], q // 2)))
    return Bank(BankSpec(kind="dirichlet", way=2, shot=5, episodes=len(queries)), tuple(episodes))


def embeddings() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.eye(8)[torch.arange(60) % 3] + 0.4 * torch.randn(60, 8, generator=random)


@pytest.mark.parametrize("name", ["prototypical", "matching", "knn", "logistic", "finetune"])
def test_together_equals_one_by_one(name: str) -> None:
    method, features, episodes = registry.method(name), embeddings(), bank()
    together = evaluate(method, None, episodes, features, CLASSES)
    for number, episode in enumerate(episodes.episodes):
        alone = evaluate(method, None, Bank(episodes.spec, (episode,)), features, CLASSES)[0]
        assert together[number].shape == (len(episode.query), 2)
        np.testing.assert_allclose(together[number], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["prototypical", "simpleshot", "bd_cspn", "ridge", "tim", "alpha_tim"])
@pytest.mark.parametrize("at_once", [8_000_000, 300])
def test_however_it_is_done_the_scores_are_the_same(name: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few items again and again, in few dimensions and in many; nearly every item a query; each on its own."""
    method, features = registry.method(name, {"steps": "20", "rate": "0.01"} if "tim" in name else {}), embeddings()
    monkeypatch.setattr(pipeline, "_AT_ONCE", at_once)
    many = torch.cat([features, 0.1 * torch.randn(60, 50, generator=torch.Generator().manual_seed(1))], 1)
    for one, seen, gram_worth in (
        (bank(), features, 50), (bank(), many, 50), (bank((18,)), features, 50), (bank(), many, 0)
    ):  # fmt: skip
        monkeypatch.setattr(pipeline, "_GRAM_WORTH", gram_worth)
        for found, episode in zip(evaluate(method, None, one, seen, CLASSES), one.episodes, strict=True):
            query = seen[episode.query]
            support = pipeline.support_of(episode, seen[episode.support], CLASSES)
            wanted = method.scores(pipeline.fitted(method, None, support, query), query)
            np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["ridge", "bd_cspn"])
def test_collapsed_features_are_scored_all_the_same(name: str) -> None:
    """All items of a class at one point: they span three dimensions, however many supports there are."""
    features = torch.nn.functional.pad(torch.eye(3), (0, 97))[torch.arange(60) % 3]
    assert accuracy(bank(), evaluate(registry.method(name), None, bank(), features, CLASSES)) == 1


def test_scores_by_products_are_those_of_the_features_with_unequal_shots() -> None:
    method, features = registry.method("prototypical"), embeddings()
    assert isinstance(method, FromProducts)
    support, labels, query = torch.arange(0, 14, 2), torch.tensor([0, 0, 0, 1, 2, 2, 2]), torch.arange(20, 31)
    fitted = method.fit(None, Support(features[support], labels, torch.arange(3)))
    means, squares = fitted[0] @ features.T, features.square().sum(1)
    found = method.from_products(means[None], squares, support[None], labels[None], query[None])[0].T
    torch.testing.assert_close(found, method.scores(fitted, features[query]), rtol=1e-4, atol=1e-4)


def test_accuracy_by_hand() -> None:
    episodes = bank((4, 2))
    scores = [np.array([[1.0, 0], [0, 1], [0, 1], [0, 1]]), np.array([[0.0, 1], [0, 1]])]
    assert accuracy(episodes, scores) == pytest.approx((0.75 + 0.5) / 2)


def test_control_gets_the_columns_of_the_benchmarks_classes() -> None:
    """Classes 1, 3, 4 of the dataset are columns 0, 1, 2 of the head."""
    method = registry.method("supervised")
    head = torch.nn.Linear(8, 3)
    head.weight.data = torch.eye(8)[:3] * 1.0
    head.bias.data.zero_()
    episodes = bank()
    with torch.no_grad():
        scores = evaluate(method, head, episodes, embeddings(), CLASSES)
    assert accuracy(episodes, scores) > 0.8


def test_temperature_recovers_the_one_that_drew_the_labels() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 3, (4000, 4))
    probability = np.exp(scores / 2.5)
    probability /= probability.sum(1, keepdims=True)
    labels = (random.random((4000, 1)) > probability.cumsum(1)).sum(1)
    empty = np.zeros(0, np.int64)
    episode = Episode(np.arange(4), empty, empty, np.arange(4000), labels)
    held_out = Bank(BankSpec(kind="standard", way=4, shot=1, episodes=1), (episode,))
    assert fit_temperature(held_out, [scores]) == pytest.approx(2.5, rel=0.06)
