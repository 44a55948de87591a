"""LRP: the score handed back layer by layer, each input getting its share of the output."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.attribution import ScoreExplainer, Scoring, attributed, chain
from zoo.types import Backbone


@dataclass(frozen=True)
class LRP(ScoreExplainer):
    """Bach et al., 2015: rule gamma (Montavon et al., 2019) for convolutions, with their batch normalisation folded
    in; what follows the maps is replaced by its gradient. The positive part of the sum over colours. Captum knows
    relevance in layers alone, not in a sum of two branches, so only a plain chain of layers is explained."""

    paper: ClassVar[str] = "Bach et al., Layer-Wise Relevance Propagation, 2015, doi 10.1371/journal.pone.0130140"
    needs: ClassVar[Literal["pixels"]] = "pixels"
    gamma: float = 0.25
    """How far positive weights are favoured, biases never; 0: rule epsilon."""

    def refuses(self, backbone: Backbone) -> str | None:
        from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS

        if (found := chain(backbone)) is None:
            return "its layers are no plain chain"
        kinds = {type(layer) for layer in found[1]} - {*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS}
        strange = {kind.__name__ for kind in kinds}
        return f"there is no rule for {', '.join(sorted(strange))}" if strange else None

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        _, gradient = scoring.maps_and_gradient(images, target)
        backbone = scoring.rewritten().backbone
        pairs = zip(images.split(1), gradient.split(1), strict=True)
        return torch.cat([self._relevance(backbone, *pair) for pair in pairs]).sum(1).relu()

    def _relevance(self, backbone: Backbone, image: Tensor, gradient: Tensor) -> Tensor:
        from captum.attr import LRP
        from captum.attr._utils.lrp_rules import GammaRule

        start, layers = chain(backbone, image) or (image, [])
        head = nn.utils.skip_init(nn.Conv2d, gradient.shape[1], 1, gradient.shape[2:], bias=False)
        head.weight.data = gradient
        for layer in (layer for layer in layers if isinstance(layer, nn.Conv2d)):
            setattr(layer, "rule", GammaRule(self.gamma))  # noqa: B010 - where captum looks for it
        return attributed(LRP(nn.Sequential(*layers, head)).attribute, start)
