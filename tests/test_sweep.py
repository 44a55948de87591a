"""A sweep runs every combination once, goes on after a row that cannot be run, and finds what is there."""

from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.pipeline import sweep

GRID = """
title = "two methods and a mistake"
weights = {{ mobilenetv2_100 = "w.safetensors" }}
[[blocks]]
benchmarks = ["{benchmark}"]
methods = ["prototypical", "knn"]
seeds = [0, 1]
settings = [{{}}]
[[blocks]]
benchmarks = ["{benchmark}"]
methods = ["no_such_method"]
"""


def test_rows_are_every_combination(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(
        'title = "t"\nweights = {conv4 = "c.safetensors"}\n[[blocks]]\nbenchmarks = ["a", "b"]\nmethods = ["m"]\n'
        'backbones = ["conv4", "resnet18"]\nsettings = [{}, {k = 3, flag = true}]\nexplainers = ["", "siamcam"]\n'
    )
    found = list(sweep.rows(sweep.read(file), Path("w")))
    assert len(found) == 2 * 2 * 2 * 2
    assert found[0] == ("m", None, {"benchmark": "a", "backbone": "conv4", "seed": 0, "settings": {},
                                    "weights": str(Path("w/c.safetensors"))})  # fmt: skip
    assert found[-1].explainer == "siamcam"
    assert found[-1].choices["weights"] is None
    assert found[-1].choices["settings"] == {"k": "3", "flag": "true"}


@pytest.mark.parametrize(
    ("text", "said"), [("title = 1", "title"), ("title = 't'\nblocks = []", "blocks"), ("nonsense", "not a readable")]
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(ZooError, match=said):
        sweep.read(tmp_path / "grid.toml")


def test_a_sweep_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Result:
        path, reused = tmp_path / "r.json", False
        record = type("R", (), {"figures": {}})

    def run(method: str, explainer: str | None, **choices: object) -> Result:
        if method == "no_such_method":
            raise ZooError("no method no_such_method")
        asked.append((method, choices["seed"], choices["device"]))
        return Result()

    monkeypatch.setattr(sweep.zoo, "run", run)
    file = tmp_path / "grid.toml"
    file.write_text(GRID.format(benchmark="smear_8way_5shot"))
    done, failed = sweep.sweep(file, tmp_path, tmp_path / "out", {"device": "cpu"})
    assert asked == [(method, seed, "cpu") for method in ("prototypical", "knn") for seed in (0, 1)]
    assert len(done) == 4
    assert failed == ["no_such_method smear_8way_5shot seed 0: no method no_such_method"]


def test_cell_models_go_their_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Result:
        path, reused = tmp_path / "r.json", False
        record = type("R", (), {"figures": {}})

    def run_cells(model: str, **choices: object) -> Result:
        asked.append((model, choices["benchmark"]))
        return Result()

    monkeypatch.setattr(sweep.zoo, "run_cells", run_cells)
    file = tmp_path / "grid.toml"
    file.write_text('title = "t"\n[[blocks]]\nbenchmarks = ["smear_fields"]\nmethods = ["watershed"]\n'
                    'explainers = ["", "siamcam"]\n')  # fmt: skip
    done, failed = sweep.sweep(file, tmp_path, tmp_path, {})
    assert asked == [("watershed", "smear_fields")]
    assert len(done) == 1
    assert "not explained by siamcam" in failed[0]
