"""From what the user typed to what is run: benchmark, items, split, backbone, method, all checked before any work."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from zoo import registry
from zoo.attribution import allowed
from zoo.data import attributes, card, cell_benchmark, load, splits
from zoo.data import benchmark as benchmarks
from zoo.data.benchmark import Benchmark
from zoo.data.items import Items, View
from zoo.data.splits import Split, hash64
from zoo.errors import ZooError, unknown
from zoo.explaining import Explainer
from zoo.pipeline import cache
from zoo.pipeline.device import Device, choose
from zoo.pipeline.explain import check
from zoo.pipeline.progress import say
from zoo.pipeline.views import looks, turned
from zoo.record import BankSpec, settings_hash
from zoo.types import Backbone, Learned, Method
from zoo.weights import seen, sha256

DEFAULT_BENCHMARKS = ("pbc_8way_5shot", "smear_8way_5shot")
"""The first whose dataset is there is run when none is named."""
ADAPTING_EPISODES = 50
"""How many episodes of a bank are run where each of them trains the backbone anew."""


@dataclass(frozen=True)
class Setup:
    """One row to be measured."""

    benchmark: Benchmark
    items: Items
    """What is tested"""
    classes: np.ndarray
    """Dataset-wide numbers of the benchmark's classes, ascending"""
    base_items: Items
    """What is trained and validated on: the very same `items`, unless the benchmark names another dataset"""
    base_classes: np.ndarray
    """Dataset-wide numbers of the classes of training, ascending"""
    split: Split
    """Of `base_items`"""
    method_name: str
    method: Method
    explainer_name: str | None
    explainer: Explainer | None
    backbone_name: str
    """With the number of views, where there are several"""
    backbone: Backbone
    """Of one view, as it is trained"""
    views: int
    """From how many sides the trained backbone looks at an image"""
    weights: str
    weights_sha256: str
    weights_seen: frozenset[str]
    """Labelled items that made the weights, `dataset/item`"""
    seed: int
    device: Device

    @property
    def train_names(self) -> list[str]:
        """The items that the method trains on, `dataset/item`; none of a method that does not train."""
        chosen = self.train_items if self.method.trains else ()
        return [f"{self.base_items.dataset}/{self.base_items.names[number]}" for number in chosen]

    @property
    def labels_seen(self) -> int:
        """Labelled training images behind the row, those of its starting weights among them."""
        return len(self.weights_seen.union(self.train_names))

    @property
    def train_items(self) -> np.ndarray:
        """Numbers of the base items that the method may train on, ascending."""
        train = self._base(self.split.train)
        budget = self.method.labels_per_class if isinstance(self.method, Learned) else 0
        if not budget:
            return train
        ranks = np.array([hash64("labels", self.base_items.names[number]) for number in train], np.uint64)
        order = train[np.argsort(ranks, kind="stable")]
        kept = [order[self.base_items.labels[order] == label][:budget] for label in self.base_classes]
        return np.sort(np.concatenate(kept))

    @property
    def validation_items(self) -> np.ndarray:
        """Numbers of the base items that settings are chosen on, ascending."""
        return self._base(self.split.validation)

    @property
    def test_items(self) -> np.ndarray:
        """Numbers of the items of the bank, ascending: the test split, and everything of novel classes."""
        every = np.flatnonzero(np.isin(self.items.labels, self.classes))
        if self.base_items is not self.items:
            return every
        novel = ~np.isin(self.items.labels[every], self.base_classes)
        return every[novel | np.isin(every, self.split.test)]

    @property
    def all_classes(self) -> np.ndarray:
        """Numbers of the classes of `items` that are tested or trained on, ascending."""
        own = self.base_classes if self.base_items is self.items else self.classes
        return np.union1d(self.classes, own)

    @property
    def items_sha256(self) -> str:
        """Of every image that the row depends on, beside the backbone's."""
        if self.base_items is self.items:
            return self.items.sha256
        return settings_hash(self.items.sha256, self.base_items.sha256)

    @property
    def bank_spec(self) -> BankSpec:
        """The benchmark's bank; of a method that adapts the backbone in each episode its first few episodes."""
        spec = self.benchmark.bank
        most = ADAPTING_EPISODES if self.method.adapts else spec.episodes
        return spec.model_copy(update={"episodes": min(spec.episodes, most)})

    def _base(self, numbers: np.ndarray) -> np.ndarray:
        return numbers[np.isin(self.base_items.labels[numbers], self.base_classes)]


