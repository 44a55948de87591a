"""Cell models through the whole pipeline: training that resumes, folds that do not leak, record, picture, mistakes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo import paths, registry
from zoo.board.cells import store
from zoo.cells import Attribute, Cells, none
from zoo.data import cell_benchmark
from zoo.data.fields.table import Fields
from zoo.errors import ZooError
from zoo.pipeline.cells import gallery
from zoo.pipeline.cells import run as running
from zoo.pipeline.cells import train as training
from zoo.pipeline.cells.setup import CellSetup, setup
from zoo.pipeline.device import choose

SIDE, COUNT = 48, 15
SHORT = {"epochs": "2", "batch": "4", "width": "8"}


def fields(count: int = COUNT) -> Fields:
    """Discs with a darker nucleus, one or two a field; each fifth field is empty. Class and attribute by colour."""
    random = np.random.default_rng(0)
    pixels, drawn, cells = np.full((count, SIDE, SIDE, 3), 235, np.uint8), np.zeros((count, SIDE, SIDE), np.uint8), []
    y, x = np.mgrid[:SIDE, :SIDE]
    for field in range(count):
        middles = [] if field % 5 == 4 else [(12, 14), (34, 33)][: 1 + field % 2]
        labels = random.integers(0, 2, len(middles))
        boxes = []
        for number, ((top, left), label) in enumerate(zip(middles, labels, strict=True), start=1):
            away = np.hypot(y - top, x - left)
            pixels[field][away < 8] = ((240, 170, 190), (150, 170, 240))[label]
            pixels[field][away < 4] = (80, 40, 120)
            drawn[field][away < 8], drawn[field][away < 4] = 2 * number - 1, 2 * number
            boxes.append((left - 7, top - 7, left + 8, top + 8))
        known = none(1)._replace(
            labels=labels, boxes=np.array(boxes, np.float32).reshape(-1, 4), attributes=labels[:, None],
            scores=np.ones(len(labels), np.float32),
        )  # fmt: skip
        cells.append(known)
    names = tuple(f"field_{number:02d}" for number in range(count))
    return Fields(
        dataset="toy", subset=None, synthetic=True, names=names, groups=np.arange(count), pixels=pixels,
        cells=tuple(cells), drawn=drawn, classes=("pink", "blue"), attributes=(Attribute("tint", ("warm", "cold")),),
        scale=np.ones(count, np.float32), sha256="1" * 64,
    )  # fmt: skip


def made(model: str = "cellnet", tested: tuple[int, ...] = (0, 2), seed: int = 0, **settings: str) -> CellSetup:
    protocol = cell_benchmark.CellBenchmark(
        name="toy_fields", sha256="2" * 64, title="toy", dataset="toy", side=SIDE, folds=3, tested=tested,
        backbone="conv4",
    )  # fmt: skip
    chosen = registry.build("cell_models", model, settings or (SHORT if model == "cellnet" else {}))
    return CellSetup(
        benchmark=protocol, fields=fields(), fold=np.arange(COUNT) % 3, model_name=model, model=chosen,
        backbone_name="conv4", weights="random", weights_file="none", weights_sha256="", seed=seed,
        device=choose("cpu", "fp32"),
    )  # fmt: skip


def test_a_run_leaves_a_record_and_a_picture_and_is_not_done_twice(tmp_path: Path) -> None:
    result = running.run(made(), tmp_path, "zoo run --method cellnet")
    record = result.record
    assert not result.reused
    assert record.fields == [f"field_{number:02d}" for number in range(COUNT) if number % 3 in (0, 2)]
    assert set(record.folds) == {0, 1}
    assert record.labels_seen == max(
        sum(len(one.labels) for number, one in enumerate(fields().cells) if number % 3 != fold) for fold in (0, 2)
    )
    assert {"cell_accuracy", "cell_jaccard", "nc_nmse", "attribute_accuracy"} <= set(record.figures)
    assert record.attribute_figures["tint"]
    assert store.read(result.path) == record
    assert result.path == tmp_path / record.key
    assert np.asarray(Image.open(result.gallery)).std() > 10
    again = running.run(made(), tmp_path, "zoo run --method cellnet")
    assert again.reused
    assert again.record == record


def test_the_floor_learns_in_closed_form_and_finds_the_cells(tmp_path: Path) -> None:
    record = running.run(made("watershed", tested=(0,)), tmp_path, "zoo run --method watershed").record
    assert record.figures["cell_jaccard"].value > 0.5


def test_what_is_tested_is_never_trained_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: set[int] = set()
    real = training.batch_of

    def watched(given: Fields, numbers: np.ndarray, device: object) -> object:
        seen.update(map(int, numbers))
        return real(given, numbers, device)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_of", watched)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    running.trained(made(), 2)
    assert seen == {number for number in range(COUNT) if number % 3 != 2}


def test_a_killed_training_goes_on_to_the_same_result(tmp_path: Path) -> None:
    one = made(epochs="3", batch="4", width="8")

    def learn(file: Path, stop_at: int = 0) -> dict[str, torch.Tensor]:
        def progress(done: int, *_: object) -> None:
            if done == stop_at:
                raise KeyboardInterrupt

        network = one.model.network(one.kind(0), one.backbone(), one.seed)
        training.train(network, one.model, one.fields, one.trained(0), one.seed, one.device, file, progress)
        return network.state_dict()

    whole = learn(tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "parts.pt", stop_at=5)  # in the second epoch of three steps each
    resumed = learn(tmp_path / "parts.pt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    again = learn(tmp_path / "parts.pt", stop_at=1)  # nothing is left to do
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_global_random_numbers_are_given_back(tmp_path: Path) -> None:
    one = made()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    network = one.model.network(one.kind(0), one.backbone(), one.seed)
    training.train(network, one.model, one.fields, one.trained(0), one.seed, one.device, tmp_path / "a.pt")
    assert torch.equal(torch.rand(3), expected)


def test_no_batch_is_of_one_field_and_every_field_comes_once() -> None:
    batches = training._batches(np.arange(9), 4, 0, 1)
    assert sorted(map(len, batches)) == [4, 5]
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(9))
    assert not np.array_equal(batches[0], training._batches(np.arange(9), 4, 0, 2)[0])


def test_outlines_lie_on_the_edges() -> None:
    one = fields()
    truth = one.truth(0)
    large = gallery.outlined(np.asarray(one.pixels[0]), truth, ["1"] * len(truth.labels))
    times = len(large) // SIDE
    assert truth.masks is not None
    inside = truth.masks[0].repeat(times, 0).repeat(times, 1)
    yellow = (large == gallery.CELL).all(-1)
    blue = (large == gallery.NUCLEUS).all(-1)
    assert yellow.any()
    assert inside[yellow].min() >= 1
    assert blue.any()
    assert inside[blue].min() == 2


def test_the_picture_says_what_is_wrong_missed_and_spurious() -> None:
    one = fields()
    truth = one.truth(1)
    assert truth.masks is not None
    found = Cells(
        1 - truth.labels[:1], truth.boxes[:1], truth.masks[:1], truth.attributes[:1], np.array([0.7], np.float32)
    )
    shown = gallery.Shown("a", np.asarray(one.pixels[1]), truth, found)
    lines = [text for text, _ in gallery._lines(shown, one.classes, one.attributes)]
    right = one.classes[truth.labels[0]]
    assert any("certainty 70 %" in line and one.classes[1 - truth.labels[0]] in line for line in lines)
    assert any(line.strip().startswith(f"true: {right}") for line in lines)
    assert lines[-1] == "1 true cell missed"
    same = gallery._lines(gallery.Shown("c", np.asarray(one.pixels[1]), truth, truth), one.classes, one.attributes)
    assert [text.strip() for text, _ in same if "true:" in text] == ["true: the same"] * len(truth.labels)
    spurious = gallery.Shown("b", np.asarray(one.pixels[4]), one.truth(4), found)
    lines = [text for text, _ in gallery._lines(spurious, one.classes, one.attributes)]
    assert "there is no such cell" in " ".join(lines)
    with pytest.raises(ZooError, match="no field with a cell"):
        gallery.draw([], one.classes, one.attributes, "t", "s", Path("x.png"))


def test_every_shipped_benchmark_is_whole() -> None:
    assert {"bccd_fields", "leukox", "segmentation_wbc_cells", "smear_fields"} <= set(cell_benchmark.names())
    for name in cell_benchmark.names():
        assert cell_benchmark.read(name).rounds


@pytest.mark.parametrize(("text", "says"), [
    ("title = 1", "title: Input should be a valid string"),
    ("x", "not a TOML file"),
    ('title = "t"\ndataset = "smear"\nside = 64\nfolds = 3\ntested = [3]\nbackbone = "conv4"', "tested must name"),
])  # fmt: skip
def test_a_broken_benchmark_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    monkeypatch.setattr(paths, "cell_protocols", lambda: tmp_path)
    with pytest.raises(ZooError, match=says):
        cell_benchmark.read("mine")


@pytest.mark.parametrize(("words", "says"), [
    ("--method cellnet --explainer siamcam", "--explainer: cellnet finds cells in whole fields"),
    ("--method cellnet --shot 5", "--shot: cellnet finds cells"),
    ("--method stn --benchmark smear_fields", "it tests models that find cells in fields"),
    ("--method cellnet --benchmark smear_8way_5shot", "unknown benchmark of cells 'smear_8way_5shot'"),
    ("--method cellnet --benchmark leukox", "leukox"),
    ("--method cellnet --set widht=3", "did you mean 'width'"),
    ("--method cellnet --seed -1", "--seed -1"),
])  # fmt: skip
def test_mistakes_are_one_line(
    words: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo import cli

    monkeypatch.setattr("sys.argv", ["zoo", "run", *words.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert says in printed
    assert len(printed.splitlines()) == 1


def test_setup_takes_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.data.fields import load

    monkeypatch.setattr(load, "load", lambda name, side: fields())
    monkeypatch.setattr(load, "listing", lambda card: None)
    one = setup("cellnet", "smear_fields", weights="none", settings=SHORT)
    assert one.backbone_name == "conv4"
    assert one.kind(0)[:2] == (2, (2,))
    assert one.kind(0).masks
    assert len(np.intersect1d(one.trained(0), one.tested(0))) == 0
