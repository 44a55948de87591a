"""Contrast CAM: where the query resembles its class more than it resembles the others."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import lift, pairs, toward_supports
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.ops import one_hot, pair_maps


@dataclass(frozen=True)
class ContrastCAM(Explainer):
    """Each place's share of the likeness to the supports of the target class, as `siamcam` has it, less its share of
    the likeness to those of other classes: that there is a cell draws a query to every class alike, and cancels. Over
    a mean of maps the signed shares sum to the difference of the mean cosines. The question, why this and not that, is
    the paper's; the formula is ours. The supports' own maps are those of `siamcam`."""

    paper: ClassVar[str] = "Prabhushankar et al., Contrastive explanations, ICIP 2020, arXiv 2008.00178"
    needs: ClassVar[Literal["support"]] = "support"
    against: Literal["others", "next"] = "others"
    """others: all other classes, each as much; next: the one with the highest score."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        parts = [self._part(classifier, *part)[:3] for part in zip(images.split(64), target.split(64), strict=True)]
        return Explanation(*(torch.cat(maps) for maps in zip(*parts, strict=True)))

    def _part(self, classifier: Classifier, images: Tensor, target: Tensor) -> Explanation:
        supports, labels, way = classifier.support_hidden, classifier.support.labels, len(classifier.support.classes)
        hidden = classifier.backbone.hidden(images)
        every = torch.arange(len(labels), device=labels.device).expand(len(images), -1)
        found = pair_maps(classifier.backbone, classifier.method.compared, hidden, supports, every, "inner")
        own, member = one_hot(target, way), one_hot(labels, way)
        rivals = 1 - own
        if self.against == "next":
            rivals = one_hot(classifier.from_hidden(hidden).masked_fill(own > 0, -torch.inf).argmax(1), way)
        weights = rivals / rivals.sum(1, keepdim=True) @ (member / member.sum(0)).T
        numbers, real = pairs(classifier, target)
        query, support = (side.take_along_dim(numbers[..., None, None], 1) for side in found)
        signed, inside = query - torch.einsum("nk,nkhw->nhw", weights, found[0]).unsqueeze(1), real[..., None, None]
        # Of the class as a whole the signed maps are averaged before they are lifted: their sum is the difference.
        mean = (signed * inside).sum(1) / inside.sum(1)
        return toward_supports(signed, real, support)._replace(saliency=lift(mean))
