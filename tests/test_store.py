"""Records come back as they were; anything else in a file is refused in one line that names it."""

import base64
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import record

from zoo.board import statistics, store, upgrade
from zoo.errors import ZooError
from zoo.record import SCHEMA, Record


def test_written_where_its_key_says_and_read_back(tmp_path: Path) -> None:
    made = record()
    path = store.write(made, tmp_path)
    assert path == tmp_path / made.key
    assert store.read(path) == made
    assert store.find(tmp_path) == [made]
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def test_one_line_a_field(tmp_path: Path) -> None:
    made = record()
    lines = store.dumps(made).splitlines()
    assert lines[0] == "{"
    assert len(lines) == len(type(made).model_fields) + 2
    assert json.loads(store.dumps(made))["figures"]["accuracy"]["value"] == made.figures["accuracy"].value


def change(place: str, value: Any) -> str:
    content = json.loads(store.dumps(record()))
    *path, last = place.split(".")
    inner = content
    for step in path:
        inner = inner[step]
    inner[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("\udcff", "not valid JSON"),
        ("[1]", "not a valid record"),
        ("{}", "not a valid record: benchmark: Field required"),
        (store.dumps(record())[:500], "not valid JSON"),
        (change("seed", "0"), "seed: Input should be a valid integer"),
        (change("seed", True), "seed: Input should be a valid integer"),
        (change("synthetic", 1), "synthetic: Input should be a valid boolean"),
        (change("figures.accuracy.value", float("nan")), "not valid JSON"),
        (change("method_settings.margin", float("inf")), "not valid JSON"),
        (change("schema_version", 4), "schema_version 4 is newer than this zoo, which reads up to 3: update it"),
        (change("schema_version", 0), "schema_version: Input should be 3"),
        (change("schema_version", "1"), "schema_version: Input should be 3"),
        (change("schema_version", True), "schema_version: Input should be 3"),
        (change("surprise", 1), "surprise: Extra inputs"),
        (change("bank.kind", "mine"), "bank.kind"),
        (change("benchmark", "../../etc"), "benchmark: String should match pattern"),
        (change("method", ".."), "method: String should match pattern"),
        (change("explainer", "a/b"), "explainer: String should match pattern"),
        (change("backbone", "a\\b"), "backbone: String should match pattern"),
        (change("backbone", "conv4\n"), "backbone: String should match pattern"),
        (change("backbone", ""), "backbone: String should match pattern"),
        (change("explainer", "grad_cam"), "no row of the record's own explainer"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "folder" / "broken.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for reading in (lambda: store.read(path), lambda: store.find(tmp_path)):
        with pytest.raises(ZooError, match=r"broken\.json") as caught:
            reading()
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def words(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(values.astype("<u2").tobytes())).decode()


def older(made: Record) -> dict[str, Any]:
    """The record as the first schema had it: plain lists, words in the order of the episodes, figures without draws."""
    content = json.loads(store.dumps(made)) | {"schema_version": 1}
    for figure in (*content["figures"].values(), *content["class_accuracy"].values()):
        del figure["draws"]
    found, answers = made.predictions, statistics.unpack(made.predictions, made.classes, made.bank)
    query = found.unpack()[0].reshape(len(found.lengths), -1)[:, ::-1]  # in any order within an episode
    predicted = answers.predicted.reshape(query.shape)[:, ::-1]
    content["predictions"] = found.model_dump() | {"query": words(query.ravel()), "predicted": words(predicted.ravel())}
    return content


def test_an_older_schema_is_read_as_today_s(tmp_path: Path) -> None:
    made = record()
    path = tmp_path / "old.json"
    path.write_text(json.dumps(older(made)))
    found = store.read(path)
    assert found.schema_version == SCHEMA == 3
    assert found.predictions == made.predictions
    assert {name: figure.value for name, figure in found.figures.items()} == {
        name: figure.value for name, figure in made.figures.items()
    }
    # What it lacks is made from its predictions.
    assert statistics.with_draws(found) == (made.figures, made.class_accuracy)


def test_draws_of_the_second_schema_are_made_anew(tmp_path: Path) -> None:
    made = record()
    old = older(made)
    old["schema_version"] = 2
    for figure in (*old["figures"].values(), *old["class_accuracy"].values()):
        figure["draws"] = words(np.arange(1000))
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert statistics.with_draws(store.read(tmp_path / "old.json")) == (made.figures, made.class_accuracy)


@pytest.mark.parametrize("damage", [{"query": "AAAA"}, {"truth": "x"}, {"lengths": [2**62] * 4}, {"items": 5}])
def test_damaged_predictions_of_an_older_schema_are_one_line(tmp_path: Path, damage: dict[str, Any]) -> None:
    old = older(record())
    old["predictions"] |= damage
    (tmp_path / "old.json").write_text(json.dumps(old))
    with pytest.raises(ZooError, match=r"old\.json: not (a )?valid"):
        store.read(tmp_path / "old.json")


def test_upgrade_rewrites_older_records_and_no_others(tmp_path: Path) -> None:
    made, today = record(), record(seed=1)
    store.write(today, tmp_path)
    path = tmp_path / made.key
    path.write_text(json.dumps(older(made)))
    before = (tmp_path / today.key).stat().st_mtime_ns
    assert upgrade.upgrade(tmp_path) == [path]
    assert path.read_text() == store.dumps(made)
    assert (tmp_path / today.key).stat().st_mtime_ns == before
    assert upgrade.upgrade(tmp_path) == []


WRITER = """
import sys
from pathlib import Path
from zoo.board import store
made = store.read(Path(sys.argv[1]))
for _ in range(40):
    store.write(made.model_copy(update={"validation_accuracy": float(sys.argv[3])}), Path(sys.argv[2]))
"""


def test_two_processes_writing_one_key_leave_a_whole_record(tmp_path: Path) -> None:
    made = record()
    source = store.write(made, tmp_path / "source")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(source), str(tmp_path / "out"), value])
        for value in ("0.25", "0.75")
    ]
    path, seen = tmp_path / "out" / made.key, set()
    while any(writer.poll() is None for writer in writers):
        if path.is_file():
            seen.add(store.read(path).validation_accuracy)  # never half-written, while both go on
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {0.25, 0.75}
    assert store.read(path).validation_accuracy in (0.25, 0.75)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_too_large_or_missing(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(store.LARGEST + 1)
    with pytest.raises(ZooError, match=r"large.json: larger than 20 MB"):
        store.read(tmp_path / "large.json")
    with pytest.raises(ZooError, match=r"none.json: cannot be read \(No such file"):
        store.read(tmp_path / "none.json")
    with pytest.raises(ZooError, match="cannot be read"):
        store.read(tmp_path)
    assert store.find(tmp_path / "nowhere") == []


def test_an_unwritable_root_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ZooError, match="cannot be written"):
        store.write(record(), tmp_path / "file")
    assert [file.name for file in tmp_path.rglob("*")] == ["file"]


def test_the_board_needs_no_torch() -> None:
    names = [file.stem for file in (Path(store.__file__).parent).glob("[a-z]*.py")]
    assert "terminal" in names
    lines = [f"import zoo.board.{name}" for name in names] + ["import sys", "assert 'torch' not in sys.modules"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
