"""Attention rollout: how much of each patch reaches the embedding of a vision transformer."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import allowed, attention, attentions
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.types import Backbone


@dataclass(frozen=True)
class AttentionRollout(Explainer):
    """Abnar & Zuidema, 2020: product over the blocks of (W + I) / 2, W the mean attention over heads. The class token's
    row of it, or the mean over patches where those are pooled. The target plays no part."""

    paper: ClassVar[str] = "Abnar & Zuidema, Quantifying Attention Flow in Transformers, ACL 2020, arXiv 2005.00928"
    needs: ClassVar[Literal["attention"]] = "attention"

    def refuses(self, backbone: Backbone) -> str | None:
        return None if attentions(backbone) else "it has no attention, as only plain vision transformers have"

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        allowed(self, classifier.backbone)
        sides = classifier.backbone.grid(classifier.backbone.hidden(images[:1])).shape[2:]
        rows = [self._patches(classifier.backbone, part, sides.numel()) for part in images.split(32)]
        return Explanation(torch.cat(rows).unflatten(1, sides))

    def _patches(self, backbone: Backbone, images: Tensor, patches: int) -> Tensor:
        blocks = attention(backbone, images)
        itself = torch.eye(blocks[0].shape[1], device=images.device)
        flow = itself
        for weights in blocks:
            flow = (weights + itself) / 2 @ flow
        return (flow[:, -patches:].mean(1) if backbone.mean_pooled else flow[:, 0])[:, -patches:]
