"""The command line as a user sees it: a whole run on own data, and one clear line for every mistake."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from pictures import save, truncate
from safetensors.torch import save_file

import zoo
from zoo import cli, paths, registry
from zoo.data import load
from zoo.data.items import View
from zoo.record import Record

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 70), "red": (200, 50, 60)}


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Zoo = Callable[..., Said]


def paint(root: Path, each: int) -> Path:
    """Class folders of PNGs of 40 x 40, each class of one colour with noise."""
    for label, (name, colour) in enumerate(COLOURS.items()):
        for i in range(each):
            noise = np.random.default_rng(1000 * label + i).integers(-40, 40, (40, 40, 3))
            save(root / name / f"{i:02d}.png", np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """54 images a class: 18 for training, 18 for validation, 18 for testing."""
    return paint(tmp_path_factory.mktemp("own") / "cells", 54)


@pytest.fixture
def run_zoo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Runs a command line in this process, on small pictures."""
    monkeypatch.setattr(load, "OWN_VIEW", View(crop=0, side=32))

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["zoo", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return Said(int(left.value.code or 0), out, err)

    return call


def on(dataset: Path, out: Path, method: str = "prototypical", way: int = 3, shot: int = 2, episodes: int = 2) -> list:
    return [
        "run", "--method", method, "--dataset", dataset, "--way", way, "--shot", shot, "--episodes", episodes,
        "--backbone", "conv4", "--weights", "none", "--device", "cpu", "--precision", "fp32", "--out", out,
    ]  # fmt: skip


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def one_line(said: Said) -> str:
    """The text of a mistake: code 2, nothing on standard output, one line on standard error."""
    assert (said.code, said.out) == (2, ""), said
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("error: ").strip()


def test_run_leaves_a_record_a_table_and_a_gallery_and_is_not_done_twice(cells: Path, tmp_path: Path, run_zoo: Zoo):
    words = [*on(cells, tmp_path), "--explainer", "grad_cam"]
    said = run_zoo(*words)
    assert said.code == 0, said.err
    assert "mean of classes" in said.out
    assert all(name in said.out for name in ("blue", "green", "red", "deletion", "insertion", "grad_cam", "random"))
    [path], [picture] = list(tmp_path.rglob("*.json")), list(tmp_path.rglob("*.png"))
    assert picture.stem == path.stem
    record = Record.model_validate_json(path.read_bytes())
    assert (record.method, record.explainer, record.backbone) == ("prototypical", "grad_cam", "conv4")
    assert record.figures["mean_class_accuracy"].value > 0.9  # colours are easy
    assert str(tmp_path) not in record.provenance.command
    assert len(files(tmp_path)) == 2

    before = path.stat().st_mtime_ns
    again = run_zoo(*words, "--json")
    assert again.code == 0
    assert Record.model_validate_json(again.out) == record
    assert again.out.count("\n") == 1
    assert path.stat().st_mtime_ns == before
    assert "there already" in run_zoo(*words).out


def test_learned_method_from_a_csv(cells: Path, tmp_path: Path, run_zoo: Zoo):
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(cells.rglob("*.png"))]
    table = cells / "mine.csv"
    table.write_text("\n".join(["path,label", *rows]))
    said = run_zoo(*on(table, tmp_path / "out", "stn"), "--set", "epochs=1", "--set", "batch=16", "--json")
    table.unlink()
    assert said.code == 0, said.err
    record = json.loads(said.out)
    assert record["method_settings"]["epochs"] == 1
    assert record["labels_seen"] == 54
    assert record["dataset"] == "mine"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--method", "prototypcal"], "unknown method 'prototypcal': did you mean 'prototypical'? `zoo list methods`"),
        (["--explainer", "gradcam"], "unknown explainer 'gradcam': did you mean 'grad_cam'? `zoo list explainers`"),
        (["--backbone", "conv5"], "unknown backbone 'conv5': did you mean 'conv4'? `zoo list backbones`"),
        (["--backbone", "hf-hub:someone/some-net"], "unknown backbone 'hf-hub:someone/some-net': "),
        (["--backbone", "../conv4"], "unknown backbone '../conv4': did you mean 'conv4'? "),
        (["--benchmark", "pbc_8way_5shot"], "--benchmark fixes dataset, way, shot, bank and episodes; leave those out"),
        (["--dataset", "smeer"], "unknown dataset 'smeer': did you mean 'smear'? `zoo data list`"),
        (["--dataset", "no/such/folder"], "no/such/folder: no such folder or CSV; give class folders, a CSV, or a"),
        (["--bank", "al"], "unknown bank 'al': did you mean 'all'? `zoo run --help`"),
        (["--way", "5"], "cells: 3 classes are not enough for 5-way episodes: type --way 3 or smaller"),
        (["--way", "1"], "--way 1: give 2 or more"),
        (["--way", "three"], "Invalid value for '--way': "),
        (["--shot", "0"], "--shot 0: give 1 or more"),
        (["--shot", "9"], "has 18 distinct images to draw from, 24 are needed (9 shot + 15 query): type --shot 3"),
        (["--episodes", "-2"], "--episodes -2: give 1 or more"),
        (["--seed", "-1"], "--seed -1: give a whole number, 0 to "),
        (["--device", "gpu"], "--device gpu: choose auto, cpu or cuda"),
        (["--precision", "fp8"], "--precision fp8: choose auto, fp32 or bf16"),
        (["--set", "epochs"], "--set epochs: write key=value"),
        (["--set", "metric=l2"], "unknown setting of prototypical 'metric': `zoo list methods prototypical`"),
        (["--explainer", "siamcam", "--set", "combin=max"], "unknown setting of prototypical and siamcam 'combin': did "
         "you mean 'combine'? `zoo list methods prototypical` or `zoo list explainers siamcam`"),
        (["--explainer", "siamcam", "--set", "siamcam.combine=sum"], "siamcam: combine=sum is not one of mean, max"),
        (["--method", "stn", "--set", "batch=many"], "stn: batch=many: give a whole number, 1 or more"),
        (["--method", "stn", "--set", "batch=0"], "stn: batch=0: give a whole number, 1 or more"),
        (["--method", "stn", "--set", "batch=-3"], "stn: batch=-3: give a whole number, 1 or more"),
        (["--method", "stn", "--set", "margin=nan"], "stn: margin=nan: give a number, 0 or more"),
        (["--method", "stn", "--set", "rule=median"], "stn: rule=median is not one of mean, min"),
        (["--method", "knn", "--set", "k=0"], "knn: k=0: give a whole number, 1 or more"),
        (["--method", "logistic", "--set", "c=0"], "logistic: c=0: give a number above 0"),
        (["--method", "finetune", "--set", "steps=0"], "finetune: steps=0: give a whole number, 1 or more"),
        (["--method", "chance", "--explainer", "grad_cam"], "explainer 'grad_cam' cannot explain 'chance': its "),
        (["--backbone", "conv4@3"], "--backbone conv4@3: a backbone looks at 2, 4, 8 views; give conv4@8"),
        (["--method", "finetune", "--set", "part=full", "--backbone", "conv4@8"],
         "--backbone conv4@8: finetune changes the backbone in each episode; give conv4, one view"),
        (["--backbone", "conv5@8"], "unknown backbone 'conv5': did you mean 'conv4'?"),
        (["--weights", "gone.safetensors"], "--weights gone.safetensors: no such file; give a .safetensors file, or "),
        (["--weights", __file__], "only .safetensors is read; convert it"),
        (["--method"], "Option '--method' requires an argument; `zoo --help`"),
        (["--metod", "knn"], "No such option: --metod"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    cells: Path, tmp_path: Path, run_zoo: Zoo, extra: list[str], expected: str
):
    assert expected in one_line(run_zoo(*on(cells, tmp_path), *extra))
    assert files(tmp_path) == []


