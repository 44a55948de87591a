"""Methods against independent implementations and hand-computed values."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo import registry
from zoo.methods.stn import STN
from zoo.sampling import balanced, partners
from zoo.types import Support


def random_episodes(count: int = 20, way: int = 5, shot: int = 3, d: int = 12) -> list[tuple[Support, Tensor]]:
    random = torch.Generator().manual_seed(0)
    labels = torch.repeat_interleave(torch.arange(way), shot)
    episodes = []
    for _ in range(count):
        centres = torch.randn(way, d, generator=random)
        support = centres[labels] + torch.randn(len(labels), d, generator=random)
        query = centres[torch.arange(60) % way] + torch.randn(60, d, generator=random)
        episodes.append((Support(support, labels, torch.arange(way)), query))
    return episodes


def predictions(name: str, support: Support, query: Tensor, **settings: str) -> Tensor:
    method = registry.method(name, settings)
    return method.scores(method.fit(None, support), query).argmax(1)


@pytest.mark.parametrize(
    ("name", "peer"),
    [("prototypical", "PrototypicalNetworks"), ("simpleshot", "SimpleShot"), ("matching", "MatchingNetworks")],
)
def test_predictions_equal_easyfsl(name: str, peer: str) -> None:
    """easyfsl 1.5.0 on the same features, its backbone being the identity. Its matching network leaves queries at
    their own length, where the paper has the cosine: it is given queries of length one."""
    methods = pytest.importorskip("easyfsl.methods")
    settings = {"matching": {"feature_dimension": 12}, "simpleshot": {"feature_normalization": 2.0}}.get(name, {})
    own = {"distance": "cosine"} if name == "simpleshot" else {}  # as easyfsl's, whatever the normalisation
    reference = getattr(methods, peer)(backbone=nn.Identity(), **settings)
    if name == "matching":
        # Without full context embeddings, as ours: its two encoders pass the features on.
        reference.encode_support_features = lambda features: features
        reference.encode_query_features = lambda features: features
    for support, query in random_episodes():
        if name == "matching":
            query = torch.nn.functional.normalize(query)
        with torch.no_grad():
            reference.process_support_set(support.features, support.labels)
            expected = reference(query).argmax(1)
        assert torch.equal(predictions(name, support, query, **own), expected)


def test_cl2n_equals_easyfsl_and_asks_for_training_images() -> None:
    methods = pytest.importorskip("easyfsl.methods")
    method = registry.method("simpleshot", {"transform": "CL2N", "distance": "cosine"})
    assert method.reads_training
    assert not method.trains
    assert not registry.method("simpleshot").reads_training
    for support, query in random_episodes():
        training = torch.randn(50, query.shape[1], generator=torch.Generator().manual_seed(1)) + 2
        reference = methods.SimpleShot(nn.Identity(), feature_normalization=2.0, feature_centering=training.mean(0))
        with torch.no_grad():
            reference.process_support_set(support.features, support.labels)
            expected = reference(query).argmax(1)
        scores = method.scores(method.fit(method.from_training(training), support), query)
        assert torch.equal(scores.argmax(1), expected)
        plain = registry.method("simpleshot", {"distance": "cosine"})
        torch.testing.assert_close(
            method.scores(method.fit(None, support), query), plain.scores(plain.fit(None, support), query)
        )


def test_prototypical_equals_learn2learn() -> None:
    """The prototypes of learn2learn's head; its compiled episode sampler need not load for that."""
    support, query = random_episodes(1)[0]
    method = registry.method("prototypical")
    [prototypes] = method.fit(None, support)
    head = pytest.importorskip("learn2learn.nn", reason="learn2learn is an extra").PrototypicalClassifier(
        support=support.features, labels=support.labels, distance="euclidean", normalize=False
    )
    torch.testing.assert_close(head.prototypes, prototypes)
    assert torch.equal(head(query).argmax(1), method.scores((prototypes,), query).argmax(1))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_knn_votes_as_scikit_learn(k: int) -> None:
    """Where no two classes tie; for ties ours asks who is nearer, scikit-learn takes the first class."""
    from sklearn.neighbors import KNeighborsClassifier

    compared = 0
    for support, query in random_episodes():
        reference = KNeighborsClassifier(k).fit(support.features.numpy(), support.labels.numpy())
        votes = np.sort(reference.predict_proba(query.numpy()), 1)
        clear = votes[:, -1] > votes[:, -2]
        ours = predictions("knn", support, query, k=str(k)).numpy()
        assert (ours == reference.predict(query.numpy()))[clear].all()
        compared += clear.sum()
    assert compared > 500


def test_knn_tie_goes_to_the_nearer() -> None:
    support = Support(torch.tensor([[0.0], [3.0], [10.0]]), torch.tensor([0, 1, 2]), torch.arange(3))
    assert predictions("knn", support, torch.tensor([[2.0]]), k="3").tolist() == [1]


