"""Methods that learn to learn: their gradients against learn2learn's own loop, and what each of them touches."""

import copy
import sys

import pytest
import torch
from tiny import TinyBackbone
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import registry
from zoo.episodic import Episodic
from zoo.errors import ZooError
from zoo.inner import Head, Learner, adapted, learn_head
from zoo.types import Support

WAY, SHOT, QUERY = 3, 2, 2
LABELS = torch.arange(WAY).repeat_interleave(SHOT + QUERY)
IMAGES = torch.rand(len(LABELS), 3, 16, 16, generator=torch.Generator().manual_seed(0))
IMAGES = IMAGES.double() + 0.3 * LABELS[:, None, None, None]


def network() -> TinyBackbone:
    return TinyBackbone(neck=True).double()


def method(name: str, **settings: str) -> Episodic:
    return registry.method(name, {"shot": str(SHOT), "way": str(WAY), **settings})  # type: ignore[return-value]


def gradients(name: str, backbone: TinyBackbone, state: nn.Module | None = None, **settings: str) -> list[Tensor]:
    loss = method(name, **settings).objective(backbone, state, IMAGES, LABELS)
    return list(torch.autograd.grad(loss, [*backbone.parameters(), *(state.parameters() if state else ())]))


def halves() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grouped = IMAGES.unflatten(0, (WAY, -1))
    number = torch.arange(WAY)
    support, query = grouped[:, :SHOT].flatten(0, 1), grouped[:, SHOT:].flatten(0, 1)
    return support, number.repeat_interleave(SHOT), query, number.repeat_interleave(QUERY)


@pytest.mark.parametrize("first_order", [True, False])
def test_maml_gradient_is_that_of_learn2learn(first_order: bool) -> None:
    """Its documented loop on one episode, and the same worked out with torch.func from nothing."""
    l2l = pytest.importorskip("learn2learn")
    support, labels, query, truth = halves()
    backbone, steps, rate = network(), 3, 0.5
    maml = l2l.algorithms.MAML(Learner(backbone, WAY).double(), lr=rate, first_order=first_order)
    clone = maml.clone()
    for _ in range(steps):
        clone.adapt(F.cross_entropy(clone(support), labels))
    F.cross_entropy(clone(query), truth).backward()
    expected = [parameter.grad for parameter in backbone.parameters()]
    found = gradients("maml", network(), steps="3", step_rate="0.5", first_order=str(first_order))
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs is not None
        assert ours.abs().max() > 1e-6
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)

    learner = Learner(network(), WAY).double()
    start = {name: parameter.detach().requires_grad_() for name, parameter in learner.named_parameters()}
    weights = dict(start)
    for _ in range(steps):
        loss = F.cross_entropy(torch.func.functional_call(learner, weights, (support,)), labels)
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=not first_order)
        weights = {name: weights[name] - rate * slope for name, slope in zip(weights, slopes, strict=True)}
    loss = F.cross_entropy(torch.func.functional_call(learner, weights, (query,)), truth)
    own = [start[name] for name in start if name.startswith("backbone")]
    torch.testing.assert_close(found, list(torch.autograd.grad(loss, own)), rtol=1e-6, atol=1e-9)


def test_the_two_orders_differ() -> None:
    pytest.importorskip("learn2learn")
    first, second = (gradients("maml", network(), step_rate="0.5", first_order=text) for text in ("true", "false"))
    assert not torch.allclose(first[0], second[0], rtol=1e-2)


def test_anil_is_maml_of_the_head_alone() -> None:
    """The written-out steps against learn2learn's MAML around a head: value and second-order gradient."""
    l2l = pytest.importorskip("learn2learn")
    support, labels, query, truth = halves()

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.zeros(WAY, 6).double()), nn.Parameter(torch.zeros(WAY).double())

        def forward(self, features: Tensor) -> Tensor:
            return Head(self.weight, self.bias).scores(features)

    backbone = network()
    clone = l2l.algorithms.MAML(Layer(), lr=0.05, first_order=False).clone()
    for _ in range(5):
        clone.adapt(F.cross_entropy(clone(backbone(support)), labels))
    loss = F.cross_entropy(clone(backbone(query)), truth)
    expected = list(torch.autograd.grad(loss, list(backbone.parameters())))
    anil = method("anil")
    assert not anil.adapts
    features = backbone(IMAGES)
    found = anil.loss(None, features, LABELS)
    torch.testing.assert_close(found, loss, rtol=1e-6, atol=1e-9)
    ours = list(torch.autograd.grad(found, list(backbone.parameters())))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-9)