def test_unknown_benchmark_and_missing_data(tmp_path: Path, run_zoo: Zoo):
    words = ["run", "--method", "knn", "--out", tmp_path, "--benchmark"]
    assert one_line(run_zoo(*words, "pbc_8way_5shots")).startswith(
        "unknown benchmark 'pbc_8way_5shots': did you mean 'pbc_8way_5shot'? `zoo list benchmarks`"
    )
    assert one_line(run_zoo(*words, "pbc_8way_5shot")).endswith(
        f"no data in {paths.data()}/pbc/PBC_dataset_normal_DIB; `zoo data get pbc` fetches the dataset, "
        "or set ZOO_DATA to the folder that holds 'pbc'"
    )
    assert files(tmp_path) == []


def test_data_are_asked_for_before_weights_are_fetched(
    tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registry, "backbone", lambda *_, **__: pytest.fail("too early"))
    assert "no data in" in one_line(run_zoo("run", "--method", "knn", "--benchmark", "pbc_8way_5shot"))


def test_truncated_image_and_small_class(tmp_path: Path, run_zoo: Zoo):
    root = paint(tmp_path / "few", 6)
    line = one_line(run_zoo(*on(root, tmp_path / "out")))
    assert line == (
        "few: class 'blue' has 2 distinct images to draw from, 17 are needed (2 shot + 15 query): type --bank all"
    )
    truncate(root / "red" / "03.png")
    line = one_line(run_zoo(*on(root, tmp_path / "out")))
    assert line.startswith(f"{root}/red/03.png: cannot be read as an image (truncated or damaged); mend or delete it")
    assert files(tmp_path / "out") == []


