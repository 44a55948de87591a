"""A whole run on a small dataset: what is written, what is handed back, and that a seed is a seed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.board import statistics, store
from zoo.data import banks
from zoo.errors import ZooError
from zoo.pipeline import explain, explained
from zoo.pipeline import run as running
from zoo.pipeline.fit import checkpoint
from zoo.pipeline.run import Result
from zoo.pipeline.setup import setup
from zoo.types import Learned

COLOURS = {"amber": (220, 170, 60), "blue": (70, 80, 200), "rose": (210, 80, 130)}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 30 noisy squares on a pale ground."""
    root, random = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for number in range(30):
            picture = random.integers(190, 256, (40, 40, 3))
            top, left = random.integers(5, 20, 2)
            picture[top : top + 14, left : left + 14] = np.array(colour) + random.integers(-30, 30, (14, 14, 3))
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


@pytest.fixture(autouse=True)
def _few_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained, "ask", lambda bank, count: explain.ask(bank, 8))


def run(cells: Path, out: Path, method: str = "stn", explainer: str | None = "siamcam", **choices: object) -> Result:
    settings = {"epochs": "2", "batch": "12"} if method == "stn" else {}
    defaults = {"dataset": str(cells), "way": 3, "shot": 2, "bank": "all", "episodes": 4, "backbone": "conv4"}
    return zoo.run(method, explainer, out=out, **{**defaults, "settings": settings, "device": "cpu", **choices})


def test_record_table_and_picture(cells: Path, tmp_path: Path) -> None:
    result = run(cells, tmp_path)
    record = store.read(result.path)
    assert record == result.record
    assert result.path == tmp_path / record.key
    assert record.classes == list(COLOURS)
    assert record.labels_seen == 30
    assert record.figures["accuracy"].value > 0.5
    assert statistics.figures(record.predictions, record.classes, record.bank)[0] == record.figures
    assert record.explanations is not None
    assert list(record.explanations.rows) == ["siamcam", "centre", "constant", "otsu", "random", "sobel"]
    for row in record.explanations.rows.values():
        assert {len(values) for values in row.values.values()} == {len(record.explanations.items)}
    assert record.provenance.trained_sha256
    assert set(record.provenance.seconds) >= {"train", "embed", "evaluate", "explain", "figures"}
    assert sorted(path.suffix for path in result.path.parent.iterdir()) == [".json", ".png"]
    assert str(tmp_path) not in result.path.read_text("utf-8")


def test_a_record_that_exists_is_handed_back(cells: Path, tmp_path: Path) -> None:
    first = run(cells, tmp_path)
    before = first.path.read_bytes()
    again = run(cells, tmp_path)
    assert (first.reused, again.reused) == (False, True)
    assert again.path.read_bytes() == before
    assert again.record == first.record


def test_same_seed_same_figures_without_any_cache(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / f"{name} cache"))
        found.append(run(cells, tmp_path / name).record)
    one, two = (
        record.model_dump(exclude={"provenance": {"seconds", "peak_memory_mb", "created"}, "explanations": {"rows"}})
        for record in found
    )
    assert one == two
    for left, right in zip(*(record.explanations.rows.values() for record in found), strict=True):  # type: ignore[union-attr]
        assert left.values == right.values


def test_another_seed_or_setting_is_another_record(cells: Path, tmp_path: Path) -> None:
    paths = {run(cells, tmp_path, explainer=None, seed=seed).path for seed in (0, 1)}
    paths.add(run(cells, tmp_path, explainer=None, settings={"epochs": "2", "batch": "12", "rule": "min"}).path)
    paths.add(run(cells, tmp_path, explainer=None, precision="fp32").path)
    assert len(paths) >= 3
    assert all(path.is_file() for path in paths)


def test_label_budget_is_counted(cells: Path, tmp_path: Path) -> None:
    few = {"epochs": "1", "batch": "6", "labels_per_class": "4"}
    record = run(cells, tmp_path, explainer=None, settings=few).record
    assert record.labels_seen == 12


def test_cl2n_is_centred_on_the_training_images_alone(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.methods.simpleshot import SimpleShot
    from zoo.pipeline import fit as fitting

    given: list[int] = []
    real = SimpleShot.from_training
    monkeypatch.setattr(SimpleShot, "from_training", lambda self, x: given.append(len(x)) or real(self, x))
    embedded: list[set[int]] = []
    embed = fitting.features_of
    monkeypatch.setattr(
        fitting, "features_of",
        lambda *args: embedded.append(set(np.concatenate(args[4:]).tolist())) or embed(*args),
    )  # fmt: skip
    made = setup("simpleshot", dataset=str(cells), way=2, shot=1, bank="all", episodes=2,
                 settings={"transform": "CL2N"}, device="cpu")  # fmt: skip
    result = running.run(made, tmp_path, "zoo run")
    assert given == [len(made.train_items)]
    assert embedded[-1] == set(made.train_items.tolist())
    assert not embedded[-1] & set(made.test_items.tolist())
    assert result.record.labels_seen == 0  # images, not labels
    plain = running.run(setup("simpleshot", dataset=str(cells), way=2, shot=1, bank="all", episodes=2, device="cpu"),
                        tmp_path, "zoo run")  # fmt: skip
    assert plain.record.key != result.record.key


def test_a_planted_leak_stops_the_run(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = banks.draw

    def leaking(*arguments):  # type: ignore[no-untyped-def]
        bank = honest(*arguments)
        bank.episodes[0].query[0] = bank.episodes[0].support[0]
        return bank

    monkeypatch.setattr(banks, "draw", leaking)
    with pytest.raises(ZooError, match="support"):
        run(cells, tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_the_classifier_never_trains_on_test_items(cells: Path) -> None:
    made = setup("stn", dataset=str(cells), way=3, shot=2, backbone="conv4", settings={"epochs": "1"})
    assert not set(made.train_items) & set(made.split.test)
    assert not set(made.train_items) & set(made.split.validation)


def test_rows_that_differ_in_judging_alone_share_a_training(cells: Path) -> None:
    def place(**settings: str) -> Path:
        made = setup("stn", dataset=str(cells), way=3, shot=2, backbone="conv4", settings={"epochs": "1"} | settings)
        assert isinstance(made.method, Learned)
        return checkpoint(made, made.method)

    assert place(rule="min") == place()
    assert place(pairs="paper") != place()
    assert place(rule="min", patience="1") != place(patience="1")  # what stops a training early is part of it


def test_record_is_plain_json_without_paths(cells: Path, tmp_path: Path) -> None:
    path = run(cells, tmp_path, "prototypical", None).path
    content = json.loads(path.read_text("utf-8"))
    assert content["dataset"] == cells.name
    assert content["provenance"]["command"].startswith("zoo run --method prototypical --dataset")