def setup(
    method: str,
    explainer: str | None = None,
    benchmark: str | None = None,
    dataset: str | None = None,
    way: int | None = None,
    shot: int | None = None,
    bank: str | None = None,
    episodes: int | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    settings: Mapping[str, str] | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> Setup:
    """Resolve every name, read the data and the weights. Raises ZooError for the first thing that is wrong.

    What is quick to check comes first: a typing error is never found after a download or the packing of images.
    """
    for_method, for_explainer = settings_of(method, explainer, settings or {})
    built_method = registry.method(method, for_method)
    built_explainer = registry.explainer(explainer, for_explainer) if explainer else None
    if explainer and built_explainer:
        check(built_method, built_explainer, (method, explainer))
    check_seed(seed)
    where = choose(device, precision)
    chosen = choose_benchmark(benchmark, dataset, way, shot, bank, episodes)
    if built_explainer and built_explainer.needs == "attributes":
        attributes.check(chosen.train_dataset or chosen.dataset)
    load.listed(chosen.dataset, view(chosen))
    if chosen.train_dataset:
        load.listed(chosen.train_dataset)
    if chosen.novel and isinstance(built_method, Learned) and not built_method.uses_support:
        raise ZooError(
            f"--method {method}: it knows only the classes it trained on, and {chosen.name} tests on others; "
            "choose a method that uses supports (`zoo list methods`)"
        )
    name = backbone or chosen.backbone
    own, views = looks(name, built_method.adapts, method)
    network, label, digest = load_backbone(own, weights, seed)
    seen_from = turned(network, views)
    if built_explainer:
        allowed(built_explainer, seen_from)
    items = load.load(chosen.dataset, view(chosen))
    base = load.load(chosen.train_dataset) if chosen.train_dataset else items
    made = Setup(
        benchmark=chosen,
        items=items,
        classes=chosen.class_numbers(items),
        base_items=base,
        base_classes=chosen.train_class_numbers(base),
        split=splits.split(base, chosen.train_per_class, chosen.validation_per_class),
        method_name=method,
        method=built_method,
        explainer_name=explainer,
        explainer=built_explainer,
        backbone_name=name,
        backbone=network,
        views=views,
        weights=label,
        weights_sha256=digest,
        weights_seen=seen(Path(weights)) if weights and digest else frozenset(),
        seed=seed,
        device=where,
    )
    _unseen(made)
    return made


def _unseen(made: Setup) -> None:
    """ZooError where the starting weights were trained on what is tested or validated here."""
    held = ((made.items, made.test_items), (made.base_items, made.validation_items))
    names = {f"{items.dataset}/{items.names[number]}" for items, numbers in held for number in numbers}
    if both := len(made.weights_seen & names):
        raise ZooError(
            f"--weights {made.weights}: trained on {both} images that {made.benchmark.name} tests or validates on; "
            f"make them with `zoo train --benchmark {made.benchmark.name} --out FILE.safetensors`"
        )


def settings_of(method: str, explainer: str | None, given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """`key=value` belongs to the method where it has such a field, `explainer.key=value` always to the explainer."""
    own = {field.name for field in fields(registry.plugin("methods", method))}
    if not explainer:
        return dict(given), {}
    theirs = {field.name for field in fields(registry.plugin("explainers", explainer))}
    for_method, for_explainer = {}, {}
    for key, text in given.items():
        if key.startswith(f"{explainer}."):
            for_explainer[key.split(".", 1)[1]] = text
        elif key in own:
            for_method[key] = text
        elif key in theirs:
            for_explainer[key] = text
        else:
            look = f"zoo list methods {method}` or `zoo list explainers {explainer}"
            raise unknown(f"setting of {method} and {explainer}", key, own | theirs, look)
    return for_method, for_explainer


def choose_benchmark(
    name: str | None = None,
    dataset: str | None = None,
    way: int | None = None,
    shot: int | None = None,
    bank: str | None = None,
    episodes: int | None = None,
) -> Benchmark:
    """The benchmark named, or one put together from its parts, or the first default whose dataset is here."""
    for key, value, least in (("way", way, 2), ("shot", shot, 1), ("episodes", episodes, 1)):
        if value is not None and value < least:
            raise ZooError(f"--{key} {value}: give {least} or more")
    parts: dict[str, Any] = {"way": way, "shot": shot, "bank": bank}
    free = {key: value for key, value in parts.items() if value is not None}
    if name is not None:
        if dataset is not None or free or episodes is not None:
            raise ZooError("--benchmark fixes dataset, way, shot, bank and episodes; leave those out, or --benchmark")
        if name in cell_benchmark.names():
            models = ", ".join(registry.names("cell_models"))
            raise ZooError(f"--benchmark {name}: it tests models that find cells in fields: --method {models}")
        return benchmarks.benchmark(name)
    if dataset is None:
        name = next(name for name in DEFAULT_BENCHMARKS if load.present(benchmarks.benchmark(name).dataset))
        dataset = benchmarks.benchmark(name).dataset
        if name == DEFAULT_BENCHMARKS[0]:
            say(f"benchmark {name}: no benchmark was named, and PBC is present")
        else:
            say(f"benchmark {name}: no benchmark was named, and PBC is not here (`zoo data get pbc`); synthetic cells")
        if not free and episodes is None:
            return benchmarks.benchmark(name)
    return benchmarks.ad_hoc(dataset, episodes=episodes, **free)


def view(benchmark: Benchmark) -> View:
    """How the benchmark's images are cut and resized: its own word, then the card's, then that for own data."""
    own = card.read(benchmark.dataset) if benchmark.dataset in load.cards() else load.OWN_VIEW
    return View(benchmark.crop or own.crop, benchmark.side or own.side)


def check_seed(seed: int) -> None:
    """ZooError for a seed that a generator does not take."""
    if not 0 <= seed < 1 << 32:
        raise ZooError(f"--seed {seed}: give a whole number, 0 to {(1 << 32) - 1}")


def load_backbone(name: str, weights: str | None, seed: int) -> tuple[Backbone, str, str]:
    """The network, a word for its weights, and their hash (empty for random ones)."""
    if weights is not None and weights != "none":
        file = Path(weights)
        digest = sha256(file)
        return registry.backbone(name, file, seed=seed), file.name, digest
    network = registry.backbone(name, None, pretrained=weights is None, seed=seed)
    if weights == "none" or name in registry.own("backbones"):
        return network, "random", ""
    origin = type(network).__module__.split(".")[0]
    return network, "timm" if origin == "zoo" else origin, cache.state_sha256(network)


def command(method: str, explainer: str | None = None, **choices: Any) -> str:
    """The command line that makes the row again; files by their names alone."""
    words = ["zoo", "run", "--method", method] + (["--explainer", explainer] if explainer else [])
    defaults = {"seed": 0, "device": "auto", "precision": "auto"}
    for key, value in choices.items():
        if key == "settings":
            words += [word for name, text in (value or {}).items() for word in ("--set", f"{name}={text}")]
        elif value is not None and value != defaults.get(key):
            words += [f"--{key}", Path(value).name if key in ("weights", "dataset") else str(value)]
    return shlex.join(words)
