"""Records made up for the tests of the board: figures follow from the values, as after a real run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.board import statistics
from zoo.record import BankSpec, ExplanationRow, Explanations, Predictions, Provenance, Record

PROTOCOL = "b" * 64
BETTER = {"deletion": False, "insertion": True, "saliency_jaccard": True, "pointing_game": True}


def predictions(
    truth: Sequence[int],
    episodes: Sequence[tuple[Sequence[int], Sequence[int]]],
    groups: Sequence[int] | None = None,
) -> Predictions:
    """From the class of each item and, for each episode, its queried items and their predicted classes."""
    return Predictions.pack(
        [f"cell/{number:04}.jpg" for number in range(len(truth))],
        np.array(truth),
        np.arange(len(truth)) if groups is None else np.array(groups),
        [len(query) for query, _ in episodes],
        np.array([number for query, _ in episodes for number in query]),
        np.array([number for _, found in episodes for number in found]),
    )


def drawn(seed: int, share: float, classes: int = 2, items: int = 20, episodes: int = 4) -> Predictions:
    """Every item queried in every episode, right with probability `share`."""
    random = np.random.default_rng(seed)
    truth = np.arange(items) % classes
    found = [np.where(random.random(items) < share, truth, (truth + 1) % classes) for _ in range(episodes)]
    return predictions(truth.tolist(), [(range(items), row.tolist()) for row in found])


def explained(
    names: Sequence[str], items: Sequence[str], seed: int = 0, groups: np.ndarray | None = None
) -> Explanations:
    """Rows for explainers; `random` is the floor and every other one is better by 0.2."""
    random = np.random.default_rng(seed)
    noise = {metric: random.uniform(0.3, 0.5, len(items)) for metric in BETTER}
    rows = {}
    for name in names:
        shift = 0.0 if name == "random" else 0.2
        values = {m: (noise[m] + (shift if better else -shift)).tolist() for m, better in BETTER.items()}
        floor = {metric: noise[metric].tolist() for metric in BETTER}
        figures, against = statistics.explanation_figures(values, None if name == "random" else floor, BETTER, groups)
        rows[name] = ExplanationRow(
            settings={}, floor=name == "random", values=values, figures=figures, against_random=against, seconds=1.5
        )
    return Explanations(items=list(items), correct=[True] * len(items), steps=10, temperature=1.0, rows=rows)


def record(seed: int = 0, share: float = 0.9, explainer: str | None = "siamcam", **changes: Any) -> Record:
    """A record of a made-up benchmark with two classes; `changes` replace fields of it or of its provenance."""
    classes = changes.pop("classes", ["basophil", "platelet"])
    found = changes.pop("predictions", None) or drawn(seed, share, len(classes))
    bank = BankSpec(kind="all", way=len(classes), shot=5, episodes=len(found.lengths))
    figures, by_class = statistics.figures(found, classes, bank)
    made = dict(
        command="zoo run", benchmark_sha256=PROTOCOL, item_set_sha256="1" * 64, bank_sha256="2" * 64, weights="none",
        weights_sha256="3" * 64, trained_sha256="5" * 64, code_sha256="4" * 64, versions={"numpy": "2"}, device="cpu",
        precision="float32", threads=1, seconds={"train": 90.0, "embed": 2.5}, peak_memory_mb=512.0,
        created="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    made |= {name: changes.pop(name) for name in list(changes) if name in Provenance.model_fields}
    fields = dict(
        benchmark="toy_2way_5shot", dataset="toy", subset=None, synthetic=False, classes=classes, bank=bank,
        method="stn", method_settings={"margin": 1.0}, transductive=False, explainer=explainer, backbone="conv4",
        image_size=84, seed=seed, labels_seen=250, predictions=found, figures=figures, class_accuracy=by_class,
        validation_accuracy=0.95, provenance=Provenance.model_validate(made),
        explanations=(
            explained([explainer, "random"], found.items[:6], seed, np.array(found.groups[:6])) if explainer else None
        ),
    )  # fmt: skip
    return Record.model_validate(fields | changes)
