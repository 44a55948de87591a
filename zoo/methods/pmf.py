"""P>M>F: a ProtoNet that is fine-tuned in each episode, on augmented views of the supports."""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.augment import augment
from zoo.episodic import Episodic
from zoo.inner import SHARPNESS, tune
from zoo.ops import class_means, unit
from zoo.types import Adapting, Backbone, Support


@dataclass(frozen=True)
class PMF(Adapting, Episodic):
    """Hu et al., CVPR 2022: pre-train (the weights given), meta-train (a ProtoNet by cosine, times 10), fine-tune:
    in each episode views of the supports are classified by the prototypes of the supports. The paper chooses the
    learning rate for each dataset; so may `--set tune_rate`, on validation accuracy."""

    paper: ClassVar[str] = "Hu et al., Pushing the Limits of Simple Pipelines for FSL, CVPR 2022, arXiv 2204.07305"
    epochs: int = 5
    """Rounds through the training images, in episodes; 0 = the backbone as it is given."""
    tune_steps: int = 5
    """Steps of Adam an episode; 50 in the paper."""
    tune_rate: float = 1e-4
    """Learning rate of these steps; 0 leaves a ProtoNet."""

    def adapt(
        self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Backbone, Any]:
        own = copy.deepcopy(backbone).requires_grad_(True)

        def loss() -> Tensor:
            views = augment(images, random)
            features, of_views = own(torch.cat([images, views])).float().chunk(2)
            return F.cross_entropy(self.scores(self._prototypes(features, labels), of_views), labels)

        tune(own.parameters(), loss, self.tune_steps, self.tune_rate)
        with torch.no_grad():
            return own, self._prototypes(own(images).float(), labels)

    def _prototypes(self, features: Tensor, labels: Tensor) -> tuple[Tensor]:
        return (class_means(features, labels, int(labels.max()) + 1),)

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        return (class_means(support.features, support.labels, len(support.classes)),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return SHARPNESS * unit(features) @ unit(params[0]).T
