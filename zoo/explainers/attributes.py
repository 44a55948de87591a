"""Attributes: what the cell looks like in words, and where the words that argue for the class come from."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribute_heads import Reading, evidence
from zoo.attribution import lift
from zoo.errors import ZooError
from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class Attributes(Explainer):
    """Each attribute's evidence is the Grad-CAM of the word it is given, positive part, scaled to a sum of one, and
    counts as much as the word argues for the class: what it adds to the class's score in a logistic regression on the
    words alone, above the other classes and the usual cell, where that is positive. A word with evidence nowhere counts
    nothing; where none is left, as of a class that the regression never saw, all count alike. Heads are fitted on the
    training split. The words are HemaX's and WBCAtt's, the map is our own. Raises ZooError where nobody fitted heads.
    """

    paper: ClassVar[str] = "Pal et al., HemaX, ISBI 2024, arXiv 2310.13279; Tsutsui et al., WBCAtt, NeurIPS 2023"
    needs: ClassVar[Literal["attributes"]] = "attributes"
    vocabulary: Literal["all", "hemax"] = "all"
    """all: every attribute that the dataset has; hemax: the five of HemaX alone."""
    heads: Literal["fitted", "permuted"] = "fitted"
    """permuted: a floor, fitted on attributes that were dealt to the training items at random."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        reading = classifier.attributes
        if not isinstance(reading, Reading):
            raise ZooError("explainer 'attributes' needs attribute heads: use it through `zoo run` on pbc or smear")
        heads = reading.heads if self.heads == "fitted" else reading.permuted
        maps, probabilities = evidence(heads, reading.backbone, reading.backbone.hidden(images))
        arguments = heads.arguments(heads.words(probabilities), classifier.support.classes[target])
        weights = arguments.relu() * maps.amax((2, 3)).gt(0)
        weights = torch.where(weights.any(1, keepdim=True), weights, torch.ones_like(weights))
        maps = lift(maps)
        shares = maps / maps.sum((2, 3), keepdim=True).clamp_min(1e-12)
        return Explanation((weights[..., None, None] * shares).sum(1), per_attribute=maps)