def test_logistic_is_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    for way in (2, 5):
        for support, query in random_episodes(5, way=way):
            unit = torch.nn.functional.normalize
            seen = unit(support.features.double()).numpy()  # in float32 scikit-learn stops early
            reference = LogisticRegression(tol=1e-8, max_iter=1000).fit(seen, support.labels)
            method = registry.method("logistic")
            probability = method.scores(method.fit(None, support), query).softmax(1)
            expected = torch.tensor(reference.predict_proba(unit(query.double()).numpy())).float()
            torch.testing.assert_close(probability, expected, rtol=1e-4, atol=1e-4)


def test_finetune_steps_are_those_of_torch() -> None:
    """The written-out gradient against autograd and torch's own SGD."""
    support, _ = random_episodes(1)[0]
    method = registry.method("finetune", {"steps": "25", "rate": "0.5", "decay": "0.01"})
    params = method.fit(None, support)
    head = nn.Linear(12, 5)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = [{"params": [head.weight], "weight_decay": 0.01}, {"params": [head.bias]}]
    optimiser = torch.optim.SGD(groups, lr=0.5, momentum=0.9)
    features = torch.nn.functional.normalize(support.features)
    for _ in range(25):
        optimiser.zero_grad()
        nn.functional.cross_entropy(head(features), support.labels).backward()
        optimiser.step()
    torch.testing.assert_close(params.weight, head.weight.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(params.bias, head.bias.detach(), rtol=1e-4, atol=1e-6)


def test_stn_scores_by_hand() -> None:
    """Unit vectors at 0, 90 and 180 degrees: distances 0, sqrt 2 and 2."""
    support = Support(torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]]), torch.tensor([0, 0, 1]), torch.arange(2))
    query = torch.tensor([[5.0, 0.0]])
    mean, nearest = registry.method("stn"), registry.method("stn", {"rule": "min"})
    assert mean.scores(mean.fit(None, support), query)[0].tolist() == pytest.approx([-math.sqrt(2) / 2, -2], abs=1e-5)
    assert nearest.scores(nearest.fit(None, support), query)[0].tolist() == pytest.approx([0, -2], abs=1e-5)


def test_stn_loss_by_hand() -> None:
    """Two of one class at distance sqrt 2 (squared 2), one of another at 0 from the first (margin: 1) and at
    sqrt 2 from the second (beyond the margin: 0): half of 2 plus half of the mean of 1 and 0."""
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 0.0]])
    labels = torch.tensor([0, 0, 1])
    assert float(STN().loss(None, features, labels)) == pytest.approx(1.25, abs=1e-4)
    pairs = torch.cat([features[[0, 0]], features[[1, 2]]])  # (0, 1) alike, (0, 2) different
    of_pairs = STN(pairs="paper").loss(None, pairs, labels[torch.tensor([0, 0, 1, 2])])
    assert float(of_pairs) == pytest.approx(1.5, abs=1e-4)


def test_stn_pairs_of_the_paper() -> None:
    """20 epochs give every image 20 partners, half of its own class and never itself."""
    labels = np.repeat(np.arange(8), 125)
    same = []
    for epoch in range(20):
        batches = list(STN(pairs="paper").batches(labels, epoch, np.random.default_rng(epoch)))
        first, second = (np.concatenate(part) for part in zip(*(np.split(batch, 2) for batch in batches), strict=True))
        assert len(np.unique(first)) == len(first) >= 968  # the last odd few of an epoch are left out
        assert (first != second).all()
        same.append((labels[first] == labels[second]).mean())
    assert np.mean(same) == pytest.approx(0.5, abs=0.01)


def test_partners_and_balance() -> None:
    labels = np.array([0] * 10 + [1] * 4)
    partner = partners(labels, np.random.default_rng(0))
    assert (labels[partner] == labels).sum() == 5 + 2
    assert (partner != np.arange(14)).all()
    for batch in balanced(labels, 8, np.random.default_rng(0)):
        assert np.bincount(labels[batch]).tolist() == [4, 4]


def test_supervised_reads_the_columns_of_the_episode() -> None:
    method = registry.method("supervised")
    head = nn.Linear(2, 3)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    head.bias.data.zero_()
    support = Support(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([0, 2]))
    scores = method.scores(method.fit(head, support), torch.tensor([[7.0, 9.0]]))
    assert scores.tolist() == [[7.0, -7.0]]


def test_chance_is_chance() -> None:
    random = torch.Generator().manual_seed(0)
    support = Support(torch.randn(8, 64, generator=random), torch.arange(8), torch.arange(8))
    shares = torch.bincount(predictions("chance", support, torch.rand(8000, 64, generator=random)), minlength=8) / 8000
    assert shares.min() > 0.09
    assert shares.max() < 0.16
