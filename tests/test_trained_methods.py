"""Learned methods against independent implementations, formulas written out as loops, and hand-computed values."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import registry
from zoo.episodic import Episodic
from zoo.errors import ZooError
from zoo.pipeline.device import choose
from zoo.pipeline.train import as_images, train
from zoo.types import Learned, Support

WAY, SHOT, QUERIES, D = 5, 3, 4, 12
TRAINED = [name for name in registry.names("methods") if issubclass(registry.plugin("methods", name), Episodic)]
TRAINED += ["baseline", "baseline_pp", "supcon", "triplet"]


def learned(name: str, **settings: str) -> Learned:
    method = registry.method(name, settings)
    assert isinstance(method, Learned)
    return method


def state(method: Learned, dim: int = D, classes: int = WAY) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return method.state(dim, classes)


def batch(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """An episode as training gets it: features (n, *shape) class by class, labels (n,) that leave out a class."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 1, 3, 4, 5]).repeat_interleave(SHOT + QUERIES)
    shape = shape or (D,)
    return torch.randn(6, *shape, generator=random)[labels] + torch.randn(len(labels), *shape, generator=random), labels


def episode(*shape: int, seed: int = 0, offset: float = 0) -> tuple[Support, Tensor, Tensor]:
    """The same, parted by hand: supports, queries, labels of the queries."""
    features, _ = batch(*shape, seed=seed)
    rows = torch.arange(len(features)).view(WAY, -1)
    number = torch.arange(WAY)
    support = features[rows[:, :SHOT].flatten()] + offset
    queries = features[rows[:, SHOT:].flatten()] + offset
    classes = torch.tensor([0, 1, 3, 4, 5])
    return Support(support, number.repeat_interleave(SHOT), classes), queries, number.repeat_interleave(QUERIES)


def test_a_batch_is_parted_into_supports_and_queries() -> None:
    method = learned("prototypical", shot=str(SHOT))
    assert isinstance(method, Episodic)
    support, queries, truth = method.parts(*batch())
    for ours, expected in zip((*support, queries, truth), (*episode()[0], *episode()[1:]), strict=True):
        assert torch.equal(ours, expected)


def test_prototypical_loss_is_easyfsl_with_cross_entropy() -> None:
    """easyfsl takes the distance, the paper its square: easyfsl's scores are squared before the softmax."""
    peer = pytest.importorskip("easyfsl.methods").PrototypicalNetworks(backbone=nn.Identity())
    support, queries, truth = episode()
    peer.process_support_set(support.features, support.labels)
    expected = F.cross_entropy(-peer(queries).square(), truth)
    torch.testing.assert_close(learned("prototypical", shot=str(SHOT)).loss(None, *batch()), expected)


