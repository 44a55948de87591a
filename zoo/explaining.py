"""The words of explaining: Classifier, Explainer and what it gives, and the metrics of that.

Shapes: n images of H x W pixels, h x w places of the grid.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from zoo.types import Backbone, Method, Support


@dataclass(frozen=True)
class Classifier:
    """A method fitted to one episode, on top of the backbone: images -> scores."""

    backbone: Backbone
    method: Method
    params: Any
    support: Support
    support_hidden: Tensor
    """`backbone.hidden` of the support images, in the order of `support`."""
    attributes: Any = None
    """`zoo.attribute_heads.Reading`: heads that tell attributes from the backbone; None where nobody fitted any"""

    def from_hidden(self, hidden: Tensor) -> Tensor:
        """Scores (n, way) of hidden tensors."""
        return self.method.scores(self.params, self.method.features(self.backbone, hidden))

    def __call__(self, images: Tensor) -> Tensor:
        """Scores (n, way) of images (n, 3, H, W) in 0..1."""
        return self.from_hidden(self.backbone.hidden(images))


class Explanation(NamedTuple):
    """Where the evidence is. Higher means more evidence for the target class."""

    saliency: Tensor
    """(n, h, w), at any resolution; pipeline and metrics upsample it bilinearly to the image."""
    per_support: Tensor | None = None
    """(n, shot, h, w): the same, towards each support of the target class, in the order of `support`."""
    support_saliency: Tensor | None = None
    """(n, shot, h, w): where each support of the target class resembles the query."""
    per_attribute: Tensor | None = None
    """(n, attributes, h, w): evidence for the word that the image gets of each attribute."""


@dataclass(frozen=True)
class Explainer(ABC):
    """Says where a classifier looked. Fields are settings; their defaults are the only source of truth."""

    paper: ClassVar[str]
    needs: ClassVar[
        Literal["gradient", "pixels", "support", "scores", "maps", "attention", "masks", "attributes", "nothing"]
    ]
    """gradient: of the scores with respect to the maps; pixels: the same with respect to the image, through the whole
    backbone; support: a method that compares embeddings with those of its supports; scores: the scores of any method;
    maps, attention: the backbone's alone, whatever the method and the target; masks: the real mask, a ceiling;
    attributes: heads that tell attributes from the backbone's embedding, of any method, on datasets that have them;
    nothing: a floor that never looks at the classifier's scores."""
    floor: ClassVar[bool] = False
    costly: ClassVar[bool] = False
    """True where an image costs dozens of passes through the backbone, or more."""

    @abstractmethod
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        """Explain why each image (n, 3, H, W) in 0..1 would be its target class (n,) long, 0..way-1."""

    def explain_with(
        self, classifier: Classifier, images: Tensor, target: Tensor, seed: int, masks: Tensor | None
    ) -> Explanation:
        """As `explain`, for a caller that may have real masks (n, H, W) bool: only what needs them looks at them."""
        return self.explain(classifier, images, target, seed)

    def refuses(self, backbone: Backbone) -> str | None:
        """Why the explanation is not defined on this backbone, as half a sentence; None where it is."""
        return None


class Drops(NamedTuple):
    """What is lost with the pixels that carry the attributes."""

    attribute: Tensor
    """(n,) fall of the probability of the image's words, mean over the attributes"""
    target: Tensor
    """(n,) fall of the probability of the target, mean over the attributes"""


@dataclass(frozen=True)
class Explained:
    """A batch of explained images, with all that an explanation metric may look at."""

    images: Tensor
    """(n, 3, H, W) in 0..1"""
    saliency: Tensor
    """(n, H, W)"""
    target: Tensor
    """(n,) long: the explained (predicted) class, 0..way-1"""
    probability: Callable[[Tensor, Tensor], Tensor]
    """(images (m, 3, H, W), target (m,)) -> softmax probability of the target, (m,), at the temperature
    fitted on validation items"""
    masks: Tensor | None
    """(n, H, W) bool, true on the cell; None where the dataset has no real masks"""
    fill: Tensor
    """(3,) mean colour of the training images"""
    threshold: float | None
    """Saliency quantile above which a pixel counts as marked; chosen on validation items"""
    pseudo_threshold: float | None = None
    """The same, chosen against Otsu's masks of validation items instead of real ones"""
    per_support: Tensor | None = None
    """(n, shot, H, W): saliency towards each support of the target class, where the explainer gives it"""
    likeness: Callable[[Tensor, Tensor], Tensor] | None = None
    """(images (m, 3, H, W), target (m,)) -> cosine similarity to each support of the target class (m, shot), of the
    features as the method compares them; NaN where the class has fewer supports"""
    explain: Callable[[Tensor, Tensor], Tensor] | None = None
    """(images (m, 3, H, W), target (m,)) -> saliency (m, H, W) of the same explainer and classifier"""
    randomised: Callable[[Literal["weights", "labels"]], Tensor] | None = None
    """Saliency (n, H, W) of these images and targets when the backbone's weights, or the labels of the supports, are
    shuffled, anew for each image"""
    drops: Callable[[], Drops] | None = None
    """What the attributes and the class lose with the most salient pixels; None without attribute heads"""
    reference: Callable[[], Tensor] | None = None
    """Saliency (n, H, W) of the classifier's own scores, to compare others with"""
    shared: dict[str, Tensor] = field(default_factory=dict)
    """What does not depend on the saliency, kept for other metrics and other explainers of the same queries"""
    own: dict[str, Tensor] = field(default_factory=dict, init=False)
    """The same of what is as large as images: for other metrics alone, so that memory stays flat over many queries"""

    def once(self, name: str, compute: Callable[[], Tensor], large: bool = False) -> Tensor:
        """What is kept under this name, computed where it is not there yet."""
        kept = self.own if large else self.shared
        if name not in kept:
            kept[name] = compute()
        return kept[name]


@dataclass(frozen=True)
class ExplanationMetric(ABC):
    """One number per explained image."""

    about: ClassVar[
        Literal["faithfulness", "localisation", "robustness", "randomisation", "complexity", "attributes"]
    ]
    """What it judges: whether the saliency is what the classifier used; lies on the cell; stays under tiny changes of
    the image; follows the classifier's weights and labels; is sparse; or is about the attributes."""
    higher_is_better: ClassVar[bool]
    needs_masks: ClassVar[bool] = False
    needs_threshold: ClassVar[bool] = False
    """True where a quantile of the saliency has to be chosen on validation items."""
    needs_heads: ClassVar[bool] = False
    """True where heads that tell attributes must have been fitted."""
    costly: ClassVar[bool] = False
    """True where the explainer has to run again, several times: left out for explainers that are costly themselves."""
    leaves_out: ClassVar[tuple[str, ...]] = ()
    """Names of explainers that it would not be fair to."""
    ranked: ClassVar[bool] = True
    """False where its numbers may be shown, but nothing may be called better by them."""
    shuffles: ClassVar[str] = ""
    """Name of the metric that it takes of the saliency made with shuffled weights: an explainer that is worse than a
    floor by this one has beaten the floor by that one without the weights."""

    @abstractmethod
    def measure(self, explained: Explained) -> Tensor:
        """(n,) floats."""
