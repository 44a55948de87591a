"""SiamCAM: where query and support resemble each other, from the gradient of their distance."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.ops import pair_weights
from zoo.types import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class SiamCAM(Explainer):
    """Channel weight = gradient of the pair's likeness, averaged over places; CAM = ReLU(sum over channels of weight
    x map): positive where a place draws the pair together. The paper prints no formula; this one is ours.
    A map negative everywhere keeps its order, lifted by its minimum. "Why not class c?": pass c as the target."""

    paper: ClassVar[str] = "Tummala & Suresh, Explainable Siamese twin network, 2023, doi 10.1007/s11517-023-02804-3"
    needs: ClassVar[Literal["support"]] = "support"
    distance: Literal["inner", "l2", "cosine"] = "inner"
    """inner: the product of the features as the method compares them, lengths held fixed: how much of the likeness
    does this place carry? l2, cosine: where would more of the map help? Chosen on validation queries of PBC."""
    combine: Literal["mean", "max"] = "mean"
    """Over the supports of the target class. A class with fewer supports than another ends in maps of zeros."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        parts = [self._part(classifier, *part) for part in zip(images.split(64), target.split(64), strict=True)]
        return Explanation(*(torch.cat(maps) for maps in zip(*parts, strict=True)))

    def _part(self, classifier: Classifier, images: Tensor, target: Tensor) -> Explanation:
        backbone, labels, supports = classifier.backbone, classifier.support.labels, classifier.support_hidden
        own = target[:, None] == labels
        pairs = own.byte().argsort(dim=1, descending=True, stable=True)[:, : int(labels.bincount().max())]
        real = own.gather(1, pairs)[..., None]
        hidden = backbone.hidden(images)
        a, b = pair_weights(backbone, classifier.method.compared, hidden, supports, pairs, self.distance)
        query_side = _lift(torch.einsum("nsc,nchw->nshw", a * real, backbone.grid(hidden).float()))
        support_side = torch.zeros_like(query_side)
        for label in target.unique():
            rows, maps = target == label, backbone.grid(supports[labels == label]).float()
            support_side[rows, : len(maps)] = _lift(torch.einsum("nsc,schw->nshw", b[rows, : len(maps)], maps))
        saliency = query_side.amax(1) if self.combine == "max" else query_side.sum(1) / real.sum(1, keepdim=True)
        return Explanation(saliency, query_side, support_side)


def _lift(maps: Tensor) -> Tensor:
    return torch.where(maps.amax((-2, -1), True) > 0, maps.relu(), maps - maps.amin((-2, -1), True))
