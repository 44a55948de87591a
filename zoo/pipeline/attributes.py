"""Attribute heads of a run: fitted on its training split, held against its test items, and asked what they rest on."""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo import registry
from zoo.attribute_heads import Heads, Reading, choose, dealt, fit
from zoo.attributes import HEMAX, Told
from zoo.board import attributes as board
from zoo.cells import Attribute
from zoo.data import attributes as data
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.explaining import Explainer
from zoo.pipeline.device import AtPrecision
from zoo.pipeline.embed import embed
from zoo.pipeline.progress import say
from zoo.pipeline.setup import Setup
from zoo.record import AttributeAnswers, Attributes

METRICS = ("attribute_drop", "attribute_class_drop", "saliency_agreement")
"""Measured beside a benchmark's own wherever the explainer reads attributes."""
PERMUTED = "permuted_attributes"
"""The floor's row in a record"""


class Fitted(NamedTuple):
    """Heads of a run and what they were fitted on."""

    heads: Heads
    permuted: Heads
    told: Told
    """Of the training items"""
    labels: np.ndarray
    """(n,) of the training items: positions among `Setup.all_classes`, -1 of others"""

    @property
    def sha256(self) -> str:
        """Of every weight of the heads."""
        digest = hashlib.sha256()
        for part in (self.heads, self.permuted):
            for tensor in (part.weight, part.bias, part.class_weight, part.class_bias):
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def on(self, backbone: AtPrecision) -> Reading:
        """For an explainer to read."""
        return Reading(backbone, self.heads, self.permuted)


def wanted(explainer: Explainer | None) -> bool:
    """Whether it reads attributes."""
    return explainer is not None and explainer.needs == "attributes"


def fit_heads(setup: Setup, backbone: AtPrecision, key: str) -> Fitted:
    """Heads on the embeddings of the backbone (cached by `key`), from the run's training items alone; how strongly
    they are held back is chosen on its validation items. ZooError where nothing is known of the training items."""
    items, train, held_out = setup.base_items, setup.train_items, setup.validation_items
    told = _of(setup, items, train)
    if not told.defined.any():
        raise ZooError(f"explainer 'attributes': nothing is known of the training items of {items.dataset}")
    say(f"fitting heads of {len(told.attributes)} attributes on {len(train)} training items")
    embeddings, others = (np.asarray(embed(backbone, key, items, part)) for part in (train, held_out))
    c = choose(embeddings, told, others, _of(setup, items, held_out).like(told.attributes))
    names = [setup.items.classes[number] for number in setup.all_classes]
    own = [items.classes[label] for label in items.labels[train]]
    labels = np.array([names.index(name) if name in names else -1 for name in own])
    heads, floor = (
        fit(embeddings, one, labels, len(names), c).to(setup.device.name) for one in (told, dealt(told, setup.seed))
    )
    return Fitted(heads, floor, told, labels)


def permuted(explainer: Explainer) -> Explainer:
    """The floor of an explainer that reads attributes."""
    return registry.explainer("attributes", {"heads": "permuted", "vocabulary": _vocabulary(explainer)})


def reference(setup: Setup) -> Explainer | None:
    """The saliency of the method's own scores: SiamCAM where it compares with supports, else Grad-CAM; None where it
    has neither."""
    names = ("siamcam", "grad_cam")
    fits = (name for name in names if not registry.refusal(type(setup.method), registry.plugin("explainers", name)))  # type: ignore[arg-type]
    name = next(fits, None)
    return registry.explainer(name) if name else None


def block(setup: Setup, found: Fitted, backbone: AtPrecision, key: str, numbers: np.ndarray) -> Attributes:
    """The record's part on attributes: of the items (n,) of its predictions, in their order."""
    attributes = found.told.attributes
    place = np.searchsorted(setup.test_items, numbers)
    embeddings = torch.tensor(np.asarray(embed(backbone, key, setup.items, setup.test_items))[place])
    truth = _of(setup, setup.items, numbers).like(attributes)
    codes = np.where(truth.defined, truth.words + 1, 0)
    classes = np.searchsorted(setup.classes, setup.items.labels[numbers])
    learned = np.isin(np.searchsorted(setup.all_classes, setup.classes), found.labels).all()
    tested = np.searchsorted(setup.all_classes, setup.classes) if learned else None
    made = Attributes(
        words={one.name: list(one.values) for one in attributes},
        truth=_columns(attributes, codes),
        usual={one.name: _commonest(found.told, k, slice(None)) for k, one in enumerate(attributes)},
        usual_of_class={one.name: [
            _commonest(found.told, k, found.labels == label)
            for label in np.searchsorted(setup.all_classes, setup.classes)
        ] for k, one in enumerate(attributes)},
        trained_on=int((found.told.words >= 0).any(1).sum()),
        heads=_answers(found.heads, embeddings, tested),
        permuted=_answers(found.permuted, embeddings, tested),
        figures={},
    )  # fmt: skip
    return made.model_copy(update={"figures": board.figures(made, classes, setup.items.groups[numbers])})


def _answers(heads: Heads, embeddings: Tensor, tested: np.ndarray | None) -> AttributeAnswers:
    heads = heads.to("cpu")
    probabilities = heads.probabilities(embeddings)
    said = heads.words(probabilities)
    words = _columns(heads.attributes, said.numpy())
    if tested is None:
        return AttributeAnswers(words=words, classes=[], changed={})
    classes = heads.classes(said)[:, tested].argmax(1).tolist()
    changed = heads.changed(probabilities)[:, :, tested].argmax(2).numpy()
    return AttributeAnswers(words=words, classes=classes, changed=_columns(heads.attributes, changed))


def _columns(attributes: tuple[Attribute, ...], values: np.ndarray) -> dict[str, list[int]]:
    return {one.name: values[:, number].tolist() for number, one in enumerate(attributes)}


def _commonest(told: Told, number: int, chosen: np.ndarray | slice) -> int:
    """1 + the commonest defined word of an attribute among the chosen items; 0 where there is none."""
    words = told.words[chosen, number][told.defined[chosen, number]]
    return int(np.bincount(words).argmax()) + 1 if len(words) else 0


def _of(setup: Setup, items: Items, numbers: np.ndarray) -> Told:
    """What is known of items, in the explainer's vocabulary; nothing of a dataset without attributes."""
    if data.known(items.dataset):
        told = data.of(items, numbers)
    else:
        attributes = data.of(setup.base_items, setup.train_items[:1]).attributes
        told = Told(attributes, np.full((len(numbers), len(attributes)), -1))
    return told.of(HEMAX) if _vocabulary(setup.explainer) == "hemax" else told


def _vocabulary(explainer: Explainer | None) -> str:
    return getattr(explainer, "vocabulary", "all")
