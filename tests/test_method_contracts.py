"""Every method in the folder keeps the contract of zoo.types; a new file is covered by being there."""

import functools
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo import registry
from zoo.types import Learned, Method, Support

NAMES = registry.names("methods")
D, WAY, SHOT, QUERIES = 16, 4, 5, 24


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def method(name: str) -> Method:
    return registry.method(name)


@functools.cache
def state_of(method: Method, classes: int = D) -> nn.Module | None:
    """Learned parts, taught to tell classes of this kind apart: before that a relation module knows nothing."""
    if not isinstance(method, Learned):
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = method.state(D, classes)
    if state is None:
        return None
    labels = np.repeat(np.arange(classes), 20)
    noise = 0.3 * torch.randn(len(labels), D, generator=torch.Generator().manual_seed(0))
    features = seen_by(method, 2 * torch.eye(D)[torch.from_numpy(labels)] + 0.3 + noise)
    optimiser = torch.optim.Adam(state.parameters(), 3e-3)
    for epoch in range(20):
        for batch in method.batches(labels, epoch, np.random.default_rng(epoch)):
            loss = method.loss(state, features[batch], torch.from_numpy(labels[batch]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return state.eval().requires_grad_(False)


def seen_by(method: Method, features: Tensor) -> Tensor:
    """Embeddings (..., n, d), or even maps (..., n, d, 2, 2) of them where the method reads maps."""
    return features if method.input == "embedding" else features[..., None, None].expand(*features.shape, 2, 2)


def episode(
    way: int = WAY, shots: tuple[int, ...] = (SHOT,) * WAY, spread: float = 0.2
) -> tuple[Support, Tensor, Tensor]:
    """Well separated classes: supports, queries and the queries' labels."""
    random = torch.Generator().manual_seed(way * 100 + sum(shots))
    centres = 2 * torch.eye(D)[:way] + 0.3
    labels = torch.repeat_interleave(torch.arange(way), torch.tensor(shots))
    features = centres[labels] + spread * torch.randn(len(labels), D, generator=random)
    truth = torch.arange(QUERIES) % way
    queries = centres[truth] + spread * torch.randn(QUERIES, D, generator=random)
    return Support(features, labels, torch.arange(way) * 2), queries, truth


def scores_of(method: Method, support: Support, queries: Tensor) -> Tensor:
    support = support._replace(features=seen_by(method, support.features))
    return method.scores(method.fit(state_of(method), support), seen_by(method, queries))


def share_right(method: Method, support: Support, queries: Tensor, truth: Tensor) -> float:
    return float((scores_of(method, support, queries).argmax(1) == truth).float().mean())


def test_file_is_short_and_says_what_it_is(name: str, method: Method) -> None:
    file = Path(inspect.getfile(type(method)))
    assert len(file.read_text("utf-8").splitlines()) <= 60
    assert len(registry.summary("methods", name)) > 20
    assert method.paper
    assert type(method).__doc__


@pytest.mark.parametrize(("way", "shots"), [(4, (5, 5, 5, 5)), (2, (1, 1)), (3, (1, 4, 2))])
def test_scores_have_the_right_shape_and_are_finite(method: Method, way: int, shots: tuple[int, ...]) -> None:
    support, queries, _ = episode(way, shots)
    scores = scores_of(method, support, queries)
    assert scores.shape == (QUERIES, way)
    assert scores.isfinite().all()


def test_separable_classes_are_separated(method: Method) -> None:
    support, queries, truth = episode()
    if not method.uses_support:
        pytest.skip("a control that ignores supports")
    assert share_right(method, support, queries, truth) == 1


def test_unequal_shots_work(method: Method) -> None:
    """Votes and priors may favour the class with more supports, yet not hide the others altogether."""
    support, queries, truth = episode(3, (2, 4, 3), spread=0.05)
    if not method.uses_support:
        pytest.skip("a control that ignores supports")
    assert share_right(method, support, queries, truth) > 0.6


def test_same_input_same_scores(method: Method) -> None:
    support, queries, _ = episode()
    assert torch.equal(scores_of(method, support, queries), scores_of(method, support, queries))


def test_order_of_supports_does_not_matter(method: Method) -> None:
    support, queries, _ = episode()
    order = torch.randperm(len(support.labels), generator=torch.Generator().manual_seed(1))
    other = Support(support.features[order], support.labels[order], support.classes)
    torch.testing.assert_close(
        scores_of(method, support, queries), scores_of(method, other, queries), rtol=1e-3, atol=1e-3
    )


def test_relabelled_classes_permute_the_columns(method: Method) -> None:
    support, queries, _ = episode()
    new = torch.tensor([2, 0, 3, 1])  # old label -> new label
    relabelled = Support(support.features, new[support.labels], support.classes[new.argsort()])
    torch.testing.assert_close(
        scores_of(method, relabelled, queries)[:, new], scores_of(method, support, queries), rtol=1e-3, atol=1e-3
    )


def test_an_inductive_method_ignores_the_other_queries(method: Method) -> None:
    if method.transductive:
        pytest.skip("transductive")
    support, queries, _ = episode()
    alone = torch.cat([scores_of(method, support, query[None]) for query in queries])
    torch.testing.assert_close(alone, scores_of(method, support, queries), rtol=1e-3, atol=1e-3)


def test_inputs_stay_as_they_were(method: Method) -> None:
    support, queries, _ = episode()
    before = [part.clone() for part in (*support, queries)]
    scores_of(method, support, queries)
    assert all(torch.equal(a, b) for a, b in zip(before, (*support, queries), strict=True))


def test_gradient_is_there_or_declared_missing(method: Method) -> None:
    support, queries, _ = episode(spread=0.6)
    queries.requires_grad_()
    scores = scores_of(method, support, queries)
    if not method.differentiable:
        return
    (gradient,) = torch.autograd.grad(scores[:, 0].sum(), queries)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_episodes_map_together_or_it_is_declared(method: Method) -> None:
    if not method.mappable:
        pytest.skip("declares that it cannot be mapped")
    episodes = [episode(spread=spread) for spread in (0.1, 0.2, 0.4)]
    support = Support(*(torch.stack(parts) for parts in zip(*(one[0] for one in episodes), strict=True)))
    support = support._replace(features=seen_by(method, support.features))
    queries = seen_by(method, torch.stack([one[1] for one in episodes]))
    state = state_of(method)
    together = torch.vmap(lambda s, q: method.scores(method.fit(state, s), q))(support, queries)
    alone = torch.stack([scores_of(method, one[0], one[1]) for one in episodes])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(registry.plugin("methods", name), Learned)])