def test_matching_loss_is_easyfsl_with_negative_log_likelihood() -> None:
    """Without full context embeddings, and with queries of length one: see tests/test_methods.py."""
    methods = pytest.importorskip("easyfsl.methods")
    peer = methods.MatchingNetworks(backbone=nn.Identity(), feature_dimension=D)
    peer.encode_support_features = peer.encode_query_features = lambda features: features
    support, queries, truth = episode()
    peer.process_support_set(support.features, support.labels)
    expected = F.nll_loss(peer(F.normalize(queries)), truth)
    torch.testing.assert_close(learned("matching", shot=str(SHOT)).loss(None, *batch()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["prototypical", "matching"])
def test_frozen_by_default(name: str) -> None:
    assert not learned(name).trains
    assert learned(name, epochs="3").trains


def test_triplet_loss_is_a_loop_over_triplets() -> None:
    features, labels = batch()
    points, losses = F.normalize(features), []
    for anchor, label in zip(points, labels, strict=True):
        distance = (points - anchor).norm(dim=1)
        losses.append(max(0.0, float(0.2 + distance[labels == label].max() - distance[labels != label].min())))
    assert float(learned("triplet").loss(None, features, labels)) == pytest.approx(np.mean(losses), abs=1e-5)


def test_triplet_loss_by_hand() -> None:
    """Two at 0 and 90 degrees, one of another class at 180: the second anchor has both at sqrt 2, the first's negative
    is beyond the margin, the third has no positive but itself."""
    features = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    method, labels = learned("triplet"), torch.tensor([0, 0, 1])
    assert float(method.loss(None, features, labels)) == pytest.approx(0.2 / 3, abs=1e-5)
    support = Support(features, labels, torch.arange(2))
    scores = method.scores(method.fit(None, support), torch.tensor([[4.0, 0.0]]))
    assert scores[0].tolist() == pytest.approx([-0.5, -4.0])


def test_supcon_loss_is_equation_2_as_a_loop() -> None:
    method, (features, labels) = learned("supcon"), batch()
    head = state(method)
    z = F.normalize(head(features)).detach().double()
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        total = sum(math.exp(float(z[i] @ z[a]) / 0.1) for a in others)
        positives = [p for p in others if labels[p] == labels[i]]
        losses.append(-np.mean([math.log(math.exp(float(z[i] @ z[p]) / 0.1) / total) for p in positives]))
    assert method.loss(head, features, labels).item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_supcon_batches_hold_two_views_of_each_image() -> None:
    for items in learned("supcon", batch="12").batches(np.repeat(np.arange(3), 10), 0, np.random.default_rng(0)):
        first, second = np.split(items, 2)
        assert (first == second).all()
        assert len(np.unique(first)) == 6


def test_relation_equals_easyfsl_with_its_weights() -> None:
    """easyfsl's default relation module, moved into ours: the same score where it concatenates and we add."""
    methods = pytest.importorskip("easyfsl.methods")
    peer = methods.RelationNetworks(backbone=nn.Identity(), feature_dimension=D)
    method = learned("relation", channels=str(D), shot=str(SHOT))
    theirs, ours = peer.relation_module, state(method)
    parts = [theirs[0][0], theirs[0][1], theirs[1][0], theirs[1][1], theirs[3], theirs[5]]
    own = [ours.first, *(ours.rest[place] for place in (0, 3, 4, 8, 10))]
    for part, copy in zip(parts, own, strict=True):
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
        copy.load_state_dict(part.state_dict())
    support, queries, truth = episode(D, 7, 7)
    peer.eval()
    ours.eval()
    with torch.no_grad():
        peer.process_support_set(support.features, support.labels)
        expected = peer(queries)
        scores = method.scores(method.fit(ours, support), queries)
        torch.testing.assert_close(scores.sigmoid(), expected, rtol=1e-4, atol=1e-6)
        loss = F.mse_loss(expected, F.one_hot(truth, WAY).float())
        torch.testing.assert_close(method.loss(ours, *batch(D, 7, 7)), loss, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 6, 11])
def test_relation_takes_any_grid(side: int) -> None:
    method = learned("relation", shot=str(SHOT))
    assert method.loss(state(method), *batch(D, side, side)).isfinite()


def test_relation_takes_half_precision_maps_in_any_number() -> None:
    """As the cache keeps them; one query at a time or more than are scored together, the same."""
    method, (support, queries, _) = learned("relation"), episode(D, 3, 3)
    module = state(method).eval()
    half = support._replace(features=support.features.half())
    many = queries[:1].expand(300, *queries.shape[1:]).half()
    with torch.no_grad():
        scores = method.scores(method.fit(module, half), many)
        alone = method.scores(method.fit(module, support), queries[:1])
    torch.testing.assert_close(scores, alone.expand(300, WAY), rtol=1e-2, atol=1e-3)


def descended(head: nn.Module, forward: Any, groups: list[dict], labels: Tensor, rate: float, steps: int) -> None:
    optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(forward(), labels).backward()
        optimiser.step()


def test_baseline_head_is_trained_as_by_torch() -> None:
    """A linear layer from zero with torch's own SGD, on supports over their root mean square length."""
    support, queries, _ = episode(offset=1.0)
    method = learned("baseline", head_steps="30", head_rate="0.5", head_decay="0.01")
    size = support.features.square().sum(1).mean().sqrt()
    head = nn.Linear(D, WAY)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = [{"params": list(head.parameters()), "weight_decay": 0.01}]
    descended(head, lambda: head(support.features / size), groups, support.labels, 0.5, 30)
    expected = head(queries / size).detach()
    torch.testing.assert_close(method.scores(method.fit(None, support), queries), expected, rtol=1e-4, atol=1e-5)