def test_wrong_weights_files(cells: Path, tmp_path: Path, run_zoo: Zoo):
    state = registry.backbone("conv4").state_dict()
    text, other, whole = (tmp_path / f"{name}.safetensors" for name in ("text", "other", "whole"))
    text.write_text("these are no tensors")
    save_file({"layer.weight": torch.zeros(2, 2)}, other)
    save_file(state, whole)
    out = tmp_path / "out"
    assert "not a readable safetensors file" in one_line(run_zoo(*on(cells, out), "--weights", text))
    line = one_line(run_zoo(*on(cells, out), "--weights", other))
    assert "does not fit backbone 'conv4'" in line
    assert line.endswith("give the file of this backbone or another --backbone")
    said = run_zoo(*on(cells, out), "--weights", whole, "--json")
    assert json.loads(said.out)["provenance"]["weights"] == "whole.safetensors"
    truncate(whole)
    before = files(out)
    assert "not a readable safetensors file" in one_line(run_zoo(*on(cells, out), "--weights", whole))
    assert files(out) == before


@pytest.mark.parametrize("below", ["", "below"])
def test_out_that_is_a_file(cells: Path, tmp_path: Path, run_zoo: Zoo, below: str):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    line = one_line(run_zoo(*on(cells, taken / below)))
    assert line.startswith(f"--out {taken}")
    assert line.endswith("give another folder")
    assert taken.read_text() == "mine"


