"""Attribute class drop: how far the class loses probability without the pixels of its attributes; higher is better."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.errors import ZooError
from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class AttributeClassDrop(ExplanationMetric):
    """As `attribute_drop`, of the method's own probability of the predicted class: whether the method looks at the
    pixels that carry the attributes; -1..1, mean over the attributes' maps.

    Raises ZooError without attribute heads.
    """

    about: ClassVar[Literal["attributes"]] = "attributes"
    higher_is_better: ClassVar[bool] = True
    needs_heads: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        if explained.drops is None:
            raise ZooError("attribute_class_drop needs attribute heads: use `zoo run --explainer attributes`")
        return explained.drops().target
