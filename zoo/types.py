"""The words that need torch: Backbone, Method, Classifier, Explainer, Metric. Imports nothing of zoo.

Shapes: n items, c channels, h x w places of the grid, H x W pixels, d embedding dimensions, k supports.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A network cut in two once, so that no explainer needs a hook.

    Images are floats in 0..1, (n, 3, H, W), at any size; normalisation is the backbone's own business.
    """

    name: str
    dim: int
    mean_pooled: bool
    """True where `embed(hidden) == neck(grid(hidden).mean((2, 3)))`: then CAMs have a closed form."""

    def hidden(self, images: Tensor) -> Tensor:
        """The last tensor that still has a place for every region of the image."""
        raise NotImplementedError

    def embed(self, hidden: Tensor) -> Tensor:
        """The rest of the network: hidden -> embedding (n, d)."""
        raise NotImplementedError

    def grid(self, hidden: Tensor) -> Tensor:
        """`hidden`, or a gradient with respect to it, as (n, c, h, w)."""
        raise NotImplementedError

    def neck(self, pooled: Tensor) -> Tensor:
        """What follows the mean over places, (n, c) -> (n, d), where `mean_pooled`."""
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        return self.embed(self.hidden(images))


class Support(NamedTuple):
    """The labelled items of one episode, sorted by label."""

    features: Tensor
    """(k, d), or (k, c, h, w) where `Method.input` is "maps"."""
    labels: Tensor
    """(k,) long, 0..way-1"""
    classes: Tensor
    """(way,) long: number of each of the episode's classes among those of the benchmark, as in `Learned.loss`"""


@dataclass(frozen=True)
class Method(ABC):
    """A few-shot method. Fields are its hyper-parameters; their defaults are the only source of truth."""

    paper: ClassVar[str]
    """Authors, title, venue, year, identifier."""
    input: ClassVar[Literal["embedding", "maps"]] = "embedding"
    """What `features` are: embeddings (n, d), or the backbone's maps (n, c, h, w)."""
    transductive: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    """False where `scores` has no useful gradient with respect to the features."""
    mappable: ClassVar[bool] = True
    """False where `fit` leaves torch, so that episodes cannot go through `torch.func.vmap` together."""
    uses_support: ClassVar[bool] = True
    """False for a control that ignores the support set."""

    @property
    def trains(self) -> bool:
        """Whether training images are seen before any episode is drawn."""
        return False

    @property
    def adapts(self) -> bool:
        """Whether the backbone itself changes in each episode: see `Adapting`."""
        return False

    @abstractmethod
    def fit(self, state: nn.Module | None, support: Support) -> Any:
        """Parameters of ONE episode, as a NamedTuple of tensors. Pure; never sees a query label."""

    @abstractmethod
    def scores(self, params: Any, features: Tensor) -> Tensor:
        """Scores (n, way) of features (n, d); the highest wins. Pure."""

    def features(self, backbone: Backbone, hidden: Tensor) -> Tensor:
        """What `fit` and `scores` see of hidden tensors."""
        return (backbone.embed(hidden) if self.input == "embedding" else backbone.grid(hidden)).float()

    def compared(self, features: Tensor) -> Tensor:
        """The features as this method compares them (normalised, centred ...), (n, d) -> (n, d)."""
        return features


@dataclass(frozen=True)
class Transductive(Method):
    """A method that sees all the queries of an episode together, never their labels.

    `scores` judges an image with everything else frozen, so that for the queries given to `fit_queries` it returns
    the method's own answer, and for any other image what the same episode would say of it.
    """

    transductive: ClassVar[bool] = True

    @abstractmethod
    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> Any:
        """Parameters of ONE episode from its supports and its queries' features (q, d). Pure."""

    def fit(self, state: nn.Module | None, support: Support) -> Any:
        """Without queries the supports stand in for them."""
        return self.fit_queries(state, support, support.features)


@dataclass(frozen=True)
class Adapting(Method):
    """A method that changes the backbone's own weights in each episode."""

    mappable: ClassVar[bool] = False

    @property
    def adapts(self) -> bool:
        return True

    @abstractmethod
    def adapt(
        self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Backbone, Any]:
        """A changed copy of the backbone (the given one stays as it is) and the parameters for `scores`, from the
        support images (k, 3, H, W) of one episode and their labels (k,), 0..way-1, sorted."""


@dataclass(frozen=True)
class Learned(Method):
    """A method that trains the backbone on the training split before any episode is drawn."""

    epochs: int = 20
    """Rounds through the training images; 0 = the backbone as it is given."""
    batch: int = 64
    """Images a step."""
    rate: float = 1e-3
    """Highest learning rate of the one-cycle schedule."""
    decay: float = 1e-2
    """Weight decay of AdamW."""
    labels_per_class: int = 0
    """Training images per class that may be seen; 0 = all of the training split."""

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def state(self, dim: int, classes: int) -> nn.Module | None:
        """Learned parts beside the backbone (a linear head, a relation module), freshly initialised."""
        return None

    @abstractmethod
    def batches(self, labels: np.ndarray, epoch: int, random: np.random.Generator) -> Iterator[np.ndarray]:
        """Index arrays into the training items, one a step, for this epoch."""

    @abstractmethod
    def loss(self, state: nn.Module | None, features: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of one batch: features (n, d) in the order `batches` gave, and their classes (n,)."""

    def objective(self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor) -> Tensor:
        """Scalar whose gradient one training step follows; images (n, 3, H, W) augmented. Only methods that train
        through an inner loop (MAML and its kin) replace it."""
        return self.loss(state, self.features(backbone, backbone.hidden(images)), labels)


@dataclass(frozen=True)
class Classifier:
    """A method fitted to one episode, on top of the backbone: images -> scores."""

    backbone: Backbone
    method: Method
    params: Any
    support: Support
    support_hidden: Tensor
    """`backbone.hidden` of the support images, in the order of `support`."""

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


@dataclass(frozen=True)
class Explainer(ABC):
    """Says where a classifier looked. Fields are settings; their defaults are the only source of truth."""

    paper: ClassVar[str]
    needs: ClassVar[Literal["gradient", "support", "nothing"]]
    """gradient: a differentiable head; support: a method that compares with supports, differentiably;
    nothing: a floor that never looks at the classifier's scores."""
    floor: ClassVar[bool] = False

    @abstractmethod
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        """Explain why each image (n, 3, H, W) in 0..1 would be its target class (n,) long, 0..way-1."""


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


@dataclass(frozen=True)
class ExplanationMetric(ABC):
    """One number per explained image."""

    higher_is_better: ClassVar[bool]
    needs_masks: ClassVar[bool] = False

    @abstractmethod
    def measure(self, explained: Explained) -> Tensor:
        """(n,) floats."""
