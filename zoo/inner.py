"""What methods that go on learning in each episode share: the head of an episode, and steps on copies of a network."""

import contextlib
import copy
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.ops import descend, one_hot, unit
from zoo.types import Adapting, Backbone, Support
from zoo.weights import folded

SHARPNESS = 10.0
"""Factor on unit embeddings before the head: one first step size then suits every backbone."""


class Head(NamedTuple):
    """A linear layer on embeddings of unit length."""

    weight: Tensor
    """(way, d)"""
    bias: Tensor
    """(way,)"""

    def scores(self, features: Tensor) -> Tensor:
        """(n, d) -> (n, way), sharpened"""
        return SHARPNESS * unit(features) @ self.weight.T + self.bias


class Learner(nn.Module):
    """A backbone and the head of an episode, images (n, 3, H, W) -> scores (n, way).

    The head starts from zero: a learned start would have to know how many classes there are and in which order, and
    what all classes share in it cancels in the softmax. Kao et al., MAML is a Noisy Contrastive Learner, ICLR 2022,
    find that zero does the start good besides.
    """

    def __init__(self, backbone: Backbone, way: int) -> None:
        super().__init__()
        weight = next(backbone.parameters())
        self.weight = nn.Parameter(weight.new_zeros(way, backbone.dim))
        self.bias = nn.Parameter(weight.new_zeros(way))
        self.backbone = backbone

    @property
    def head(self) -> Head:
        return Head(self.weight, self.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.head.scores(self.backbone(images).to(self.weight.dtype))


class StepSizes(nn.Module):
    """A learned step size for every weight of a `Learner`, in the order of its parameters. Classes share those of
    their rows of the head; without a backbone these are all there is."""

    def __init__(self, dim: int, backbone: Backbone | None, rate: float) -> None:
        super().__init__()
        alike = [torch.zeros(1, dim), torch.zeros(1), *(backbone.parameters() if backbone else ())]
        self.sizes = nn.ParameterList(nn.Parameter(torch.full_like(part, rate)) for part in alike)

    def every(self) -> list[Tensor]:
        return list(self.sizes.parameters())


def learn_head(support: Support, steps: int, rates: Head) -> Head:
    """Gradient descent on a head alone, from zero, on the softmax cross-entropy of the supports. The gradient is
    written out, so that it maps over episodes and can itself be differentiated. `rates` are step sizes, broadcast."""
    x = SHARPNESS * unit(support.features)
    truth = one_hot(support.labels, len(support.classes)).to(x)
    weight, bias = truth.T @ x * 0, truth.sum(0) * 0
    for _ in range(steps):
        error = ((x @ weight.T + bias).softmax(-1) - truth) / len(x)
        weight, bias = weight - rates.weight * (error.T @ x), bias - rates.bias * error.sum(0)
    return Head(weight, bias)


def learn_layer(support: Support, steps: int, rate: float, decay: float) -> Head:
    """Gradient descent with momentum 0.9 on a linear layer, from zero, on the softmax cross-entropy of the supports and
    weight decay. The gradient is written out, so that it maps over episodes."""
    x = F.pad(support.features, (0, 1), value=1.0)
    truth = one_hot(support.labels, len(support.classes)).to(x)
    decays = decay * (torch.arange(x.shape[-1], device=x.device) < x.shape[-1] - 1)  # not of the biases

    def gradient(layer: Tensor) -> Tensor:
        return ((x @ layer.T).softmax(-1) - truth).T @ x / len(x) + decays * layer

    found = descend(truth.T @ x * 0, gradient, steps, rate)
    return Head(found[:, :-1], found[:, -1])


def adapted(
    backbone: Backbone, images: Tensor, labels: Tensor, steps: int, rates: Sequence[Tensor | float] | float
) -> Learner:
    """A copy of the backbone after gradient descent on the cross-entropy of these images (k, 3, H, W), together with
    its head. `rates` are one step size, or one for each parameter in the order of `Learner`, broadcast.

    BatchNorm takes the statistics of these images, as it does in the episodes of training, and keeps those of the last
    pass for whatever comes after (Bronskill et al., TaskNorm, ICML 2020, call it MetaBN): with the running ones steps
    of this size lead astray. A folded one has none and stays as it is.
    """
    own = copy.deepcopy(backbone).requires_grad_(True)
    learner, norms = Learner(own, int(labels.max()) + 1), []
    if not backbone.training and not folded(own):
        norms = [module for module in own.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    parameters = list(learner.parameters())
    sizes = rates if isinstance(rates, Sequence) else [rates for _ in parameters]
    for _ in range(steps):
        gradients = torch.autograd.grad(F.cross_entropy(learner(images), labels), parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient, size in zip(parameters, gradients, sizes, strict=True):
                if gradient is not None:
                    parameter -= size * gradient
    if norms:
        with torch.no_grad():
            learner(images)
        learner.eval()
    return learner


@dataclass(frozen=True)
class FewSteps(Adapting):
    """What a few gradient steps on the supports, through the whole backbone and a head from zero, lead to. `fit`, which
    sees embeddings alone, takes the same steps on the head alone."""

    steps: int = 3
    """Gradient steps an episode."""
    step_rate: float = 0.05
    """Learning rate of these steps."""

    def adapt(
        self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Backbone, Any]:
        learner = adapted(backbone, images, labels, self.steps, self.step_rate)
        return learner.backbone, Head(learner.weight.detach(), learner.bias.detach())

    def fit(self, state: nn.Module | None, support: Support) -> Head:
        rate = torch.tensor(self.step_rate, device=support.features.device)
        return learn_head(support, self.steps, Head(rate, rate))

    def scores(self, params: Head, features: Tensor) -> Tensor:
        return params.scores(features)


def tune(parameters: Iterable[Tensor], loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    """Adam on these parameters, in place."""
    optimiser = torch.optim.Adam(list(parameters), rate)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()


def learn2learn() -> ModuleType:
    """The library of that name, imported where it is used: it is an extra. ZooError where it is missing."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # it imports gym, which complains of its own age
            import learn2learn.algorithms
    except ImportError:
        raise ZooError(
            "learn2learn is not installed, and this method trains with it: `uv sync --extra meta`, "
            'or pip install "hemazoo[meta]"'
        ) from None
    return learn2learn
