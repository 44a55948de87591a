"""Eigen-CAM: the feature maps along their first principal direction, whatever the class."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class EigenCAM(Explainer):
    """Muhammad & Yeasin, 2020: with A = U S V^T the (places x channels) matrix of the maps, not centred, A times the
    first column of V. Its sign, which no decomposition fixes, is the one with the larger sum; negative places are 0.
    The target plays no part: it shows what the backbone sees most of."""

    paper: ClassVar[str] = "Muhammad & Yeasin, Eigen-CAM, IJCNN 2020, arXiv 2008.00299"
    needs: ClassVar[Literal["maps"]] = "maps"

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        return Explanation(torch.cat([_first(classifier, part) for part in images.split(32)]))


def _first(classifier: Classifier, images: Tensor) -> Tensor:
    maps = classifier.backbone.grid(classifier.backbone.hidden(images)).float()
    places = maps.flatten(2).transpose(1, 2)
    # places x places is far smaller than a decomposition with channels; its top eigenvector is U's first column.
    values, vectors = torch.linalg.eigh((places @ places.transpose(1, 2)).double())
    along = vectors[..., -1] * values[:, -1:].clamp_min(0).sqrt()
    sign = torch.where(along.sum(1, keepdim=True) < 0, -1, 1)
    return (along * sign).relu().float().unflatten(1, maps.shape[2:])
