"""ANIL: as MAML, but the steps of an episode touch the head alone, and so the backbone only in training."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.episodic import Episodic
from zoo.inner import Head, learn_head
from zoo.types import Support


@dataclass(frozen=True)
class ANIL(Episodic):
    """Raghu et al., ICLR 2020: almost no inner loop. The queries' loss is followed through the steps on the head, at
    second order, back to the backbone. Ours: a head that starts from zero, on unit embeddings."""

    paper: ClassVar[str] = "Raghu et al., Rapid Learning or Feature Reuse?, ICLR 2020, arXiv 1909.09157"
    steps: int = 5
    """Gradient steps an episode."""
    step_rate: float = 0.05
    """Learning rate of these steps."""

    def fit(self, state: nn.Module | None, support: Support) -> Head:
        rate = torch.tensor(self.step_rate, device=support.features.device)
        return learn_head(support, self.steps, Head(rate, rate))

    def scores(self, params: Head, features: Tensor) -> Tensor:
        return params.scores(features)
