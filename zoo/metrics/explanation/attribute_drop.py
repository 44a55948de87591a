"""Attribute drop: how far the words lose probability without the pixels that carry them; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class AttributeDrop(ExplanationMetric):
    """Comprehensiveness (DeYoung et al., ERASER, ACL 2020) of attributes: p(word) - p(word, when the top fifth of the
    pixels has the mean colour of the training images), mean over the attributes, each by its own evidence map where
    the explainer has them, else all by the one map; -1..1. What is asked are the fitted heads, of every row.

    Raises ZooError without attribute heads.
    """

    about: ClassVar[Literal["attributes"]] = "attributes"
    higher_is_better: ClassVar[bool] = True
    needs_heads: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.drops is None:
            raise ZooError("attribute_drop needs attribute heads: use it through `zoo run --explainer attributes`")
        return explained.drops().attribute