def test_meta_sgd_gradient_is_that_of_learn2learn() -> None:
    """First order, of weights and of step sizes, those of the head summed over the classes that share them."""
    l2l = pytest.importorskip("learn2learn")
    support, labels, query, truth = halves()
    backbone = network()
    meta = l2l.algorithms.MetaSGD(Learner(backbone, WAY).double(), lr=0.05, first_order=True)
    clone = meta.clone()
    for _ in range(2):
        clone.adapt(F.cross_entropy(clone(support), labels))
    F.cross_entropy(clone(query), truth).backward()
    rates = [rate.grad for rate in meta.lrs]
    rates[:2] = [rates[0].sum(0, keepdim=True), rates[1].sum(0, keepdim=True)]
    own = network()
    state = method("meta_sgd").beside(own, WAY)
    assert state is not None
    found = gradients("meta_sgd", own, state.double())
    expected = [parameter.grad for parameter in backbone.parameters()] + rates
    assert found[-1].abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_reptile_gradient_is_the_way_back() -> None:
    """Weights before minus weights after four steps of torch's own SGD."""
    backbone = network()
    learner = Learner(copy.deepcopy(backbone), WAY).double()
    optimiser = torch.optim.SGD(learner.parameters(), 0.05)
    for _ in range(4):
        optimiser.zero_grad()
        F.cross_entropy(learner(IMAGES), LABELS).backward()
        optimiser.step()
    pairs = zip(backbone.parameters(), learner.backbone.parameters(), strict=True)
    expected = [before.detach() - after.detach() for before, after in pairs]
    found = gradients("reptile", backbone)
    assert expected[0].abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_reptile_keeps_the_running_statistics() -> None:
    backbone = registry.backbone("conv4", None).train()
    norm = next(module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
    method("reptile").objective(backbone, None, IMAGES.float(), LABELS)
    assert norm.running_mean is not None
    assert norm.running_mean.abs().max() > 0


@pytest.mark.parametrize("name", ["maml", "meta_sgd", "reptile"])
def test_an_episode_is_adapted_as_in_training(name: str) -> None:
    """The steps on a copy are those of the loop that was trained; the backbone given stays as it was."""
    support, labels, query, _ = halves()
    backbone, one = network(), method(name)
    state = one.beside(backbone, WAY)
    before = copy.deepcopy(backbone.state_dict())
    own, params = one.adapt(backbone, state and state.double(), support, labels, torch.Generator())  # type: ignore[attr-defined]
    torch.testing.assert_close(backbone.state_dict(), before, rtol=0, atol=0)
    learner = Learner(copy.deepcopy(backbone), WAY).double()
    for _ in range(one.steps):  # type: ignore[attr-defined]
        slopes = torch.autograd.grad(F.cross_entropy(learner(support), labels), list(learner.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(learner.parameters(), slopes, strict=True):
                parameter -= 0.05 * slope
    torch.testing.assert_close(own.state_dict(), learner.backbone.state_dict(), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(one.scores(params, own(query)), learner(query), rtol=1e-6, atol=1e-9)


def test_batch_norm_keeps_the_statistics_of_the_supports() -> None:
    """Those of the last pass: in eval mode the supports get what a pass in training mode gives them."""
    backbone = registry.backbone("conv4", None).eval()
    learner = adapted(backbone, IMAGES.float(), LABELS, 2, 0.05)
    assert not learner.backbone.training
    with torch.no_grad():
        still, moved = learner.backbone(IMAGES.float()), learner.backbone.train()(IMAGES.float())
    torch.testing.assert_close(still, moved, rtol=0.05, atol=0.02)  # eval mode has the unbiased variance
    norm = next(module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
    assert norm.momentum == 0.1
    assert norm.running_mean is not None
    assert not norm.running_mean.any()


def test_learned_head_against_autograd() -> None:
    support, labels, _, _ = halves()
    features = network()(support).detach()
    found = learn_head(Support(features, labels, torch.arange(WAY)), 7, Head(torch.tensor(0.1), torch.tensor(0.1)))

    class Fixed(nn.Module):
        dim = 6

        def __init__(self) -> None:
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(()))

        def forward(self, images: Tensor) -> Tensor:
            return images

    learner = adapted(Fixed(), features, labels, 7, 0.1)  # type: ignore[arg-type]
    torch.testing.assert_close(found.weight, learner.weight.detach().double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.bias, learner.bias.detach().double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["maml", "meta_sgd"])
def test_without_learn2learn_one_line_says_how_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == "learn2learn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    with pytest.raises(ZooError, match="uv sync --extra meta") as caught:
        gradients(name, network(), method(name).beside(network(), WAY))
    assert "\n" not in str(caught.value)
