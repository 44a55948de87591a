"""Floor: uniform noise on the backbone's own grid."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.attribution import generator
from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class Random(Explainer):
    """One number in 0..1 a place, as coarse as the maps of the explainers it stands beside: noise at every pixel
    destroys texture and wins deletion unfairly. Drawn from the seed and the image's content, whatever the batch."""

    paper: ClassVar[str] = "A floor of this project"
    needs: ClassVar[Literal["nothing"]] = "nothing"
    floor: ClassVar[bool] = True

    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        height, width = classifier.backbone.grid(classifier.support_hidden[:1]).shape[2:]
        noise = torch.stack([torch.rand(height, width, generator=generator(image, seed)) for image in images])
        return Explanation(noise.to(images.device))
