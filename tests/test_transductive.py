"""Every transductive method keeps its side of `zoo.types.Transductive`; a new file is covered by being there."""

import pytest
import torch
from torch import Tensor

from zoo import ops, registry
from zoo.types import Support, Transductive

NAMES = [name for name in registry.names("methods") if issubclass(registry.plugin("methods", name), Transductive)]
D, WAY = 16, 4
QUICK = {"steps": "100", "rate": "0.001"}
"""Instead of the paper's 1000 smaller steps, where the method takes steps of Adam."""


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest) -> Transductive:
    method = registry.method(request.param, QUICK if request.param in ("tim", "alpha_tim") else None)
    assert isinstance(method, Transductive)
    return method


def episode(counts: tuple[int, ...], spread: float, seed: int = 0, shot: int = 5) -> tuple[Support, Tensor, Tensor]:
    """Supports, `counts` queries of each class in a mixed order, and the queries' labels."""
    random = torch.Generator().manual_seed(seed)
    centres = 2 * torch.eye(D)[: len(counts)] + 0.3
    labels = torch.arange(len(counts)).repeat_interleave(shot)
    truth = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    truth = truth[torch.randperm(len(truth), generator=random)]
    features = [centres[part] + spread * torch.randn(len(part), D, generator=random) for part in (labels, truth)]
    return Support(features[0], labels, torch.arange(len(counts))), features[1], truth


def right(method: Transductive, support: Support, query: Tensor, truth: Tensor) -> float:
    scores = method.scores(method.fit_queries(None, support, query), query)
    assert scores.isfinite().all()
    return float((scores.argmax(1) == truth).float().mean())


def test_there_are_seven() -> None:
    assert len(NAMES) >= 7


def test_unlabelled_queries_help_or_do_not_harm(method: Transductive) -> None:
    """One shot of overlapping classes, many queries: not below the nearest prototype, by more than luck."""
    nearest, own = [], []
    for seed in range(10):
        support, query, truth = episode((20,) * WAY, 0.7, seed, shot=1)
        own.append(right(method, support, query, truth))
        plain = registry.method("prototypical")
        nearest.append(float((plain.scores(plain.fit(None, support), query).argmax(1) == truth).float().mean()))
    assert sum(own) > sum(nearest) - 0.1


def test_imbalanced_queries(method: Transductive) -> None:
    """Clear classes, one of them with 30 of 33 queries: all are right, unless the method says that it counts on
    balance; then balanced ones are right, and the declaration is not made for nothing."""
    support, query, truth = episode((30, 2, 1, 0), 0.3)
    if not method.assumes_balance:
        assert right(method, support, query, truth) == 1
        return
    assert right(method, *episode((9,) * WAY, 0.3)) == 1
    hard = [right(method, *episode((30, 2, 1, 0), 0.5, seed)) for seed in range(5)]
    even = [right(method, *episode((9,) * WAY, 0.5, seed)) for seed in range(5)]
    assert sum(hard) < sum(even)


def test_a_query_alone_or_in_another_order_gets_the_same_scores(method: Transductive) -> None:
    """Everything but the image is frozen: asked one by one, from behind, or twice, the answers are the same."""
    support, query, _ = episode((10, 5, 5, 5), 0.5)
    params = method.fit_queries(None, support, query)
    together = method.scores(params, query)
    alone = torch.cat([method.scores(params, one[None]) for one in query])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(method.scores(params, query.flip(0)).flip(0), together, rtol=1e-4, atol=1e-4)


def test_order_of_queries_does_not_matter(method: Transductive) -> None:
    support, query, _ = episode((10, 5, 5, 5), 0.5)
    order = torch.randperm(len(query), generator=torch.Generator().manual_seed(1))
    here = method.scores(method.fit_queries(None, support, query), query)
    there = method.scores(method.fit_queries(None, support, query[order]), query)
    torch.testing.assert_close(here, there, rtol=1e-2, atol=1e-2)


def test_the_queries_are_looked_at(method: Transductive) -> None:
    support, query, _ = episode((10, 5, 5, 5), 0.5)
    _, other, _ = episode((2, 3, 15, 5), 0.9, seed=1)
    here = method.scores(method.fit_queries(None, support, query), query)
    there = method.scores(method.fit_queries(None, support, torch.cat([query[:1], other])), query)
    assert (here - there).abs().max() > 1e-6


def test_an_image_that_is_no_query_is_judged(method: Transductive) -> None:
    """New images of clear classes, near to and far from the queries."""
    support, query, _ = episode((8,) * WAY, 0.3)
    _, new, truth = episode((5,) * WAY, 0.3, seed=7)
    params = method.fit_queries(None, support, query)
    for scale in (1.0, 3.0):
        assert torch.equal(method.scores(params, scale * new).argmax(1), truth)


def test_without_queries_the_supports_stand_in(method: Transductive) -> None:
    support, query, truth = episode((8,) * WAY, 0.3)
    assert torch.equal(method.scores(method.fit(None, support), query).argmax(1), truth)


def test_episodes_map_together(method: Transductive) -> None:
    episodes = [episode((6, 6, 6, 6), spread) for spread in (0.2, 0.5)]
    support = Support(*(torch.stack(parts) for parts in zip(*(one[0] for one in episodes), strict=True)))
    query = torch.stack([one[1] for one in episodes])
    together = torch.vmap(lambda s, q: method.scores(method.fit_queries(None, s, q), q))(support, query)
    alone = [method.scores(method.fit_queries(None, one[0], one[1]), one[1]) for one in episodes]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("by", [ops.by_product, ops.by_cosine, ops.by_distance])
def test_the_pull_on_prototypes_is_what_autograd_finds(by) -> None:
    random = torch.Generator().manual_seed(0)
    prototypes, features, slope = (
        torch.randn(size, generator=random, dtype=torch.float64) for size in ((3, 7), (11, 7), (3, 11))
    )
    features = ops.unit(features)
    prototypes.requires_grad_()
    scores, pull = by(prototypes, features, 4.0)
    assert scores.shape == (3, 11)
    (right,) = torch.autograd.grad(scores, prototypes, slope)
    torch.testing.assert_close(pull(slope), right)


def test_scores_of_prototypes_by_hand() -> None:
    prototypes, features = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    assert ops.by_product(prototypes, features, 2.0)[0].flatten().tolist() == pytest.approx([2 * (5 - 12.5), 2 * 0.1])
    assert ops.by_cosine(prototypes, features, 2.0)[0].flatten().tolist() == pytest.approx([2, 1.2])
    assert ops.by_distance(prototypes, features, 2.0)[0].flatten().tolist() == pytest.approx([-8, -2 * 0.8**0.5])


def test_adam_is_that_of_torch() -> None:
    place = torch.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    start, optimiser = place.detach().clone(), torch.optim.Adam([place], lr=0.01)
    for _ in range(50):
        optimiser.zero_grad()
        (place**4).sum().backward()
        optimiser.step()
    torch.testing.assert_close(ops.adam(start, lambda x: 4 * x**3, 50, 0.01), place.detach())
