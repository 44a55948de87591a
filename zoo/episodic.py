"""What methods trained on episodes share: how training items become episodes, and the loss of one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.sampling import episodic
from zoo.types import Learned, Support


@dataclass(frozen=True)
class Episodic(Learned):
    """A method that trains as it is tested: each batch is an episode, and its queries give the loss
    (Vinyals et al., NeurIPS 2016, section 2.2)."""

    batch: int = 80
    """Images a step: those of one episode; what way x shot leaves of them are its queries."""
    way: int = 8
    """Classes of a training episode; all of the training split's where it has fewer."""
    shot: int = 5
    """Supports per class of a training episode."""

    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        yield from episodic(labels, self.way, self.shot, self.batch, random)

    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        """Softmax cross-entropy of the queries' scores."""
        support, query, truth = self.parts(features, labels)
        return F.cross_entropy(self.scores(self.fit(state, support), query), truth)

    def parts(self, features: Tensor, labels: Tensor) -> tuple[Support, Tensor, Tensor]:
        """Supports, queries (q, ...) and the queries' labels (q,), 0..way-1, of a batch that is one episode."""
        classes = labels.unique_consecutive()
        grouped = features.unflatten(0, (len(classes), -1))
        number = torch.arange(len(classes), device=labels.device)
        supports, queries = grouped[:, : self.shot], grouped[:, self.shot :]
        support = Support(supports.flatten(0, 1), number.repeat_interleave(self.shot), classes)
        return support, queries.flatten(0, 1), number.repeat_interleave(queries.shape[1])
