"""Records come back as they were; anything else in a file is refused in one line that names it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from records import record

from zoo.board import store
from zoo.errors import ZooError


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
        (change("schema_version", 2), "schema_version"),
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
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for reading in (lambda: store.read(path), lambda: store.find(tmp_path)):
        with pytest.raises(ZooError, match=r"broken\.json") as caught:
            reading()
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


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
