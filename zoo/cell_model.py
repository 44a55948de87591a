"""The contract of cell models: a field goes in, its cells come out. What a model is given and what it hands back.

Shapes: b fields of H x W pixels, k cells in a field.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from zoo.cells import Cells
from zoo.types import Backbone


class FieldKind(NamedTuple):
    """What all fields of a training have in common."""

    classes: int
    attributes: tuple[int, ...]
    """Number of words of each attribute"""
    height: int
    width: int
    masks: bool
    """Whether the true cells have masks"""
    most: int
    """Most true cells in one training field"""
    pretrained: bool = False
    """Whether the backbone starts from weights that were learned elsewhere"""


@dataclass(frozen=True)
class CellModel(ABC):
    """Fields are hyper-parameters; their defaults are the only source of truth.

    Of true cells a model takes what there is: no masks (boxes alone), no cells at all, attributes of -1 (not known, no
    part of any loss). It never changes what it is given, and draws only from torch's global generator, which the
    pipeline seeds anew for each epoch.
    """

    paper: ClassVar[str] = ""
    """Authors, title, venue, year, identifier; empty for one of our own"""

    epochs: int = 30
    """Rounds through the training fields; 0 = prepared only."""
    batch: int = 8
    """Fields a step."""
    rate: float = 1e-3
    """Highest learning rate of the one-cycle schedule."""
    decay: float = 1e-2
    """Weight decay of AdamW."""
    backbone_rate: float = 1.0
    """Learning rate of the backbone, as a part of `rate`; 0 = the backbone stays as it is."""
    clip: float = 0.0
    """Longest gradient, longer ones are scaled down to it; 0 = as they are."""

    @abstractmethod
    def network(self, kind: FieldKind, backbone: Backbone, seed: int) -> nn.Module:
        """All that learns, freshly initialised, with the backbone as its part `backbone`. Its `state_dict` holds
        everything that `find` needs, and has the same shapes before and after training."""

    @abstractmethod
    def prepare(self, network: nn.Module, fields: Iterable[tuple[Tensor, Sequence[Cells]]]) -> None:
        """Once, before the first epoch: everything that no gradient step can do, from batches of training fields
        (images (b, 3, H, W) in 0..1 and their true cells), in an order that is always the same. A model without
        gradients (`epochs` = 0) learns everything here and reads all batches; others may stop after a few."""

    def groups(self, network: nn.Module) -> list[dict]:
        """Parameter groups of the optimiser, with the highest learning rate of each."""
        slow = {id(parameter) for parameter in getattr(network, "backbone", nn.Module()).parameters()}
        found: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in network.parameters():
            if parameter.requires_grad:
                found[id(parameter) in slow].append(parameter)
        rates = {True: self.rate * self.backbone_rate, False: self.rate}
        return [{"params": part, "lr": rates[kind]} for kind, part in found.items() if part and rates[kind] > 0]

    @abstractmethod
    def loss(self, network: nn.Module, images: Tensor, truth: Sequence[Cells]) -> Tensor:
        """Scalar whose gradient one training step follows; the network is in train mode, images (b, 3, H, W) are
        floats in 0..1, already augmented together with their cells."""

    @abstractmethod
    def find(self, network: nn.Module, images: Tensor) -> list[Cells]:
        """The cells of each field (b, 3, H, W), the network in eval mode, without gradients. Masks are always there,
        (k, H, W), no pixel in two cells; every attribute has one of its words; boxes lie in the field."""
