"""Grad-CAM: feature maps weighted by the gradient of the target's score, averaged over places."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.types import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class GradCAM(Explainer):
    """Selvaraju et al., 2017, equations 1 and 2, at the last tensor that still has places; the gradient goes through
    `embed` alone. All zeros where every place speaks against the target, as published: with `of=score` common for
    distances, where a longer embedding is farther from every class: an offset that no softmax sees, and that
    `of=margin` cancels. Margin was the better on validation queries of PBC."""

    paper: ClassVar[str] = "Selvaraju et al., Grad-CAM, ICCV 2017, arXiv 1610.02391"
    needs: ClassVar[Literal["gradient"]] = "gradient"
    of: Literal["margin", "score"] = "margin"
    """margin: the target's score minus the mean of all classes'; score: the target's own, as published."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        parts = zip(images.split(32), target.split(32), strict=True)
        return Explanation(torch.cat([_cam(classifier, *part, self.of) for part in parts]))


def _cam(classifier: Classifier, images: Tensor, target: Tensor, of: str) -> Tensor:
    grid = classifier.backbone.grid
    hidden = classifier.backbone.hidden(images).detach().requires_grad_()
    with torch.enable_grad():
        scores = classifier.from_hidden(hidden)
        explained = scores.gather(1, target.unsqueeze(1)).sum()
        if of == "margin":
            explained = explained - scores.mean(1).sum()
        (gradient,) = torch.autograd.grad(explained, hidden)
    weights = grid(gradient).float().mean((2, 3), keepdim=True)
    return (weights * grid(hidden.detach()).float()).sum(1).relu()
