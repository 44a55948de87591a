"""A record enters the leaderboard only when its figures follow from its own raw values."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import PROTOCOL, drawn, explained, record

from zoo.board import store, submit
from zoo.errors import ZooError
from zoo.record import Record, pack_numbers

BENCHMARKS = {"toy_2way_5shot": PROTOCOL}


def changed(made: Record, place: str, value: Any) -> Record:
    content = made.model_dump()
    *path, last = place.split(".")
    inner: Any = content
    for step in path:
        inner = inner[step]
    inner[last] = value
    return Record.model_validate(content)


def test_a_true_record_is_taken_as_it_is(tmp_path: Path) -> None:
    made = record()
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
        ("predictions.predicted", pack_numbers(np.zeros(80)), "figures.accuracy: value"),
        ("predictions.query", "AAAA", "their numbers are damaged"),
        ("benchmark", "toy_2way_1shot", "unknown benchmark 'toy_2way_1shot': did you mean 'toy_2way_5shot'"),
        ("provenance.benchmark_sha256", "c" * 64, "has changed since this record was made"),
    ],
)
def test_a_changed_record_is_refused_and_nothing_is_written(tmp_path: Path, place: str, value: Any, says: str) -> None:
    good = store.write(record(seed=1), tmp_path / "runs")
    bad = store.write(changed(record(), place, value), tmp_path / "runs")
    with pytest.raises(ZooError, match=says) as caught:
        submit.submit([good, bad], tmp_path / "records", BENCHMARKS)
    assert str(caught.value).startswith(str(bad))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "records").exists()


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    made = record().model_dump()
    for row in made["explanations"]["rows"].values():
        row["values"]["../../delete"] = row["values"].pop("deletion")
    run = store.write(Record.model_validate(made), tmp_path / "runs")
    with pytest.raises(ZooError, match="unknown explanation"):
        submit.submit([run], tmp_path / "records", BENCHMARKS)


def test_paths_cannot_be_crafted(tmp_path: Path) -> None:
    content = json.loads(store.dumps(record())) | {"method": "../../../../escaped"}
    (tmp_path / "crafted.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match="method: String should match pattern"):
        submit.submit([tmp_path / "crafted.json"], tmp_path / "records", BENCHMARKS)


def test_benchmark_hashes_are_of_the_file_s_bytes(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert submit.benchmark_hashes(tmp_path) == {"toy": known}


def test_made_up_records_are_as_real_ones() -> None:
    """The factory's own sanity: the floor has no difference to itself."""
    rows = explained(["siamcam", "random"], drawn(0, 0.9).items[:6]).rows
    assert rows["random"].against_random == {}
    assert rows["siamcam"].against_random["deletion"].value == pytest.approx(0.2)
