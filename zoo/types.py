"""The words that need torch: Backbone and Method, in its kinds. Imports nothing of zoo.

Shapes: n items, c channels, h x w places of the grid, H x W pixels, d embedding dimensions, k supports.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

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
    views: int = 1
    """How often each layer runs for one image"""

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

    def trunk(self, images: Tensor) -> Tensor:
        """Everything before the last block, which `tail` and `embed` hold: `tail(trunk(images)) == hidden(images)`."""
        return self.hidden(images)

    def tail(self, trunk: Tensor) -> Tensor:
        """The rest of the way to `hidden`."""
        return trunk

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """Maps from the finest to the coarsest, each (n, c, h, w), for what finds things in images; one alone where the
        network has but one scale."""
        return [self.grid(self.hidden(images))]

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
    isometric: ClassVar[bool] = False
    """True where, without a state, scores depend on features by their inner products alone, whatever their number of
    dimensions: then a bank that asks for the same items again and again is scored in far fewer dimensions."""

    @property
    def trains(self) -> bool:
        """Whether training images are seen before any episode is drawn."""
        return False

    @property
    def adapts(self) -> bool:
        """Whether the backbone itself changes in each episode: see `Adapting`."""
        return False

    @property
    def reads_training(self) -> bool:
        """Whether `from_training` is to be given the embeddings of the training images."""
        return False

    def from_training(self, features: Tensor) -> nn.Module | None:
        """A state that follows from the embeddings (n, d) of the training images alone, without their labels."""
        return None

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
    assumes_balance: ClassVar[bool] = False
    """True where the method expects about as many queries of each class, and errs where that is not so."""

    @abstractmethod
    def fit_queries(self, state: nn.Module | None, support: Support, query: Tensor) -> Any:
        """Parameters of ONE episode from its supports and its queries' features (q, d). Pure."""

    def fit(self, state: nn.Module | None, support: Support) -> Any:
        """Without queries the supports stand in for them."""
        return self.fit_queries(state, support, support.features)


@runtime_checkable
class FromProducts(Protocol):
    """A method whose scores need inner products alone, of the items with the mean support of each class: where a bank
    asks for the same items again and again, these are taken for all of them at once."""

    def from_products(self, means: Tensor, squares: Tensor, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Scores (e, way, q) of e episodes, as `fit` and `scores` give them, from the inner products (e, way, n) of the
        mean supports with all n items, those (n,) of the items with themselves, the numbers of the supports (e, k) and
        their labels (e, k), sorted, and the numbers of the queries (e, q)."""
        ...


@runtime_checkable
class Among(Protocol):
    """A transductive method that takes an episode's images by their numbers: where nearly every item is a query of
    every episode, products with the features of all items are then taken for many episodes at once."""

    def fit_among(self, items: Tensor, seen: Tensor | None, labels: Tensor, way: int) -> Any:
        """As `Transductive.fit_queries`, from features of items (n, d) and the numbers of those of the episode
        (k + q,), supports first, sorted by their labels (k,); None: all in their order."""
        ...


@dataclass(frozen=True)
class Adapting(Method):
    """A method that changes the backbone's own weights in each episode."""

    mappable: ClassVar[bool] = False

    @property
    def adapts(self) -> bool:
        return True

    @property
    def keeps_trunk(self) -> bool:
        """Whether `adapt` looks at images through `Backbone.trunk` alone and leaves that as it is: then cached trunks
        can stand in for images."""
        return False

    @abstractmethod
    def adapt(
        self, backbone: Backbone, state: nn.Module | None, images: Tensor, labels: Tensor, random: torch.Generator
    ) -> tuple[Backbone, Any]:
        """A changed copy of the backbone (the given one stays as it is) and the parameters for `scores`, from the
        support images (k, 3, H, W) of one episode and their labels (k,), 0..way-1, sorted."""


@dataclass(frozen=True)
class Learned(Method):
    """A method that trains the backbone on the training split before any episode is drawn."""

    judges: ClassVar[tuple[str, ...]] = ()
    """Settings that change how queries are judged and nothing of the training: rows that differ in them share one."""

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
    patience: int = 0
    """Epochs without a better accuracy on episodes of validation items after which training stops, and the best
    epoch is kept; 0 = every epoch runs and the last is kept."""

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def state(self, dim: int, classes: int) -> nn.Module | None:
        """Learned parts beside the backbone (a linear head, a relation module), freshly initialised."""
        return None

    def beside(self, backbone: Backbone, classes: int) -> nn.Module | None:
        """`state` for a backbone. Only methods that learn something of every weight (step sizes) replace it."""
        return self.state(backbone.dim, classes)

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
