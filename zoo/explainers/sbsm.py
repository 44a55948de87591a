"""SBSM: how far the query moves away from its supports while a square moves over it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.attribution import BATCH, Baseline, baseline, compared, pairs, toward_supports, windows
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.ops import distances


@dataclass(frozen=True)
class SBSM(Explainer):
    """Dong et al., 2019: each pixel's mean growth of the distance to a support, over the squares that cover it. A
    query that every square brings nearer keeps its order, lifted by its minimum."""

    paper: ClassVar[str] = "Dong et al., Explainability for Content-Based Image Retrieval, CVPR Workshops 2019"
    needs: ClassVar[Literal["support"]] = "support"
    costly: ClassVar[bool] = True
    cells: int = 12
    """Steps of the square along a side; it is two steps wide."""
    distance: Literal["l2", "cosine"] = "l2"
    """Between the features as the method compares them."""
    baseline: Baseline = "mean"
    """What the square shows: the image's mean colour, its blurred copy, or black."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        squares = windows(images.shape[2:], self.cells).to(images)
        numbers, real = pairs(classifier, target)
        supports = classifier.method.compared(classifier.support.features)[numbers]
        found = []
        for image, empty, own in zip(images, baseline(images, self.baseline), supports, strict=True):
            occluded = (torch.lerp(image, empty, part.unsqueeze(1)) for part in squares.split(BATCH))
            away = torch.cat([self._away(classifier, part, own) for part in (image[None], *occluded)])
            found.append(torch.einsum("ms,mhw->shw", away[1:] - away[:1], squares) / squares.sum(0))
        return toward_supports(torch.stack(found), real)

    def _away(self, classifier: Classifier, images: Tensor, supports: Tensor) -> Tensor:
        features = compared(classifier, classifier.backbone.hidden(images))
        if self.distance == "l2":
            return distances(features, supports)
        return 1 - F.cosine_similarity(features[:, None], supports, dim=2)
