"""Meta-SGD: as MAML, and the size of the step is learned too, for every single weight."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.inner import Head, Learner, StepSizes, adapted, learn2learn, learn_head
from zoo.types import Adapting, Backbone, Support


@dataclass(frozen=True)
class MetaSGD(Adapting, Episodic):
    """Li et al., 2017, on learn2learn, in its first-order form. Ours: a head that starts from zero on unit embeddings,
    whose classes share their step sizes. `fit`, which sees embeddings alone, takes the step on the head alone."""

    paper: ClassVar[str] = "Li et al., Meta-SGD: Learning to Learn Quickly, 2017, arXiv 1707.09835"
    epochs: int = 5
    """Rounds through the training images, in episodes; 0 = the backbone as it is given."""
    steps: int = 2
    """Gradient steps an episode; in the paper one, which from a zero head would leave the backbone as it is."""
    step_rate: float = 0.05
    """Every step size at first."""

    def state(self, dim: int, classes: int) -> nn.Module:
        return StepSizes(dim, None, self.step_rate)

    def beside(self, backbone: Backbone, classes: int) -> nn.Module:
        return StepSizes(backbone.dim, backbone, self.step_rate)

    def objective(self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor) -> Tensor:
        assert isinstance(state, StepSizes)
        support, query, truth = self.parts(images, labels)
        learner = learn2learn().algorithms.MetaSGD(
            Learner(backbone, len(support.classes)), lrs=state.every(), first_order=True
        ).clone()  # fmt: skip
        for _ in range(self.steps):
            learner.adapt(F.cross_entropy(learner(support.features), support.labels))
        return F.cross_entropy(learner(query), truth)

    def adapt(
        self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Backbone, Any]:
        assert isinstance(state, StepSizes)
        learner = adapted(backbone, images, labels, self.steps, state.every())
        return learner.backbone, Head(learner.weight.detach(), learner.bias.detach())

    def fit(self, state: nn.Module | None, support: Support) -> Head:
        assert isinstance(state, StepSizes)
        return learn_head(support, self.steps, Head(*state.every()[:2]))

    def scores(self, params: Head, features: Tensor) -> Tensor:
        return params.scores(features)