def test_baseline_head_does_not_mind_the_scale() -> None:
    support, queries, _ = episode()
    method = learned("baseline")
    large = support._replace(features=1000 * support.features)
    torch.testing.assert_close(
        method.scores(method.fit(None, large), 1000 * queries), method.scores(method.fit(None, support), queries),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_baseline_pp_head_is_trained_as_by_torch() -> None:
    """The written-out gradient of the cosine against autograd."""
    support, queries, _ = episode()
    method = learned("baseline_pp", head_steps="30", head_rate="0.05", scale="5")
    x = F.normalize(support.features)
    weight = nn.Parameter(x.view(WAY, SHOT, D).mean(1))
    layer = nn.ParameterList([weight])

    def forward() -> Tensor:
        return 5 * x @ F.normalize(weight).T

    descended(layer, forward, [{"params": [weight]}], support.labels, 0.05, 30)
    expected = (5 * F.normalize(queries) @ F.normalize(weight).T).detach()
    torch.testing.assert_close(method.scores(method.fit(None, support), queries), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["baseline", "baseline_pp", "supervised"])
def test_base_classes_are_learned_by_cross_entropy(name: str) -> None:
    method, (features, labels) = learned(name), batch()
    head = state(method, classes=6)
    scores = head(features)
    if name == "baseline_pp":
        scores = 10 * F.normalize(features) @ F.normalize(head.weight).T
    torch.testing.assert_close(method.loss(head, features, labels), F.cross_entropy(scores, labels))


def test_meta_baseline_goes_from_classes_to_episodes() -> None:
    method, labels = learned("meta_baseline", epochs="4", batch="12", way="3", shot="2"), np.repeat(np.arange(6), 20)
    head, features = state(method, classes=6), torch.randn(120, D, generator=torch.Generator().manual_seed(0))
    for epoch in range(4):
        for items in method.batches(labels, epoch, np.random.default_rng(epoch)):
            chosen, its = features[items], torch.from_numpy(labels[items])
            if epoch < 2:
                assert len(np.unique(labels[items])) == 6  # a balanced batch of all classes
                expected = F.cross_entropy(head(chosen), its)
            else:
                assert labels[items].reshape(3, 4).std(1).max() == 0
                means = F.normalize(chosen.view(3, 4, D)[:, :2].mean(1))
                cosine = F.normalize(chosen.view(3, 4, D)[:, 2:].flatten(0, 1)) @ means.T
                expected = F.cross_entropy(10 * cosine, torch.arange(3).repeat_interleave(2))
            torch.testing.assert_close(method.loss(head, chosen, its), expected)


def test_meta_baseline_refuses_a_share_above_one() -> None:
    with pytest.raises(ZooError, match="0 to 1"):
        learned("meta_baseline", pretraining="2")


def test_feat_equals_easyfsl_with_its_weights() -> None:
    methods, modules = pytest.importorskip("easyfsl.methods"), pytest.importorskip("easyfsl.modules")
    attention = modules.MultiHeadAttention(1, D, D, D).eval()
    peer = methods.FEAT(backbone=nn.Identity(), attention_module=attention)
    method = learned("feat")
    ours = state(method).eval()
    pairs = {"query": "w_qs", "key": "w_ks", "value": "w_vs", "out": "fc", "norm": "layer_norm"}
    for own, their in pairs.items():
        getattr(ours, own).load_state_dict(getattr(attention, their).state_dict())
    for seed in range(5):
        support, queries, _ = episode(seed=seed)
        with torch.no_grad():
            peer.process_support_set(support.features, support.labels)
            expected = -10 / D * peer(queries).square()
            scores = method.scores(method.fit(ours, support), queries)
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


def test_feat_regulariser_is_equation_8_as_a_loop() -> None:
    features, labels = batch()
    plain, method = learned("feat", shot=str(SHOT), balance="0"), learned("feat", shot=str(SHOT), balance="0.5")
    attention = state(method)
    classes = labels.unique()
    centres = [attention(features[labels == label]).mean(0) for label in classes]
    losses = []
    for one, label in zip(features, labels, strict=True):
        scores = torch.stack([-10 / D * (one - centre).square().sum() for centre in centres])
        losses.append(-scores.log_softmax(0)[classes == label])
    expected = plain.loss(attention, features, labels) + 0.5 * torch.cat(losses).mean()
    torch.testing.assert_close(method.loss(attention, features, labels), expected)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_r2d2_is_scikit_learns_ridge(penalty: float) -> None:
    from sklearn.linear_model import Ridge

    support, queries, _ = episode(offset=1.0)
    method = learned("r2d2")
    scalars = state(method)
    scalars.log_penalty.data.fill_(math.log(penalty))
    scalars.shift.data.fill_(0.25)
    size = support.features.square().sum(1).mean().sqrt()
    reference = Ridge(alpha=penalty, fit_intercept=False)
    reference.fit((support.features / size).numpy(), F.one_hot(support.labels).float().numpy())
    expected = 10 * torch.tensor(reference.predict((queries / size).numpy())) + 0.25
    scores = method.scores(method.fit(scalars, support), queries).detach()
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)


