"""Classifying own images by own supports: right answers on easy pictures, clear lines for mistakes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import save, truncate

import zoo
from zoo import registry
from zoo.data.benchmark import Benchmark
from zoo.data.items import View
from zoo.data.pictures import rgb, square
from zoo.errors import ZooError
from zoo.pipeline import predict as module
from zoo.pipeline import setup as setups
from zoo.pipeline.predict import Prediction
from zoo.record import BankSpec

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 70), "red": (200, 50, 60)}


def paint(file: Path, name: str, seed: int) -> Path:
    noise = np.random.default_rng(seed).integers(-30, 30, (40, 40, 3))
    return save(file, np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def support(tmp_path: Path) -> Path:
    """Three supports of blue, two of the others, and a sub-folder without images."""
    for name in COLOURS:
        for i in range(3 if name == "blue" else 2):
            paint(tmp_path / "support" / name / f"{i}.png", name, i)
    (tmp_path / "support" / "notes").mkdir()
    return tmp_path / "support"


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / "mine" / f"{name}.png", name, 100 + i) for i, name in enumerate(("red", "blue", "green"))]


def bench(dataset: str = "smear") -> Benchmark:
    bank = BankSpec(kind="all", way=3, shot=2, episodes=2)
    return Benchmark(
        name="small", sha256="0" * 64, title="small", dataset=dataset, bank=bank, crop=0, side=32, train_per_class=8
    )


@pytest.fixture(autouse=True)
def _small_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """`small` packs pictures of 32 pixels a side."""
    monkeypatch.setattr(setups.benchmarks, "benchmark", lambda name: bench())


def predict(images: list[Path], support: Path, method: str = "prototypical", **choices) -> list[Prediction]:
    return zoo.predict(
        images, support, method, benchmark="small", weights="none", device="cpu", precision="fp32", **choices
    )


def test_colours_are_told_apart(images: list[Path], support: Path):
    found = predict(images, support)
    assert [one.image for one in found] == images
    assert [one.predicted for one in found] == ["red", "blue", "green"]
    for one in found:
        assert list(one.probability) == list(one.score) == ["blue", "green", "red"]
        assert sum(one.probability.values()) == pytest.approx(1)
        score = torch.tensor(list(one.score.values()))
        assert list(one.probability.values()) == pytest.approx(score.softmax(0).tolist())


def test_score_is_the_distance_to_the_prototype(images: list[Path], support: Path):
    """Computed anew from the backbone alone: 32 pixels, 0..1, mean of the supports, squared distance."""
    backbone = registry.backbone("conv4").eval()

    def embedding(file: Path) -> torch.Tensor:
        pixels = torch.from_numpy(square(rgb(file), View(0, 32)).copy())
        with torch.no_grad():
            return backbone((pixels.permute(2, 0, 1)[None] / 255).float())[0]

    blue = torch.stack([embedding(file) for file in sorted((support / "blue").iterdir())]).mean(0)
    expected = -(embedding(images[0]) - blue).square().sum()
    assert predict(images, support)[0].score["blue"] == pytest.approx(float(expected), rel=1e-3)


def test_one_image_does_not_change_the_answer_to_another(images: list[Path], support: Path):
    together = predict(images, support, "simpleshot")
    alone = predict(images[1:2], support, "simpleshot")
    assert alone[0].score == pytest.approx(together[1].score, abs=1e-5)


def test_learned_method_is_trained_on_the_benchmark_first(
    images: list[Path], support: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in COLOURS:
        for i in range(24):
            paint(tmp_path / "train" / name / f"{i}.png", name, 200 + i)
    monkeypatch.setattr(setups.benchmarks, "benchmark", lambda name: bench(str(tmp_path / "train")))
    seen = []
    real = module.fit
    monkeypatch.setattr(module, "fit", lambda made, *rest: (seen.append(made), real(made, *rest))[1])
    found = predict(images, support, "stn", settings={"epochs": "2", "batch": "12"})
    assert [one.predicted for one in found] == ["red", "blue", "green"]
    assert len(seen[0].train_items) == 24
    untrained = predict(images, support, "stn", settings={"epochs": "1", "batch": "12"})
    assert found[0].score != untrained[0].score


def mistake(images: list[Path], support: Path, method: str = "prototypical", **choices) -> str:
    with pytest.raises(ZooError) as raised:
        predict(images, support, method, **choices)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_no_support_folder(images: list[Path], tmp_path: Path):
    assert mistake(images, tmp_path / "gone") == (
        f"--support {tmp_path}/gone: no such folder; it holds one sub-folder of images a class"
    )


def test_one_class_alone(images: list[Path], tmp_path: Path):
    paint(tmp_path / "one" / "red" / "0.png", "red", 0)
    assert mistake(images, tmp_path / "one").endswith("sub-folders with images: 1; at least 2 classes are needed")


def test_no_images(support: Path):
    assert mistake([], support) == "no images to classify; give one file or more"


@pytest.mark.parametrize("method", ["prototypical", "stn"])
def test_a_missing_or_broken_image_is_found_before_any_work(
    images: list[Path], support: Path, method: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "fit", lambda *_: pytest.fail("trained first"))
    monkeypatch.setattr(setups, "load_backbone", lambda *_: pytest.fail("loaded the backbone first"))
    gone = images[0].with_name("gone.png")
    assert mistake([*images, gone], support, method) == f"{gone}: no such image"
    truncate(images[2])
    line = f"{images[2]}: cannot be read as an image (truncated or damaged)"
    assert mistake(images, support, method) == line
    truncate(support / "red" / "1.png")
    assert "support/red/1.png: cannot be read" in mistake(images[:2], support, method)


@pytest.mark.parametrize("method", ["chance", "supervised"])
def test_methods_that_ignore_supports_are_refused(images: list[Path], support: Path, method: str):
    assert mistake(images, support, method) == (
        f"--method {method}: it ignores supports; choose one that uses them (`zoo list methods`)"
    )


def test_names_and_settings_are_checked(images: list[Path], support: Path):
    assert "did you mean 'knn'?" in mistake(images, support, "knnn")
    assert mistake(images, support, "knn", settings={"k": "0"}) == "knn: k=0: give a whole number, 1 or more"
