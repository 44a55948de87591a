"""Relevance mass: share of the saliency that lies on the real mask; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class RelevanceMass(ExplanationMetric):
    """Arras et al., CLEVR-XAI, Information Fusion 81, 2022, arXiv 2003.07258, equation 1. Negative saliency, which
    speaks against the class, counts as none. 0 for a map without positive values.

    Raises ZooError without masks.
    """

    about: ClassVar[Literal["localisation"]] = "localisation"
    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.masks is None:
            raise ZooError("relevance_mass needs cell masks: use a dataset that has them (`zoo list datasets`)")
        saliency = explained.saliency.double().relu()
        total = saliency.sum((1, 2))
        share = (saliency * explained.masks).sum((1, 2)) / total
        return torch.where(total > 0, share, 0).float()