def test_cuda_where_there_is_none(cells: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = one_line(run_zoo(*on(cells, tmp_path), "--device", "cuda"))
    assert line == "--device cuda: torch finds no CUDA device here; use --device cpu, or leave it out"


def test_unreachable_hub(cells: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch):
    import timm

    def unreachable(*_: object, **__: object):
        raise ConnectionError("no route to host\nand a second line")

    monkeypatch.setattr(timm, "create_model", unreachable)
    words = on(cells, tmp_path)
    words = [word for word in words if word not in ("--weights", "none")]
    line = one_line(run_zoo(*words, "--backbone", "resnet18"))
    assert line == (
        "backbone 'resnet18': its pretrained weights could not be had from timm's hub (ConnectionError); "
        "give --weights FILE.safetensors, or --weights none for random ones"
    )
    assert files(tmp_path) == []


def test_views_share_a_training_and_have_a_record_of_their_own(
    cells: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    words = [*on(cells, tmp_path / "runs", "stn"), "--set", "epochs=1", "--json"]
    said = [run_zoo(*words), run_zoo(*words, "--backbone", "conv4@8")]
    assert [one.code for one in said] == [0, 0], said
    assert len(files(tmp_path / "cache" / "trained")) == 1
    first, second = (Record.model_validate_json(one.out) for one in said)
    assert [first.backbone, second.backbone] == ["conv4", "conv4@8"]
    assert "--backbone conv4@8" in second.provenance.command
    assert first.provenance.trained_sha256 == second.provenance.trained_sha256
    assert len([*(tmp_path / "runs").rglob("*.json")]) == 2


def test_damaged_cache_is_made_again_and_said(
    cells: Path, tmp_path: Path, run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
):
    cache = tmp_path / "cache"
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    words = [*on(cells, tmp_path / "first", "stn"), "--set", "epochs=1", "--json"]
    first = json.loads(run_zoo(*words).out)
    kept = files(cache)
    for pattern in ("embeddings/*.npy", "trained/*.pt", "packed/*/pixels.npy"):
        found = [path for path in kept if path.match(pattern)]
        assert found, pattern
        for path in found:
            truncate(path)
        said = run_zoo(*words[:-1], "--out", tmp_path / pattern.split("/")[0], "--json")
        assert said.code == 0, said.err
        assert "damaged" in said.err
        assert json.loads(said.out)["predictions"] == first["predictions"]
        assert "damaged" not in run_zoo(*words[:-1], "--out", tmp_path / "after", "--json").err


def test_predict_prints_a_table_or_json(cells: Path, run_zoo: Zoo):
    images = [cells / "red" / "50.png", cells / "blue" / "51.png"]
    words = ["predict", *images, "--support", cells, "--method", "prototypical", "--benchmark", "smear_8way_5shot",
             "--backbone", "conv4", "--weights", "none", "--device", "cpu"]  # fmt: skip
    said = run_zoo(*words, "--json")
    assert said.code == 0, said.err
    assert [(one["image"], one["predicted"]) for one in json.loads(said.out)] == [
        (str(images[0]), "red"), (str(images[1]), "blue"),
    ]  # fmt: skip
    assert "probability" in run_zoo(*words).out
    turned = run_zoo(*words, "--backbone", "conv4@4", "--json")
    assert [one["predicted"] for one in json.loads(turned.out)] == ["red", "blue"]
    assert turned.out != said.out
    assert one_line(run_zoo(*words[:3], "--method", "knn")).startswith("Missing option '--support'")
    assert one_line(run_zoo(*words, "--method", "chance")).startswith("--method chance: it ignores supports; choose")


def test_interrupt_is_one_line_and_130(run_zoo: Zoo, monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: object, **__: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo, "run", stopped)
    said = run_zoo("run", "--method", "knn")
    assert said == (130, "", "interrupted: what was finished is kept, the same command goes on from there\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rum"], "No such command 'rum'. Did you mean 'run'?; `zoo --help`"),
        (["data"], "Missing command; `zoo data --help`"),
        (["list"], "Missing argument 'kind'. Choose from: methods, explainers, "),
        (["list", "methodz"], "'methodz' is not one of 'methods', "),
        (["list", "methods", "simplshot"], "unknown method 'simplshot': did you mean 'simpleshot'? `zoo list methods`"),
        (["list", "metrics", "accurracy"], "unknown metric 'accurracy': did you mean 'accuracy'? `zoo list metrics`"),
        (["list", "datasets", "pcb"], "unknown dataset 'pcb': did you mean 'pbc'? `zoo data list`"),
        (["data", "get", "pbcc"], "unknown dataset 'pbcc': did you mean 'pbc'?"),
        (["data", "get", "pbc", "--from", "gone.zip"], "gone.zip: no such file or folder; --from takes"),
        (["data", "audit", "gone/folder"], "gone/folder: no such folder or CSV"),
        (["submit", "gone.json"], "gone.json: cannot be read (No such file or directory)"),
    ],
)
def test_other_commands_say_their_mistakes_in_one_line(run_zoo: Zoo, words: list[str], expected: str):
    assert expected in one_line(run_zoo(*words))


def test_verify_says_what_is_missing(run_zoo: Zoo):
    said = run_zoo("data", "verify", "pbc")
    assert said.code == 2
    assert said.out.startswith("no data in ")
    assert said.err.startswith("error: pbc: 1 differences from its card; `zoo data get pbc`")


def test_help_is_what_the_bare_command_shows(run_zoo: Zoo):
    said = run_zoo()
    assert said.code == 0
    assert said == run_zoo("--help")
    assert all(word in said.out for word in ("run", "predict", "list", "leaderboard", "submit", "data"))


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], ("torch", "numpy", "pydantic", "rich", "timm")),
        (["list", "methods"], ("torch", "numpy", "timm")),
        (["list", "explainers"], ("torch", "numpy", "timm")),
        (["data", "list"], ("torch", "timm", "pandas", "skimage", "matplotlib")),
        (["list", "benchmarks"], ("torch", "timm", "pandas", "skimage", "matplotlib")),
    ],
)
def test_looking_around_imports_nothing_heavy(words: list[str], heavy: tuple[str, ...]):
    code = f"""
import sys
sys.argv = ["zoo", *{words}]
from zoo import cli
try:
    cli.main()
except SystemExit as left:
    assert not left.code, left.code
print("LOADED", [name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
