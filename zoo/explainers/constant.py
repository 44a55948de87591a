"""Floor: the same everywhere, so that metrics take the pixels in their one pseudo-random order."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class Constant(Explainer):
    """Ones. Deletion and its kin break ties pixel by pixel, so this is the floor for maps as fine as the image, as
    `random` is for those on the backbone's grid."""

    paper: ClassVar[str] = "A floor of this project"
    needs: ClassVar[Literal["nothing"]] = "nothing"
    floor: ClassVar[bool] = True

    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        return Explanation(images.new_ones(len(images), *images.shape[2:]))
