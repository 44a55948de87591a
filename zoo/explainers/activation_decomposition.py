"""Activation decomposition: the similarity of query and support as a sum over pairs of their places."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, cat, einsum, no_grad

from zoo.attribution import allowed, pairs, pooled_is_embedding, toward_supports
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.types import Backbone


@dataclass(frozen=True)
class ActivationDecomposition(Explainer):
    """Zhu et al., 2021; Stylianou et al., WACV 2019, arXiv 1901.00536: where embeddings are means of the maps A and B,
    cos(q, s) = sum over places i, j of <A_i, B_j> / (|q| |s| (hw)^2)."""

    paper: ClassVar[str] = "Zhu et al., Visual Explanation for Deep Metric Learning, IEEE TIP 2021, arXiv 1909.12977"
    needs: ClassVar[Literal["support"]] = "support"
    point: Literal["all", "peak"] = "all"
    """all: a place's share with all of the other image; peak: with the place alone that has the largest such share."""

    def refuses(self, backbone: Backbone) -> str | None:
        return None if pooled_is_embedding(backbone) else "its embedding is not the mean of its maps"

    @no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        allowed(self, classifier.backbone)
        parts = (self.shares(classifier, *part) for part in zip(images.split(8), target.split(8), strict=True))
        query, support = (cat(side) for side in zip(*map(self._sides, parts), strict=True))
        return toward_supports(query, pairs(classifier, target)[1], support)

    def shares(self, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        """(n, s, h, w, h', w'): of each place of the query with each of each support. A slice is a point's own map."""
        both = classifier.backbone.hidden(images), classifier.support_hidden
        query, support = (_local(classifier.backbone.grid(hidden).float()) for hidden in both)
        return einsum("nchw,nscij->nshwij", query, support[pairs(classifier, target)[0]])

    def _sides(self, shares: Tensor) -> tuple[Tensor, Tensor]:
        query, support = shares.sum((4, 5)), shares.sum((2, 3))
        if self.point == "all":
            return query, support
        of_query, of_support = (side.flatten(2).argmax(2)[:, :, None, None, None] for side in (query, support))
        at_support = shares.flatten(4).take_along_dim(of_support, 4).squeeze(4)
        return at_support, shares.flatten(2, 3).take_along_dim(of_query, 2).squeeze(2)


def _local(maps: Tensor) -> Tensor:
    return maps / (maps.mean((2, 3), keepdim=True).norm(dim=1, keepdim=True) * maps[0, 0].numel()).clamp_min(1e-12)
