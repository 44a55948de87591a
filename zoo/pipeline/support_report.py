"""`zoo explain --supports N`: which support image decided, and how far the saliency hangs on single supports."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo import atomic
from zoo.board import exports, statistics
from zoo.board.store import one_line
from zoo.data import banks
from zoo.data.items import Items
from zoo.data.splits import hash64
from zoo.errors import ZooError
from zoo.pipeline import attributes
from zoo.pipeline.explain import Asked, ask
from zoo.pipeline.fit import Clock, features_of, fit, validation_bank
from zoo.pipeline.predict import check_method
from zoo.pipeline.run import on_validation, writable
from zoo.pipeline.scene import Scene
from zoo.pipeline.setup import Setup, setup
from zoo.pipeline.support_page import draw
from zoo.pipeline.support_sensitivity import DRAWS, Sensitivity, spare, support_sensitivity
from zoo.record import Bank, Figure

SHOWN = 5
"""Most sensitive queries in the table and in the picture."""


@dataclass(frozen=True)
class Report:
    """What was found, and where it is written."""

    rows: list[Sensitivity]
    """The one whose saliency changed most first; of equal ones that with the greater fall"""
    figures: dict[str, Figure]
    """Medians over the queries, and the share that one support decides, with the interval of resampling episodes"""
    episodes: int
    written: list[Path]


def report(
    count: int, method: str, explainers: Sequence[str], out: Path, settings: Mapping[str, str] | None = None,
    draws: int = DRAWS, **choices: Any,
) -> Report:  # fmt: skip
    """Write supports.csv and supports.png to the folder `out`: `count` test queries of a benchmark, by one explainer.

    Settings are those of the method, or explainer.key=value; `choices` are those of `zoo.pipeline.setup.setup`. Raises
    ZooError for the first thing that is wrong, before anything is trained.
    """
    if count < 1:
        raise ZooError(f"--supports {count}: give the number of queries, 1 or more")
    if len(explainers) != 1:
        raise ZooError(f"--explainer: --supports takes one at a time, not {len(explainers)}")
    check_method(method)
    writable(out)
    made = setup(method, explainers[0], settings=settings, **choices)
    explainer = made.explainer
    assert explainer is not None
    if explainer.needs == "masks" and made.items.masks is None:
        raise ZooError(f"--explainer {explainers[0]}: {made.items.dataset} has no masks; choose another "
                       "(`zoo list explainers`)")  # fmt: skip
    bank, asked = _asked(made, count)
    found = support_sensitivity(_scene(made, bank), explainer, asked, made.test_items, draws, made.seed)
    episode = np.repeat(np.arange(len(asked)), [len(part.query) for part in asked])
    order = sorted(range(len(found)), key=lambda row: (found[row].worst, -found[row].fall))
    rows = [found[row] for row in order]
    atomic.write(out / "supports.csv", exports.csv([_line(found[row], int(episode[row])) for row in order]).encode())
    images = f"{made.items.dataset}, synthetic images" if made.items.synthetic else made.items.dataset
    shown = rows[:SHOWN]
    named = {name for one in shown for name in (one.item, one.decisive, one.swapped_out, one.swapped_in)}
    pixels = {name: np.asarray(made.items.pixels[made.items.names.index(name)]) for name in named}
    picture = draw(
        shown, pixels, f"{method} + {explainers[0]} on {made.benchmark.name}: what hangs on single supports",
        out / "supports.png", f"{images}; {made.backbone_name}; the {len(shown)} of {len(rows)} queries whose saliency "
        f"changed most in {draws} random swaps each",
    )  # fmt: skip
    return Report(rows, _figures(found, episode), len(asked), [out / "supports.csv", picture])


def table(found: Report) -> RenderableType:
    """The figures over all queries, and the most sensitive queries."""
    figures = Table("over the queries", "", "95 % interval")
    for name, one in found.figures.items():
        interval = f"{one.low:.3f} to {one.high:.3f}" if found.episodes > 1 else "-"
        figures.add_row(name, f"{one.value:.3f}", interval)
    rows = Table()
    for name in ("item", "deciding support", "class without it"):
        rows.add_column(name, overflow="fold")
    for name in ("fall", "worst", "median", "best"):
        rows.add_column(name, justify="right", no_wrap=True)
    for one in found.rows[:SHOWN]:
        changed = _plain(one.without) if one.without != one.predicted else Text("the same", "dim")
        numbers = (f"{value:.3f}" for value in (one.fall, one.worst, one.median, one.best))
        rows.add_row(_plain(one.item), _plain(one.decisive), changed, *numbers)
    episodes = f"{found.episodes} episodes" if found.episodes > 1 else "1 episode"
    several = ", which the intervals resample" if found.episodes > 1 else ": too few for an interval"
    return Group(
        Text(f"{len(found.rows)} queries of {episodes}{several}"), figures, Text(),
        Text("the most sensitive: fall of the predicted class's probability without the deciding support, and rank "
             "correlation of the saliency after the worst, median and best swap of a support"), rows,
    )  # fmt: skip


def _plain(name: str) -> Text:
    return Text(one_line(name))


def _figures(found: Sequence[Sensitivity], episode: np.ndarray) -> dict[str, Figure]:
    """Queries of one episode share its supports, so that whole episodes are resampled."""

    def median(name: str) -> Figure:
        return statistics.median_interval([getattr(one, name) for one in found], episode)

    decided = [float(one.without != one.predicted) for one in found]
    return {
        "median fall without the deciding support": median("fall"),
        "share whose class is another without it": statistics.mean_interval(decided, episode),
        "median rank correlation, worst swap": median("worst"),
        "median rank correlation, median swap": median("median"),
        "median rank correlation, best swap": median("best"),
    }


def _line(one: Sensitivity, episode: int) -> dict[str, Any]:
    return {
        "item": one.item, "episode": episode, "truth": one.truth, "predicted": one.predicted,
        "probability": one.probability, "decisive": one.decisive, "fall": one.fall, "without": one.without,
        "worst": one.worst, "median": one.median, "best": one.best, "swapped_out": one.swapped_out,
        "swapped_in": one.swapped_in,
    }  # fmt: skip


def _asked(made: Setup, count: int) -> tuple[Bank, list[Asked]]:
    """The bank and the queries. What may be swapped in are test images, as the supports are: the method never trained
    on them. Everything that would stop the work halfway is found here."""
    if made.benchmark.bank.shot < 2:
        raise ZooError(f"--supports leaves supports out one by one, and {made.benchmark.name} has 1 a class; choose a "
                       "benchmark with 2 or more (`zoo list benchmarks`)")  # fmt: skip
    bank = banks.draw(made.items, made.test_items, made.bank_spec, made.classes)
    banks.audit(bank, made.items, made.test_items)
    asked = ask(bank, count)
    if (found := sum(len(part.query) for part in asked)) < count:
        raise ZooError(f"--supports {count}: the benchmark's bank has {found} to explain; give {found} or fewer")
    if bank.spec.kind == "all":
        asked = [set_aside(made.items, part) for part in asked]
    for part in asked:
        for label in range(len(part.episode.classes)):
            spare(made.items, part.episode, label, made.test_items)
    return bank, asked


def set_aside(items: Items, asked: Asked) -> Asked:
    """The same queries of the episode, without half of those of each class that nobody asks about.

    An `all` bank asks about every test image that is no support, so that none would be left to swap in. Duplicates
    leave together; those of an asked query stay.
    """
    episode, query = asked
    groups = items.groups[episode.query]
    rest = np.flatnonzero(~np.isin(groups, groups[query]))
    first = rest[np.unique(groups[rest], return_index=True)[1]]
    ranked = np.array(sorted(first, key=lambda place: hash64("set aside", items.names[episode.query[place]])), np.int64)
    leaving = []
    for label in range(len(episode.classes)):
        own = ranked[episode.query_labels[ranked] == label]
        leaving.append(own[: math.ceil(len(own) / 2)])
    stay = np.flatnonzero(~np.isin(groups, groups[np.concatenate(leaving)]))
    kept = episode._replace(query=episode.query[stay], query_labels=episode.query_labels[stay])
    return Asked(kept, np.searchsorted(stay, query))


def _scene(made: Setup, bank: Bank) -> Scene:
    """The method fitted as for a record, with its temperature, so that probabilities are those of the record."""
    fitted = fit(made, bank if made.method.transductive else None, Clock())
    validation = validation_bank(made)
    if validation and not made.method.transductive:
        seen = features_of(made.method, fitted.backbone, fitted.key, made.base_items, made.validation_items)
        fitted = replace(fitted, validation_features=seen)
    told = attributes.fit_heads(made, fitted.backbone, fitted.key) if attributes.wanted(made.explainer) else None
    return Scene(
        fitted.backbone, made.method, fitted.state, made.items, made.all_classes,
        on_validation(made, fitted, validation)[0], torch.zeros(3, device=made.device.name), fitted.features, made.seed,
        told and told.on(fitted.backbone), made.benchmark.marked,
    )  # fmt: skip
