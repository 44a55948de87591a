"""Reptile: moves the weights toward where a few gradient steps on an episode lead, again and again."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.inner import FewSteps, adapted
from zoo.types import Backbone


@dataclass(frozen=True)
class Reptile(FewSteps, Episodic):
    """Nichol, Achiam & Schulman, 2018, algorithm 1: weights before minus weights after the steps serve as the
    gradient. Ours: a head that starts from zero on unit embeddings."""

    paper: ClassVar[str] = "Nichol et al., On First-Order Meta-Learning Algorithms, 2018, arXiv 1803.02999"
    epochs: int = 5
    """Rounds through the training images, in episodes; 0 = the backbone as it is given."""
    steps: int = 4
    """Gradient steps an episode, in training on all of its images."""

    def objective(self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor) -> Tensor:
        number = labels.unique_consecutive(return_inverse=True)[1]
        learner = adapted(backbone, images, number, self.steps, self.step_rate)
        for own, after in zip(backbone.buffers(), learner.backbone.buffers(), strict=True):
            own.copy_(after)  # the running statistics of BatchNorm
        pairs = zip(backbone.parameters(), learner.backbone.parameters(), strict=True)
        way_back = torch.stack([((own - after).detach() * own).sum() for own, after in pairs]).sum()
        with torch.no_grad():
            loss = F.cross_entropy(learner(images), number)
        return loss + way_back - way_back.detach()  # the value of the one, the gradient of the other
