"""A fitted method on its dataset: classifiers for episodes, images, masks, probabilities."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from zoo.attribute_heads import Reading
from zoo.data.benchmark import Marked
from zoo.data.items import Items
from zoo.explaining import Classifier, Explainer
from zoo.pipeline.adapt import adapt
from zoo.pipeline.device import AtPrecision
from zoo.pipeline.evaluate import fitted, support_of
from zoo.pipeline.train import as_images
from zoo.record import Episode
from zoo.types import Adapting, Method


@dataclass(frozen=True)
class Scene:
    """All that stays the same while episodes and explainers change."""

    backbone: AtPrecision
    method: Method
    state: nn.Module | None
    items: Items
    classes: np.ndarray
    """Dataset-wide numbers of the classes that are tested or trained on"""
    temperature: float
    fill: Tensor
    """(3,) mean colour of the training images"""
    features: Tensor
    """(items, ...) what the method sees of each item; only a transductive method's queries are looked up here"""
    seed: int = 0
    """Of what is random where an episode adapts the backbone"""
    reading: Reading | None = None
    """Heads that tell attributes; fitted where the explainer needs them"""
    marked: Marked = "cell"
    """What of the real masks saliency should lie on"""
    reference: Explainer | None = None
    """What `Explained.reference` comes from"""
    adapted: dict[bytes, Classifier] = field(init=False, repr=False, compare=False, default_factory=dict)
    """Those of episodes met before: explainers come to the same few episodes again and again"""

    @torch.no_grad()
    def classifier(self, episode: Episode) -> Classifier:
        """The method fitted to the episode's support images."""
        images = self.images(episode.support)
        if isinstance(self.method, Adapting) and self.method.adapts:
            return self._adapted(self.method, episode, images)
        hidden = self.backbone.hidden(images)
        support = support_of(episode, self.method.features(self.backbone, hidden), self.classes)
        query = support.features[:0]
        if self.method.transductive:
            query = self.features[torch.as_tensor(episode.query, device=self.features.device)].float()
        params = fitted(self.method, self.state, support, query)
        return Classifier(self.backbone, self.method, params, support, hidden, self.heads)

    @property
    def heads(self) -> Reading | None:
        """The heads on this scene's backbone. A method that adapts it in each episode is read before it does."""
        return self.reading and self.reading._replace(backbone=self.backbone)

    def _adapted(self, method: Adapting, episode: Episode, images: Tensor) -> Classifier:
        key = episode.support.tobytes()
        if key not in self.adapted:
            labels = torch.as_tensor(episode.support_labels, device=images.device)
            backbone, params = adapt(method, self.backbone, self.state, images, labels, self.seed, episode.support)
            hidden = backbone.hidden(images)
            support = support_of(episode, method.features(backbone, hidden), self.classes)
            self.adapted[key] = Classifier(backbone, method, params, support, hidden, self.heads)
        return self.adapted[key]

    def images(self, numbers: np.ndarray) -> Tensor:
        """Items (n,) as images (n, 3, H, W) in 0..1."""
        return as_images(self.items.pixels[numbers], self.backbone.device)

    def masks(self, numbers: np.ndarray) -> Tensor | None:
        """(n, H, W) bool: the cell, or the part of it that is `marked`; None where the dataset has no masks."""
        if self.items.masks is None:
            return None
        parts = {"cell": (1, 2), "nucleus": (2,), "cytoplasm": (1,)}[self.marked]
        return torch.from_numpy(np.isin(self.items.masks[numbers], parts)).to(self.backbone.device.name)

    @torch.no_grad()
    def scores(self, classifier: Classifier, images: Tensor) -> Tensor:
        """(n, way), over the temperature that was fitted on validation items: ready for a softmax."""
        return classifier(images) / self.temperature

    def probability(self, classifier: Classifier) -> Callable[[Tensor, Tensor], Tensor]:
        """Softmax probability of each image's target class: (n, 3, H, W), (n,) -> (n,)."""
        return lambda images, target: self.scores(classifier, images).softmax(1).gather(1, target[:, None]).squeeze(1)
