"""`zoo new`: what it writes keeps the contract as it stands, and every bad name is one line."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny import images

from zoo import cli, paths, registry, scaffold
from zoo.errors import ZooError
from zoo.explaining import Explained
from zoo.scaffold import Kind

ROOT = Path(__file__).resolve().parents[1]
KINDS: tuple[Kind, ...] = ("method", "explainer", "metric")
FOLDERS = {"method": "methods", "explainer": "explainers", "metric": "metrics/explanation"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree with nothing in it, to write into; names are those of the real one."""
    root = tmp_path / "tree"
    for folder in FOLDERS.values():
        (root / "zoo" / folder).mkdir(parents=True)
    monkeypatch.setattr(paths, "checkout", lambda: root)
    return root


def test_what_is_written_passes_the_contract_suites_at_once(tmp_path: Path):
    """As a newcomer does it: in a copy of the tree, `zoo new`, then what it says to type next."""
    tree = tmp_path / "tree"
    for name in ("zoo", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    places = os.environ | {"PYTHONPATH": str(tree)}

    def python(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, *words], cwd=tree, env=places, capture_output=True, text=True)

    suites = []
    for kind in KINDS:
        said = python("-c", "from zoo.cli import main; main()", "new", kind, f"fresh_{kind}")
        assert said.returncode == 0, said.stderr
        written, contract, _ = said.stdout.splitlines()
        assert written == str(tree / "zoo" / FOLDERS[kind] / f"fresh_{kind}.py")
        suites.append(contract.split()[2])
        assert contract == f"next: pytest {suites[-1]} -k fresh_{kind}"
    said = python("-m", "pytest", *suites, "-k", "fresh_", "-v", "-p", "no:cacheprovider")
    assert said.returncode == 0, said.stdout[-3000:]
    for kind, least in (("method", 8), ("explainer", 8), ("metric", 1)):
        passed = [line for line in said.stdout.splitlines() if f"fresh_{kind}" in line and "PASSED" in line]
        assert len(passed) >= least, said.stdout


def test_a_new_metric_measures(checkout: Path):
    """By hand: of 256 pixels the 25 brightest hold 25 * 3 of 25 * 3 + 231 * 1."""
    [file] = scaffold.new("metric", "fresh").files
    module = ModuleType("fresh")
    exec(file.read_text("utf-8"), vars(module))
    saliency = torch.ones(1, 256)
    saliency[0, 100:125] = 3
    given = Explained(
        images(1), saliency.reshape(1, 16, 16), torch.zeros(1).long(), lambda x, _: x[:, 0, 0, 0], None,
        torch.zeros(3), None,
    )  # fmt: skip
    assert module.Fresh().measure(given).tolist() == pytest.approx([75 / (75 + 231)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written(checkout: Path, kind: Kind):
    made = scaffold.new(kind, "my_first2")
    [file] = made.files
    assert file == checkout / "zoo" / FOLDERS[kind] / "my_first2.py"
    text = file.read_text("utf-8")
    assert text.startswith('"""my_first2: ')
    assert "class MyFirst2(" in text
    assert not {"NAME", "CLASS"} & set(text.replace("(", " ").replace(":", " ").split())
    assert len(text.splitlines()) < 50
    assert any("my_first2" in step for step in made.steps)
    subprocess.run([sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml", file], check=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MyMethod", "'MyMethod' is no name: a-z, 0-9 and single _, a letter first, at most 40; try my_method"),
        ("my-method", "try my_method"),
        ("2nd", "try my_"),
        ("", "'' is no name"),
        ("_hidden", "try hidden"),
        ("a__b", "try a_b"),
        ("../../escape", "try escape"),
        ("a/b", "try a_b"),
        ("a\x1b[31m\n", "'a?[31m?' is no name"),
        ("x" * 41, "try xxxx"),
        ("é", "try my_"),
        ("class", "'class' is a reserved word; try my_class"),
        ("none", "'none' is a reserved word"),
        ("nul", "'nul' is a reserved word"),
        ("com1", "'com1' is a reserved word"),
        ("tensor", "'tensor' is a reserved word; try my_tensor"),
    ],
)
def test_a_bad_name_is_one_line_and_nothing_is_written(checkout: Path, kind: Kind, name: str, says: str):
    with pytest.raises(ZooError) as raised:
        scaffold.new(kind, name)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not [file for file in checkout.rglob("*") if file.is_file()]
    offer = str(raised.value).rsplit("try ", 1)[-1]
    assert scaffold.new(kind, offer).files


@pytest.mark.parametrize(
    ("kind", "name"), [("method", "knn"), ("explainer", "random"), ("metric", "deletion"), ("metric", "accuracy")]
)
def test_a_name_that_is_taken(checkout: Path, kind: Kind, name: str):
    with pytest.raises(ZooError, match=rf"^{kind} '{name}' is there already; choose another name, `zoo list "):
        scaffold.new(kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_of_its_own(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Outside a checkout: installed (here: put on the path with the metadata an install makes of it), it works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "checkout", lambda: None)
    name = f"apart_{kind}"
    made = scaffold.new(kind, name)
    folder = tmp_path / f"zoo-apart-{kind}"
    assert [file.resolve() for file in made.files] == [folder / "pyproject.toml", folder / f"zoo_{name}.py"]
    assert made.steps[0] == f"pip install -e zoo-apart-{kind}"
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    [(group, entries)] = project["project"]["entry-points"].items()
    assert project["tool"]["setuptools"]["py-modules"] == [f"zoo_{name}"]
    info = folder / "info-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 0.1.0\n")
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, f"zoo_{name}", raising=False)
    assert registry.build(FOLDERS[kind], name)
    assert registry.package(FOLDERS[kind], name) == (f"zoo-apart-{kind}", "0.1.0")
    with pytest.raises(ZooError, match="is there already"):
        scaffold.new(kind, name)
    sys.modules.pop(f"zoo_{name}")


def test_a_folder_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo-mine").mkdir()
    with pytest.raises(ZooError, match=r"^zoo-mine: is there already; "):
        scaffold.new("method", "mine", package=True)


def test_the_command_says_what_to_do_next(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["zoo", "new", "method", "my_idea"])
    with pytest.raises(SystemExit):
        cli.main()
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("my_idea.py")
    assert out[1:] == ["next: pytest tests/test_method_contracts.py -k my_idea", "next: zoo run --method my_idea"]


def test_the_checkout_is_this_tree():
    assert paths.checkout() == ROOT
