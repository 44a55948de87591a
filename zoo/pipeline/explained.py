"""One explainer and the floors on a bank: the explanation part of a record."""

from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from zoo import registry
from zoo.board import statistics
from zoo.explaining import Explainer
from zoo.pipeline import attributes
from zoo.pipeline.cases import to_show
from zoo.pipeline.explain import THRESHOLD_QUERIES, Asked, ask, cached_score, metrics_for, metrics_of
from zoo.pipeline.fit import Fitted
from zoo.pipeline.scene import Scene
from zoo.pipeline.setup import Setup
from zoo.record import Bank, ExplanationRow, Explanations


def explanations_of(
    setup: Setup, scene: Scene, fitted: Fitted, bank: Bank, validation: Bank | None,
    told: attributes.Fitted | None = None,
) -> tuple[Explanations, list[Asked]]:
    """The rows of the asked explainer, the floors and the ceiling, on the same queries; and those worth a picture."""
    asked = ask(bank, setup.benchmark.explained)
    on_validation = ask(validation, THRESHOLD_QUERIES) if validation else []
    asked_for = dict.fromkeys((*setup.benchmark.explanation_metrics, *attributes.METRICS))
    if scene.reference is None:
        asked_for.pop("saliency_agreement", None)
    metrics = metrics_for([*asked_for], setup.benchmark.steps, setup.items, bool(on_validation), told is not None)
    beside = [name for name in registry.usable("explainers") if _beside(name, setup.items.masks is not None)]
    beside += [attributes.PERMUTED] if told else []
    names = [setup.explainer_name or "", *beside]
    found: dict[str, tuple[Explainer, dict[str, Any]]] = {}
    key = (fitted.sha256, setup.items.sha256, bank.sha256, validation.sha256 if validation else "", repr(setup.method),
           setup.benchmark.explained, setup.benchmark.marked, setup.device.name, setup.device.precision,
           scene.temperature)  # fmt: skip
    key += (told.sha256,) if told else ()
    shared: list[dict[str, Tensor]] = [{} for _ in asked]
    for name in dict.fromkeys(names):
        assert setup.explainer is not None
        if name == attributes.PERMUTED:
            explainer = attributes.permuted(setup.explainer)
        else:
            explainer = setup.explainer if name == setup.explainer_name else registry.explainer(name)
        own = metrics_of(name, explainer, metrics)
        found[name] = explainer, cached_score(
            key, scene, explainer, asked, on_validation, own, setup.seed, name, shared
        )
    higher = {name: metric.higher_is_better for name, metric in metrics.items()}
    random = found["random"][1]["values"]
    numbers = [number for part in asked for number in part.episode.query[part.query]]
    rows = {}
    for name, (explainer, scored) in found.items():
        rival = None if name == "random" else random
        figures, against = statistics.explanation_figures(scored["values"], rival, higher, setup.items.groups[numbers])
        rows[name] = ExplanationRow(
            settings=asdict(explainer), floor=explainer.floor or name == attributes.PERMUTED, values=scored["values"],
            figures=figures, against_random=against, seconds=scored["seconds"],
        )  # fmt: skip
    items = [setup.items.names[number] for number in numbers]
    first = found[names[0]][1]
    queried = np.unique(np.concatenate([episode.query for episode in bank.episodes]))
    explanations = Explanations(
        items=items, correct=first["correct"], steps=setup.benchmark.steps, temperature=scene.temperature, rows=rows,
        attributes=attributes.block(setup, told, fitted.backbone, fitted.key, queried) if told else None,
    )  # fmt: skip
    return explanations, to_show(asked, first["correct"], first["confidence"])


def _beside(name: str, masks: bool) -> bool:
    """Whether it stands beside every explainer: the floors, and the ceiling where there are masks."""
    explainer: Any = registry.plugin("explainers", name)
    return explainer.floor or (masks and explainer.needs == "masks")
