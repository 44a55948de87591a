"""What a run of a cell model needs, from names: benchmark, fields, folds, model, backbone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from zoo import registry
from zoo.cell_model import CellModel, FieldKind
from zoo.data import card, cell_benchmark
from zoo.data.attributes import parts
from zoo.data.cell_benchmark import CellBenchmark
from zoo.data.fields import folds, load
from zoo.data.fields.table import Fields
from zoo.pipeline.device import Device, choose
from zoo.pipeline.setup import check_seed, load_backbone
from zoo.record import settings_hash
from zoo.types import Backbone


@dataclass(frozen=True)
class CellSetup:
    """All that one run needs."""

    benchmark: CellBenchmark
    fields: Fields
    fold: np.ndarray
    """(n,) fold of each field"""
    model_name: str
    model: CellModel
    backbone_name: str
    weights: str
    weights_file: str | None
    weights_sha256: str
    seed: int
    device: Device

    def tested(self, number: int) -> np.ndarray:
        """Numbers of the fields of a fold, ascending."""
        return np.flatnonzero(self.fold == number)

    def trained(self, number: int) -> np.ndarray:
        """Numbers of the fields that the model of a fold may see, ascending."""
        return np.flatnonzero(~np.isin(self.fold, (number, *self.benchmark.aside)))

    def kind(self, number: int) -> FieldKind:
        """Of the training fields of a fold; what is tested is not looked at."""
        height, width = self.fields.pixels.shape[1:3]
        most = max((len(self.fields.cells[field].labels) for field in self.trained(number)), default=0)
        words = tuple(len(attribute.values) for attribute in self.fields.attributes)
        classes, masks, pretrained = len(self.fields.classes), self.fields.drawn is not None, bool(self.weights_sha256)
        return FieldKind(classes, words, height, width, masks, most, pretrained)

    def backbone(self) -> Backbone:
        """The starting backbone, fresh for each fold."""
        return load_backbone(self.backbone_name, self.weights_file, self.seed)[0]

    @property
    def key(self) -> str:
        """Hash of every choice of a training but its fields."""
        made = (self.model_name, asdict(self.model), self.backbone_name, self.weights_sha256, self.seed)
        return settings_hash(*made, self.fields.sha256, self.device.name, self.device.precision)


def setup(
    method: str,
    benchmark: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    settings: Mapping[str, str] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> CellSetup:
    """Resolve every name, read the fields and the weights. ZooError for the first thing that is wrong; what is quick to
    check comes first."""
    model = registry.build("cell_models", method, settings)
    check_seed(seed)
    where = choose(device, precision)
    chosen = cell_benchmark.read(benchmark or "smear_fields")
    name = backbone or chosen.backbone
    load.listing(card.read(chosen.dataset))
    network, label, digest = load_backbone(name, weights, seed)
    del network
    fields = load.load(chosen.dataset, chosen.side)
    fold = parts(fields.names, fields.groups) if chosen.published else folds.folds(fields, chosen.folds)
    return CellSetup(
        benchmark=chosen, fields=fields, fold=fold, model_name=method, model=model,
        backbone_name=name, weights=label, weights_file=weights, weights_sha256=digest, seed=seed, device=where,
    )  # fmt: skip
