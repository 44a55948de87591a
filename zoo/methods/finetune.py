"""Fine-tuned linear head: gradient descent on the supports of each episode, backbone frozen."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from zoo.ops import one_hot, unit
from zoo.types import Method, Support


class _Params(NamedTuple):
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Finetune(Method):
    """The second stage of `Baseline` of Chen et al., ICLR 2019: a fresh softmax layer on the frozen backbone,
    trained for `steps` full-batch steps of gradient descent with momentum 0.9 and weight decay. It starts from
    zero, so that no random start has to be reported; the gradient of softmax cross-entropy is written out, so
    that hundreds of episodes are fitted together."""

    paper: ClassVar[str] = "Chen et al., A Closer Look at Few-shot Classification, ICLR 2019, arXiv 1904.04232"
    steps: int = 100
    """Steps of gradient descent an episode."""
    rate: float = 1.0
    """Learning rate."""
    decay: float = 1e-3
    """Weight decay of the layer's weights."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        x, truth = unit(support.features), one_hot(support.labels, len(support.classes))
        weight, bias = truth.T @ x * 0, truth.sum(0) * 0
        weight_speed, bias_speed = weight, bias
        for _ in range(self.steps):
            error = ((x @ weight.T + bias).softmax(-1) - truth) / len(x)
            weight_speed = 0.9 * weight_speed + error.T @ x + self.decay * weight
            bias_speed = 0.9 * bias_speed + error.sum(0)
            weight, bias = weight - self.rate * weight_speed, bias - self.rate * bias_speed
        return _Params(weight, bias)

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return unit(features) @ params.weight.T + params.bias
