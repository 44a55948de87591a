"""Fine-tuning on the supports of each episode: a linear head, the last block as well, or the whole backbone."""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.inner import Head, learn_layer, tune
from zoo.ops import unit
from zoo.types import Adapting, Backbone, Support


@dataclass(frozen=True)
class Finetune(Adapting):
    """The second stage of `Baseline` of Chen et al.: a fresh softmax layer, full-batch steps with momentum from zero.
    Ours: it goes first also where more is tuned, as in Kumar et al., ICLR 2022."""

    paper: ClassVar[str] = "Chen et al., A Closer Look at Few-shot Classification, ICLR 2019, arXiv 1904.04232"
    mappable: ClassVar[bool] = True  # where part=head, its gradient is written out
    part: Literal["head", "last", "full"] = "head"
    """What changes: the head, the backbone's last block and the head, or all of it."""
    steps: int = 100
    """Steps of gradient descent on an episode's head."""
    rate: float = 1.0
    """Learning rate of the head."""
    decay: float = 1e-3
    """Weight decay of the head's weights."""
    tune_steps: int = 10
    """Steps of Adam on head and backbone."""
    tune_rate: float = 1e-4
    """Learning rate of these steps."""
    adapts = property(lambda self: self.part != "head")  # type: ignore[override]
    keeps_trunk = property(lambda self: self.part == "last")  # type: ignore[override]

    def adapt(
        self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Backbone, Any]:
        own = copy.deepcopy(backbone).requires_grad_(True)
        forward = (lambda x: own.embed(own.tail(x)).float()) if self.keeps_trunk else (lambda x: own(x).float())
        with torch.no_grad():
            seen = own.trunk(images) if self.keeps_trunk else images
            start = self.fit(state, Support(forward(seen), labels, labels.unique()))
        head = Head(*(part.clone().requires_grad_() for part in start))
        tune([*head, *own.parameters()], lambda: F.cross_entropy(self.scores(head, forward(seen)), labels),
             self.tune_steps, self.tune_rate)  # fmt: skip
        return own, Head(*(part.detach() for part in head))

    def fit(self, state: nn.Module | None, support: Support) -> Head:
        return learn_layer(support._replace(features=unit(support.features)), self.steps, self.rate, self.decay)

    def scores(self, params: Head, features: Tensor) -> Tensor:
        return unit(features) @ params.weight.T + params.bias

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)
