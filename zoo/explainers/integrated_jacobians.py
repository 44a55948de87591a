"""Integrated Jacobians: the similarity of query and support, integrated from an empty image and shared among places."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import baseline, compared, pairs, toward_supports
from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class IntegratedJacobians(Explainer):
    """Moeller et al., 2023, with their sum over the other image's places done: with f the features as the method
    compares them and r the maps of an empty image, (f(a) - f(r)) (f(b) - f(r)) is the sum over places of (a - r) times
    the gradient of f (f(b) - f(r)), averaged on the way from r to a. Through `embed` alone, on any backbone."""

    paper: ClassVar[str] = "Moeller et al., An Attribution Method for Siamese Encoders, EMNLP 2023, arXiv 2310.05703"
    needs: ClassVar[Literal["support"]] = "support"
    steps: int = 16
    """Points on the way, each a pass through `embed`."""
    baseline: Literal["mean", "black"] = "mean"
    """The empty image: the query's mean colour, or black."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        parts = [self.shares(classifier, *part) for part in zip(images.split(8), target.split(8), strict=True)]
        query, support = (torch.cat(side) for side in zip(*parts, strict=True))
        return toward_supports(query, pairs(classifier, target)[1], support)

    def shares(self, classifier: Classifier, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The signed shares of the places of queries and of supports, (n, s, h, w) each."""
        numbers = pairs(classifier, target)[0]
        s = numbers.shape[1]
        whole = images, baseline(images, self.baseline)
        query, empty = (classifier.backbone.hidden(side).repeat_interleave(s, 0) for side in whole)
        support = classifier.support_hidden[numbers.flatten()]
        a, b, r = (compared(classifier, hidden) for hidden in (query, support, empty))
        sides = self._integrated(classifier, empty, query, b - r), self._integrated(classifier, empty, support, a - r)
        return sides[0].unflatten(0, (-1, s)), sides[1].unflatten(0, (-1, s))

    def _integrated(self, classifier: Classifier, start: Tensor, end: Tensor, along: Tensor) -> Tensor:
        total = torch.zeros_like(end)
        for step in range(self.steps):
            point = start.lerp(end, (step + 0.5) / self.steps).requires_grad_()
            with torch.enable_grad():
                total += torch.autograd.grad((compared(classifier, point) * along).sum(), point)[0]
        return classifier.backbone.grid((end - start) * total / self.steps).sum(1)
