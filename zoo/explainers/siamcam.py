"""SiamCAM: where query and support resemble each other, from the gradient of their distance."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import lift, pairs
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.ops import pair_maps


@dataclass(frozen=True)
class SiamCAM(Explainer):
    """Channel weight = gradient of the pair's likeness, averaged over places; CAM = ReLU(sum over channels of weight
    x map): positive where a place draws the pair together. The paper prints no formula; this one is ours.
    A map negative everywhere keeps its order, lifted by its minimum. "Why not class c?": pass c as the target, and
    `shows=difference` for what keeps the query from it."""

    paper: ClassVar[str] = "Tummala & Suresh, Explainable Siamese twin network, 2023, doi 10.1007/s11517-023-02804-3"
    needs: ClassVar[Literal["support"]] = "support"
    distance: Literal["inner", "l2", "cosine"] = "inner"
    """inner: the product of the features as the method compares them, lengths held fixed: how much of the likeness
    does this place carry? l2, cosine: where would more of the map help? Chosen on validation queries of PBC."""
    combine: Literal["mean", "max"] = "mean"
    """Over the supports of the target class. A class with fewer supports than another ends in maps of zeros."""
    shows: Literal["likeness", "difference"] = "likeness"
    """difference: the other sign, what drives the pair apart; for `inner`, a place's share of 1 - cosine."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        parts = [self._part(classifier, *part)[:3] for part in zip(images.split(64), target.split(64), strict=True)]
        return Explanation(*(torch.cat(maps) for maps in zip(*parts, strict=True)))

    def _part(self, classifier: Classifier, images: Tensor, target: Tensor) -> Explanation:
        backbone, supports, apart = classifier.backbone, classifier.support_hidden, self.shows == "difference"
        numbers, real = pairs(classifier, target)
        distance = "apart" if apart and self.distance == "inner" else self.distance
        hidden, sign = backbone.hidden(images), -1 if apart else 1
        found = pair_maps(backbone, classifier.method.compared, hidden, supports, numbers, distance)
        query_side, support_side = (lift(sign * side) * real[..., None, None] for side in found)
        mean = query_side.sum(1) / real.sum(1)[:, None, None]
        return Explanation(query_side.amax(1) if self.combine == "max" else mean, query_side, support_side)
