"""One explainer and the floors on a bank: the explanation part of a record."""

from dataclasses import asdict
from typing import Any

from torch import Tensor

from zoo import registry
from zoo.board import statistics
from zoo.pipeline.cases import to_show
from zoo.pipeline.explain import THRESHOLD_QUERIES, Asked, ask, cached_score, metrics_for, metrics_of
from zoo.pipeline.fit import Fitted
from zoo.pipeline.scene import Scene
from zoo.pipeline.setup import Setup
from zoo.record import Bank, ExplanationRow, Explanations
from zoo.types import Explainer


def explanations_of(
    setup: Setup, scene: Scene, fitted: Fitted, bank: Bank, validation: Bank | None
) -> tuple[Explanations, list[Asked]]:
    """The rows of the asked explainer, the floors and the ceiling, on the same queries; and those worth a picture."""
    asked = ask(bank, setup.benchmark.explained)
    on_validation = ask(validation, THRESHOLD_QUERIES) if validation else []
    metrics = metrics_for(
        setup.benchmark.explanation_metrics, setup.benchmark.steps, setup.items, bool(on_validation)
    )
    beside = [name for name in registry.usable("explainers") if _beside(name, setup.items.masks is not None)]
    names = [setup.explainer_name or "", *beside]
    found: dict[str, tuple[Explainer, dict[str, Any]]] = {}
    key = (fitted.sha256, setup.items.sha256, bank.sha256, validation.sha256 if validation else "", repr(setup.method),
           setup.benchmark.explained, setup.device.name, setup.device.precision, scene.temperature)  # fmt: skip
    shared: list[dict[str, Tensor]] = [{} for _ in asked]
    for name in dict.fromkeys(names):
        explainer = setup.explainer if name == setup.explainer_name else registry.explainer(name)
        assert explainer is not None
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
            settings=asdict(explainer), floor=explainer.floor, values=scored["values"], figures=figures,
            against_random=against, seconds=scored["seconds"],
        )  # fmt: skip
    items = [setup.items.names[number] for number in numbers]
    first = found[names[0]][1]
    explanations = Explanations(
        items=items, correct=first["correct"], steps=setup.benchmark.steps, temperature=scene.temperature, rows=rows
    )
    return explanations, to_show(asked, first["correct"], first["confidence"])


def _beside(name: str, masks: bool) -> bool:
    """Whether it stands beside every explainer: the floors, and the ceiling where there are masks."""
    explainer: Any = registry.plugin("explainers", name)
    return explainer.floor or (masks and explainer.needs == "masks")
