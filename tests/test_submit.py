"""A record enters the leaderboard only when its figures follow from its own raw values."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import PROTOCOL, drawn, explained, record

from zoo import registry
from zoo.board import store, submit
from zoo.data.benchmark import Benchmark
from zoo.errors import ZooError
from zoo.packing import pack_numbers
from zoo.record import Record

GOOD, OTHER = record(), record(seed=1)
BENCHMARK = Benchmark(
    name="toy_2way_5shot", sha256=PROTOCOL, title="Toy", dataset="toy", bank=GOOD.bank, steps=10, explained=6
)
BENCHMARKS = {BENCHMARK.name: BENCHMARK}


def changed(made: Record, place: str, value: Any) -> Record:
    content = made.model_dump()
    *path, last = place.split(".")
    inner: Any = content
    for step in path:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return Record.model_validate(content)


def test_a_true_record_is_taken_as_it_is(tmp_path: Path) -> None:
    made = GOOD
    run = store.write(made, tmp_path / "runs")
    (taken,) = submit.submit([run], tmp_path / "records", BENCHMARKS)
    assert taken == tmp_path / "records" / made.key
    assert taken.read_bytes() == run.read_bytes()


def test_a_record_without_explanations_is_taken(tmp_path: Path) -> None:
    run = store.write(record(explainer=None), tmp_path / "runs")
    assert submit.submit([run], tmp_path / "records", BENCHMARKS)[0].is_file()


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("figures.accuracy.value", 0.99, r"figures.accuracy: value says 0.990000, the stored values give"),
        ("figures.macro_f1.low", 0.95, "figures.macro_f1: low says 0.950000"),
        ("class_accuracy.platelet.high", 0.5, "class_accuracy.platelet: high says 0.500000"),
        ("class_accuracy.surprise", {"value": 1, "low": 1, "high": 1}, "surprise does not follow"),
        ("figures", {}, "figures.accuracy is missing"),
        ("explanations.rows.siamcam.figures.deletion.value", 0.0, "siamcam.figures.deletion: value says 0.0"),
        ("explanations.rows.siamcam.against_random.insertion.low", 0.9, "siamcam.against_random.insertion: low"),
        ("explanations.rows.siamcam.values.deletion", [0.1], "each metric needs 6 values"),
        ("explanations.rows.siamcam.values", {}, "each metric needs 6 values"),
        ("explanations.correct", [True], "6 items but 1 entries in correct"),
        ("explanations.items", ["x"] * 6, "not among the predictions"),
        ("explanations.correct", [False] + [True] * 5, r"cell/0000.jpg is never predicted wrong"),
        ("explanations.rows.siamcam.figures.insertion", None, "siamcam.figures.insertion is missing"),
        ("explanations.rows.random", None, "the random floor is missing"),
        ("explanations.steps", 4, "explanations.steps: is not what the benchmark toy_2way_5shot says"),
        ("predictions.predicted", pack_numbers(np.zeros(80)), "figures.accuracy: value"),
        ("predictions.query", "AAAA", "their numbers are damaged"),
        ("predictions.query", pack_numbers(np.zeros(80)), "an item is queried twice in one episode"),
        ("predictions.lengths", [20, 20, 20, 19], "or more than the lengths say"),
        ("predictions.predicted", pack_numbers(np.zeros(79)), "say 80, but there are 80 queries and 79 answers"),
        ("predictions.lengths", [20] * 601, "601 episodes, but the bank has "),
        ("predictions.truth", [0] * 20, "figures.accuracy: value says"),
        ("benchmark", "toy_2way_1shot", "unknown benchmark 'toy_2way_1shot': did you mean 'toy_2way_5shot'"),
        ("benchmark", "mine_2way_1shot_all9", "own data need a protocol file"),
        ("provenance.benchmark_sha256", "c" * 64, "has changed since this record was made"),
        ("bank.shot", 4, "bank: is not what the benchmark toy_2way_5shot says"),
        ("bank.seed", 1, "bank: is not what the benchmark toy_2way_5shot says"),
        ("dataset", "toys", "dataset: is not what the benchmark toy_2way_5shot says"),
        ("provenance.command", "zoo run; reboot", "is not a plain `zoo run` command line"),
        ("provenance.created", "yesterday", "yesterday is no time"),
        ("labels_seen", -1, "labels_seen: -1 is too small"),
    ],
)
def test_a_changed_record_is_refused_and_nothing_is_written(tmp_path: Path, place: str, value: Any, says: str) -> None:
    good = store.write(OTHER, tmp_path / "runs")
    bad = store.write(changed(GOOD, place, value), tmp_path / "runs")
    with pytest.raises(ZooError, match=says) as caught:
        submit.submit([good, bad], tmp_path / "records", BENCHMARKS)
    assert str(caught.value).startswith(str(bad))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "records").exists()


def test_of_another_benchmarks_bank_that_benchmark_is_named(tmp_path: Path) -> None:
    run = store.write(changed(GOOD, "bank.episodes", 3), tmp_path / "runs")
    bank = GOOD.bank.model_copy(update={"episodes": 3})
    short = BENCHMARK.model_copy(update={"name": "toy_2way_5shot_short", "bank": bank})
    with pytest.raises(ZooError, match="5shot says; run it again with --benchmark toy_2way_5shot_short"):
        submit.submit([run], tmp_path / "records", BENCHMARKS | {short.name: short})
    other = short.model_copy(update={"dataset": "toys"})
    with pytest.raises(ZooError, match=r"5shot says; run it again$"):
        submit.submit([run], tmp_path / "records", BENCHMARKS | {other.name: other})


def test_every_difference_is_said(tmp_path: Path) -> None:
    made = changed(changed(GOOD, "figures.accuracy.value", 0.99), "figures.accuracy.low", 0.5)
    run = store.write(made, tmp_path / "runs")
    with pytest.raises(ZooError, match=r"accuracy: value says 0\.990000.*; figures\.accuracy: low says 0\.500000"):
        submit.submit([run], tmp_path / "records", BENCHMARKS)
    figures = {name: {"value": 0.1, "low": 0.1, "high": 0.1} for name in GOOD.figures}
    run = store.write(changed(GOOD, "figures", figures), tmp_path / "runs")
    with pytest.raises(ZooError, match=r"; and \d+ more$"):
        submit.submit([run], tmp_path / "records", BENCHMARKS)


def test_another_bank_of_the_same_images_is_refused(tmp_path: Path) -> None:
    submit.submit([store.write(GOOD, tmp_path / "runs")], tmp_path / "records", BENCHMARKS)
    other = store.write(changed(OTHER, "provenance.bank_sha256", "d" * 64), tmp_path / "runs")
    with pytest.raises(ZooError, match=r"bank dddddddddddd is not 222222222222, which .* drew from the same images"):
        submit.submit([other], tmp_path / "records", BENCHMARKS)
    images = changed(OTHER, "provenance.bank_sha256", "d" * 64)
    images = changed(images, "provenance.item_set_sha256", "e" * 64)
    assert submit.submit([store.write(images, tmp_path / "runs")], tmp_path / "records", BENCHMARKS)


def test_the_same_row_twice_is_refused(tmp_path: Path) -> None:
    files = [store.write(GOOD, tmp_path / where) for where in ("a", "b")]
    with pytest.raises(ZooError, match="is the same row as"):
        submit.submit(files, tmp_path / "records", BENCHMARKS)


def test_a_metric_of_another_package_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is installed here and was not where the record was made; without it, a record that has it is refused."""
    own = registry.own
    monkeypatch.setattr(registry, "own", lambda folder: [name for name in own(folder) if name != "macro_f1"])
    made = GOOD
    figures = {name: figure for name, figure in made.figures.items() if name != "macro_f1"}
    less = made.model_copy(update={"figures": figures})
    assert submit.submit([store.write(less, tmp_path / "runs")], tmp_path / "records", BENCHMARKS)


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    made = GOOD.model_dump()
    for row in made["explanations"]["rows"].values():
        row["values"]["../../delete"] = row["values"].pop("deletion")
    run = store.write(Record.model_validate(made), tmp_path / "runs")
    with pytest.raises(ZooError, match="unknown explanation"):
        submit.submit([run], tmp_path / "records", BENCHMARKS)


def test_paths_cannot_be_crafted(tmp_path: Path) -> None:
    content = json.loads(store.dumps(GOOD)) | {"method": "../../../../escaped"}
    (tmp_path / "crafted.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match="method: String should match pattern"):
        submit.submit([tmp_path / "crafted.json"], tmp_path / "records", BENCHMARKS)


def test_made_up_records_are_as_real_ones() -> None:
    """The factory's own sanity: the floor has no difference to itself."""
    rows = explained(["siamcam", "random"], drawn(0, 0.9).items[:6]).rows
    assert rows["random"].against_random == {}
    assert rows["siamcam"].against_random["deletion"].value == pytest.approx(0.2)