def crammer_singer(features: Tensor, labels: Tensor, c: float) -> Tensor:
    from sklearn.svm import LinearSVC

    machine = LinearSVC(multi_class="crammer_singer", C=c, fit_intercept=False, tol=1e-10, max_iter=1_000_000)
    return torch.tensor(machine.fit(features.double().numpy(), labels.numpy()).coef_).float()


@pytest.mark.parametrize("c", [0.01, 0.1, 10.0])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_metaoptnet_is_scikit_learns_crammer_singer_machine(c: float, offset: float) -> None:
    """Offset: embeddings after a ReLU lie all on one side, which makes the dual badly conditioned."""
    method = learned("metaoptnet", c=str(c))
    for seed in range(3):
        support, _, _ = episode(seed=seed, offset=offset)
        weight, _ = method.fit(state(method), support)
        expected = crammer_singer(support.features, support.labels, c)
        torch.testing.assert_close(weight, expected, rtol=1e-2, atol=2e-3 * float(expected.abs().max()))


def test_metaoptnet_gradient_is_that_of_scikit_learns_solution() -> None:
    """d(score) / d(support), through the solver's steps, against finite differences of the exact solution."""
    method = learned("metaoptnet")
    support, queries, _ = episode()
    features = support.features.clone().requires_grad_()
    start = state(method)
    scores = method.scores(method.fit(start, support._replace(features=features)), queries) / start[0].detach()
    (gradient,) = torch.autograd.grad(scores[0, 1], features)
    strongest = gradient.abs().flatten().topk(4).indices.tolist()
    for row, column in [divmod(place, D) for place in strongest]:
        moved = []
        for step in (1e-3, -1e-3):
            other = support.features.clone()
            other[row, column] += step
            moved.append(float(queries[0] @ crammer_singer(other, support.labels, 0.1)[1]))
        assert float(gradient[row, column]) == pytest.approx((moved[0] - moved[1]) / 2e-3, rel=0.01)


@pytest.mark.parametrize("name", TRAINED)
def test_trains_on_images(name: str, tmp_path: Path) -> None:
    """Through the pipeline's own loop: dim, middling and bright squares, told apart by new supports."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    pixels = (random.integers(0, 60, (60, 16, 16, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    seen, support, query = np.arange(60).reshape(3, 20)[:, :12], [0, 20, 40], np.arange(60).reshape(3, 20)[:, 12:]
    episodes = {"batch": "24", "shot": "2"} if issubclass(registry.plugin("methods", name), Episodic) else {}
    method = learned(name, epochs="25", **episodes)
    device, network = choose("cpu", "fp32"), registry.backbone("conv4", None)
    chosen = seen.flatten()
    trained = train(network, method, pixels[chosen], labels[chosen], 3, 0, device, tmp_path / "x.pt")
    with torch.no_grad():
        features = method.features(trained.backbone, trained.backbone.hidden(as_images(pixels, device)))
        params = method.fit(trained.state, Support(features[support], torch.arange(3), torch.arange(3)))
        predicted = method.scores(params, features[query.flatten()]).argmax(1).numpy()
    assert (predicted == labels[query.flatten()]).mean() > 0.8
