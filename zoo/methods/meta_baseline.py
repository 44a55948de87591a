"""Meta-Baseline: a classifier's backbone, trained further on episodes with cosine prototypes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.episodic import Episodic
from zoo.errors import ZooError
from zoo.ops import class_means, unit
from zoo.sampling import balanced
from zoo.types import Support


class _Classifier(nn.Linear):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.temperature = nn.Parameter(torch.tensor(10.0))


@dataclass(frozen=True)
class MetaBaseline(Episodic):
    """Chen et al., ICCV 2021: stage one is cross-entropy on the base classes, stage two episodes with
    score = learned temperature x cosine of the query to the mean embedding of the class."""

    paper: ClassVar[str] = "Chen et al., Meta-Baseline, ICCV 2021, arXiv 2003.04390"
    pretraining: float = 0.5
    """Share of the epochs spent on stage one, 0 to 1."""

    def __post_init__(self) -> None:
        if self.pretraining > 1:
            raise ZooError(f"meta_baseline: pretraining={self.pretraining:g}: give a share from 0 to 1")

    def state(self, dim: int, classes: int) -> nn.Module:
        return _Classifier(dim, classes)

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        if epoch >= round(self.pretraining * self.epochs):
            return super().batches(labels, epoch, random)
        return (items[np.argsort(-labels[items])] for items in balanced(labels, self.batch, random))

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        """The order tells the stages apart: an episode's classes ascend, those of a plain batch descend."""
        assert state is not None
        episode = bool(labels[0] < labels[-1])
        return super().loss(state, features, labels) if episode else F.cross_entropy(state(features), labels)

    def compared(self, features: Tensor) -> Tensor:
        return unit(features)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor, Tensor]:
        assert isinstance(state, _Classifier)
        return unit(class_means(support.features, support.labels, len(support.classes))), state.temperature

    def scores(self, params: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        return params[1] * unit(features) @ params[0].T
