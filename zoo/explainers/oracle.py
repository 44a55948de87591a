"""Ceiling: the real mask, where a dataset has masks."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class Oracle(Explainer):
    """1 on nucleus and cytoplasm, 0 elsewhere: perfect in localisation by definition, and what a map of the cell
    alone is worth in faithfulness. Raises ZooError where the dataset has no masks."""

    paper: ClassVar[str] = "A ceiling of this project"
    needs: ClassVar[Literal["masks"]] = "masks"

    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        raise ZooError("explainer 'oracle' needs cell masks: use a dataset that has them (`zoo list datasets`)")

    def explain_with(
        self, classifier: Classifier, images: Tensor, target: Tensor, seed: int, masks: Tensor | None
    ) -> Explanation:
        return self.explain(classifier, images, target, seed) if masks is None else Explanation(masks.float())