def test_a_learned_method_learns(name: str) -> None:
    """Its batches index the training items, and following its loss finds three dimensions that tell the classes
    apart among sixteen that do not: new items are recognised by new supports."""
    method = registry.method(name)
    assert isinstance(method, Learned)
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(60)
    signal = torch.eye(3)[labels] + 0.2 * torch.randn(180, 3, generator=random)
    items = torch.cat([signal, 2 * torch.randn(180, D, generator=random)], 1)
    seen, support, query = torch.arange(180).view(3, 60).split([30, 5, 25], 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone, state = nn.Linear(D + 3, D), method.state(D, 3)
    parameters = [*backbone.parameters(), *(state.parameters() if state else ())]
    optimiser = torch.optim.Adam(parameters, 1e-2)

    def accuracy() -> float:
        if state is not None:
            state.eval()
        with torch.no_grad():
            features = seen_by(method, backbone(items))
            params = method.fit(state, Support(features[support.flatten()], labels[support.flatten()], torch.arange(3)))
            right = method.scores(params, features[query.flatten()]).argmax(1) == labels[query.flatten()]
        return float(right.float().mean())

    before, seen = accuracy(), seen.flatten()
    if state is not None:
        state.train()
    for epoch in range(100):
        for batch in method.batches(labels[seen].numpy(), epoch, np.random.default_rng(epoch)):
            assert batch.dtype.kind == "i"
            assert 0 <= batch.min() <= batch.max() < len(seen)
            rows = seen[torch.from_numpy(batch)]
            loss = method.loss(state, seen_by(method, backbone(items[rows])), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert accuracy() > max(0.8, before + 0.2)
