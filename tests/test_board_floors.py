"""Which explainers beat the floors: signs, sentences and paired differences."""

import numpy as np
import pytest
from records import record

from zoo.board import explained_tables, floors
from zoo.board.explained import Block, about, meaning
from zoo.board.rows import Board
from zoo.record import ExplanationRow, Figure
from zoo.registry import own

IMAGES = 60
LEVELS = {"centre": 1.0, "otsu": 2.0, "random": 0.0, "good": 3.0, "between": 1.5, "bad": 0.5, "oracle": 9.0}
FLOORS = ("centre", "otsu", "random")


def block(metrics: dict[str, float], lacking: dict[str, str] | None = None, names: tuple[str, ...] = ()) -> Block:
    """Rows at `LEVELS` of every metric; metric -> 1 where higher is better, -1 where lower is.

    lacking: explainer -> a metric that it lacks.
    """
    random = np.random.default_rng(0)
    rows = []
    for name in names or tuple(LEVELS):
        kept = [metric for metric in metrics if (lacking or {}).get(name) != metric]
        values = {m: (metrics[m] * (LEVELS[name] + 0.1 * random.normal(size=IMAGES)) / 10).tolist() for m in kept}
        figures = {m: Figure(value=float(np.mean(found)), low=0, high=0) for m, found in values.items()}
        rows.append((name, ExplanationRow(
            settings={}, floor=name in FLOORS, values=values, figures=figures, against_random={}, seconds=0.0
        )))  # fmt: skip
    return Block(record(), np.arange(IMAGES), rows)


def test_signs_stand_beside_centre_and_otsu() -> None:
    said = floors.verdict(block({"insertion": 1, "deletion": -1}))
    assert said is not None
    assert {one.name: one.signs for one in said.standings} == {
        "good": {"insertion": "++", "deletion": "++"},
        "between": {"insertion": "+-", "deletion": "+-"},
        "bad": {"insertion": "--", "deletion": "--"},
    }


def test_what_no_test_tells_apart_is_not_called_better() -> None:
    found = block({"insertion": 1})
    noise = np.random.default_rng(1).normal(size=IMAGES)
    floor, good = (dict(found.rows)[name].values["insertion"] for name in ("otsu", "good"))
    good[:] = (np.array(floor) + 0.01 + noise).tolist()
    said = floors.verdict(found)
    assert said is not None
    assert {one.name: one.signs["insertion"] for one in said.standings}["good"] == "=="


def test_a_paragraph_says_which_beat_both_and_which_do_not() -> None:
    said = floors.verdict(block({"insertion": 1, "deletion": -1, "pxap": 1}, {"good": "insertion"}))
    assert said is not None
    assert said.words.startswith(
        "Of 2 metrics of faithfulness, good is better than both centre and otsu by 1; between, bad by none. "
        "By insertion none is. "
        "Of 1 metric of localisation, good is better than both centre and otsu by 1; between, bad by none. "
        "Worse than both by more metrics than better: bad. "
    )
    assert said.standings[0].name == "good"
    assert said.standings[0].signs["insertion"] == ".."


def test_a_paragraph_says_which_would_beat_both_without_the_weights() -> None:
    """Shuffled insertion is high where much is found, shuffled deletion low."""
    said = floors.verdict(block({"insertion": 1, "shuffled_insertion": 1, "shuffled_deletion": 1}))
    assert said is not None
    assert said.columns == ["insertion"]
    assert said.weightless == {"insertion": ["good"], "deletion": ["bad"]}
    assert "Better than both with shuffled weights: by deletion bad; by insertion good. " in said.words
    found = block({"insertion": 1, "shuffled_insertion": -1}, names=("between", "centre", "otsu"))
    said = floors.verdict(found)
    assert said is not None
    assert "Better than both with shuffled weights: by insertion none. " in said.words


def test_none_beats_both() -> None:
    said = floors.verdict(block({"insertion": 1}, names=("between", "centre", "otsu")))
    assert said is not None
    assert said.words.startswith("Of 1 metric of faithfulness, no explainer is better than both centre and otsu by any")


def test_neither_the_ceiling_nor_what_ranks_nothing_nor_stability_counts() -> None:
    """A map that never changes is stable, and pseudo masks are otsu's own."""
    said = floors.verdict(block({"insertion": 1, "pseudo_jaccard": 1, "max_sensitivity": -1, "sparseness": 1}))
    assert said is not None
    assert said.columns == ["insertion"]
    assert "oracle" not in [one.name for one in said.standings]


@pytest.mark.parametrize("names", [("good", "random"), ("good", "random", "centre"), ("random", "centre", "otsu")])
def test_nothing_is_said_without_both_floors_or_an_explainer(names: tuple[str, ...]) -> None:
    assert floors.verdict(block({"insertion": 1}, names=names)) is None


@pytest.mark.parametrize(("metric", "sign"), [("insertion", 1), ("deletion", -1)])
def test_beside_a_floor_is_the_paired_difference(metric: str, sign: int) -> None:
    found = block({metric: sign})
    one, other = (np.array(dict(found.rows)[name].values[metric]) for name in ("good", "centre"))
    place = [name for name, _ in found.rows].index("good")
    figure = found.beside(metric, place, "centre")
    assert figure is not None
    apart = sign * (one - other)
    assert figure.value == pytest.approx(apart.mean())
    error = apart.std(ddof=1) / np.sqrt(IMAGES)
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert found.beside(metric, found.floor("centre") or 0, "centre") is None


def test_pages_give_a_table_for_each_metric_with_the_best_first() -> None:
    found = block({"insertion": 1, "deletion": -1})
    lines = explained_tables.section([found], Board("toy", (found.record,)))
    assert any(line.startswith("**Which explainers beat the floors?** Of 2 metrics of faithfulness") for line in lines)
    for metric in ("deletion", "insertion"):
        start = next(number for number, line in enumerate(lines) if line.startswith(f"**{metric}**: "))
        rows = [line.split(" | ") for line in lines[start + 4 : start + 4 + len(LEVELS)]]
        assert [row[1].split()[0] for row in rows] == ["oracle", "good", "otsu", "between", "centre", "bad", "random"]
        assert rows[2][1] == "otsu (*floor*)"
        assert [row[0].removeprefix("| ") for row in rows] == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("metric", own("metrics/explanation"))
def test_every_metric_says_what_it_judges_and_means(metric: str) -> None:
    assert about(metric)
    assert meaning(metric).endswith(".")
    assert not meaning(metric)[0].islower()


def test_a_metric_of_nobody_is_about_nothing() -> None:
    assert about("nobody_s") == meaning("nobody_s") == ""
