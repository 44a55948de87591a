"""Methods that adapt the backbone in each episode, and those that read maps, through the whole pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo import registry
from zoo.data.benchmark import Benchmark
from zoo.data.items import Items
from zoo.errors import ZooError
from zoo.methods.stn import STN
from zoo.pipeline import run as running
from zoo.pipeline import setup as setups
from zoo.pipeline.adapt import FromTrunk, adapt, evaluate_adapting
from zoo.pipeline.device import AtPrecision, choose
from zoo.pipeline.evaluate import evaluate
from zoo.pipeline.fit import Clock, Validation, fit, train_only, validation_bank
from zoo.pipeline.maps import evaluate_maps, maps
from zoo.pipeline.scene import Scene
from zoo.pipeline.train import as_images
from zoo.record import Bank, BankSpec, Episode
from zoo.types import Adapting, Backbone

COLOURS = {"amber": (220, 170, 60), "blue": (70, 80, 200), "green": (60, 160, 70), "rose": (210, 80, 130)}
SHORT = {
    "finetune": {"tune_steps": "2"}, "pmf": {"epochs": "1", "batch": "12", "shot": "2", "tune_steps": "2"},
    "maml": {"epochs": "1", "batch": "12", "shot": "2"}, "meta_sgd": {"epochs": "1", "batch": "12", "shot": "2"},
    "reptile": {"epochs": "5", "batch": "12", "shot": "2"}, "anil": {"epochs": "1", "batch": "12", "shot": "2"},
}  # fmt: skip


def paint(folder: Path, names: tuple[str, ...], count: int, seed: int) -> Path:
    """`count` noisy squares of each colour on a pale ground."""
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = random.integers(190, 256, (24, 24, 3))
            top, left = random.integers(2, 10, 2)
            picture[top : top + 11, left : left + 11] = np.array(COLOURS[name]) + random.integers(-30, 30, (11, 11, 3))
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("cells"), tuple(COLOURS), 18, 0)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("others"), ("blue", "rose"), 9, 1)


def bench(dataset: Path, kind: str = "standard", **fields: object) -> Benchmark:
    given = {"name": "small", "sha256": "0" * 64, "title": "small", "dataset": str(dataset), "side": 24,
             "train_per_class": 6, "validation_per_class": 5, "explained": 4, "steps": 2}  # fmt: skip
    bank = BankSpec(kind=kind, way=2, shot=2, query=3, episodes=3)  # type: ignore[arg-type]
    return Benchmark.model_validate(given | {"bank": bank} | fields)


@pytest.fixture
def small(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setups.benchmarks, "benchmark", lambda name: bench(cells))


def made(
    method: str, benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, weights: str = "none", **settings: str
) -> setups.Setup:
    monkeypatch.setattr(setups.benchmarks, "benchmark", lambda name: benchmark)
    return setups.setup(
        method, benchmark="small", backbone="conv4", weights=weights, settings=settings, device="cpu", precision="fp32"
    )


@pytest.mark.parametrize(("name", "explainer"), [
    ("maml", None), ("meta_sgd", None), ("reptile", "grad_cam"), ("pmf", None), ("anil", None),
])  # fmt: skip
def test_a_run_from_training_to_record(name: str, explainer: str | None, small: None, tmp_path: Path) -> None:
    if name in ("maml", "meta_sgd"):
        pytest.importorskip("learn2learn")
    choices = {"benchmark": "small", "backbone": "conv4", "weights": "none", "device": "cpu", "precision": "fp32"}
    record = zoo.run(name, explainer, out=tmp_path, settings=SHORT[name], **choices).record
    assert record.labels_seen == 24
    assert record.figures["accuracy"].value > 0.5
    assert record.validation_accuracy is not None
    assert bool(record.explanations) == bool(explainer)


@pytest.mark.parametrize("part", ["last", "full"])
def test_finetune_changes_what_it_says(part: str) -> None:
    backbone = registry.backbone("conv4", None, seed=0).eval().requires_grad_(False)
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(3).repeat_interleave(2)
    method = registry.method("finetune", {"part": part, "tune_steps": "2"})
    assert isinstance(method, Adapting)
    own, _ = adapt(method, AtPrecision(backbone, choose("cpu", "fp32")), None, images, labels, 0, np.arange(6))
    before, after = backbone.state_dict(), own.inner.state_dict()  # type: ignore[union-attr]
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == ({"3"} if part == "last" else {"0", "1", "2", "3"})
    assert not any(parameter.requires_grad for parameter in own.parameters())


def test_finetuning_fits_its_supports_better_than_a_head() -> None:
    """Two classes that differ by where a square lies, which random features see badly."""
    images, labels = torch.zeros(8, 3, 32, 32), torch.arange(2).repeat_interleave(4)
    images += 0.3 * torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images[:4, :, :16] += 0.2
    backbone = AtPrecision(registry.backbone("conv4", None).requires_grad_(False), choose("cpu", "fp32"))
    losses = []
    for settings in ({"tune_steps": "1", "tune_rate": "0"}, {"tune_steps": "15", "tune_rate": "0.0003"}):
        method = registry.method("finetune", {"part": "full", **settings})
        assert isinstance(method, Adapting)
        own, params = adapt(method, backbone, None, images, labels, 0, np.arange(8))
        losses.append(float(torch.nn.functional.cross_entropy(method.scores(params, own(images)), labels)))
    assert losses[1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", ["conv4", "mobilenetv2_100", "resnet18", "vit_tiny_patch16_224"])
def test_tail_of_trunk_is_hidden(name: str) -> None:
    backbone = registry.backbone(name, None, pretrained=False).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(backbone.tail(backbone.trunk(images)), backbone.hidden(images))


def test_an_unknown_last_block_is_said() -> None:
    with pytest.raises(ZooError, match="its last block is not known; --set part=full"):
        registry.backbone("densenet121", None, pretrained=False).trunk(torch.rand(1, 3, 64, 64))


def test_cached_trunks_stand_in_for_images(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same episodes from trunks of half precision on disk and from the images: the same scores, near enough."""
    made_one = made("finetune", bench(cells), monkeypatch, part="last", tune_steps="3", tune_rate="0.001")
    bank = running.banks.draw(made_one.items, made_one.test_items, made_one.bank_spec, made_one.classes)
    fitted = fit(made_one, bank, Clock())
    assert fitted.features.dtype == torch.float16
    from_trunks = running._scores(made_one, fitted, bank)
    method = made_one.method
    assert isinstance(method, Adapting)
    from_images = evaluate_adapting(
        method, fitted.backbone, None, bank, lambda n: as_images(made_one.items.pixels[n], made_one.device), 0
    )
    for ours, theirs in zip(from_trunks, from_images, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.05)  # Adam makes steps of the smallest slopes


def test_the_classifier_of_an_episode_is_the_evaluated_one(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What explainers see gives the scores of the record, views of the supports and all; and it is adapted once."""
    made_one = made("pmf", bench(cells), monkeypatch, epochs="0", tune_steps="2", tune_rate="0.01")
    bank = running.banks.draw(made_one.items, made_one.test_items, made_one.bank_spec, made_one.classes)
    fitted = fit(made_one, bank, Clock())
    scores = running._scores(made_one, fitted, bank)
    scene = Scene(fitted.backbone, made_one.method, None, made_one.items, made_one.classes, 1.0, torch.zeros(3),
                  fitted.features, made_one.seed)  # fmt: skip
    episode = bank.episodes[1]
    classifier = scene.classifier(episode)
    with torch.no_grad():
        np.testing.assert_allclose(classifier(scene.images(episode.query)).numpy(), scores[1], rtol=1e-4, atol=1e-5)
        still = fitted.backbone(scene.images(episode.query))
    assert scene.classifier(episode) is classifier
    assert not torch.allclose(classifier.backbone(scene.images(episode.query)), still)
    seen = classifier.method.features(classifier.backbone, classifier.support_hidden)
    assert torch.equal(classifier.support.features, seen)


def test_a_killed_evaluation_goes_on_from_its_last_episode(
    cells: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    made_one = made("finetune", bench(cells), monkeypatch, part="full", tune_steps="1")
    bank = running.banks.draw(made_one.items, made_one.test_items, made_one.bank_spec, made_one.classes)
    fitted = fit(made_one, bank, Clock())
    asked: list[tuple[int, ...]] = []

    def counted(self: Adapting, backbone: Backbone, state: None, images: torch.Tensor, *rest: Any) -> Any:
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(tuple(images.shape))
        return adapts(self, backbone, state, images, *rest)

    adapts = type(made_one.method).adapt  # type: ignore[attr-defined]
    monkeypatch.setattr(type(made_one.method), "adapt", counted)
    with pytest.raises(KeyboardInterrupt):
        running._scores(made_one, fitted, bank)
    asked.append((0,))  # one episode more than the kill let through, so that none is refused from here
    found = running._scores(made_one, fitted, bank)
    assert len(asked) == 1 + len(bank.episodes)  # the first is not asked again
    monkeypatch.undo()
    assert isinstance(made_one.method, Adapting)
    whole = evaluate_adapting(
        made_one.method, fitted.backbone, None, bank, lambda n: as_images(made_one.items.pixels[n], made_one.device), 0
    )
    assert all(np.array_equal(one, other) for one, other in zip(found, whole, strict=True))


def test_at_most_fifty_episodes(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = bench(cells, bank=BankSpec(kind="standard", way=2, shot=2, query=3, episodes=600))
    for name, settings, episodes in (("maml", {}, 50), ("finetune", {"part": "full"}, 50), ("finetune", {}, 600)):
        assert made(name, many, monkeypatch, **settings).bank_spec.episodes == episodes


@pytest.mark.parametrize(("method", "settings"), [
    ("finetune", {"part": "full", "tune_steps": "2"}), ("finetune", {"part": "last"}), ("pmf", {"epochs": "0"}),
    ("label_propagation", {}),
])  # fmt: skip
def test_own_images_are_predicted(method: str, settings: dict[str, str], small: None, cells: Path) -> None:
    names = ["blue", "rose"]
    images = [cells / name / f"{number}.png" for name in names for number in (14, 15)]
    found = zoo.predict(images, cells, method, benchmark="small", weights="none", device="cpu", precision="fp32",
                        backbone="conv4", settings=settings)  # fmt: skip
    assert [one.image for one in found] == images
    assert sum(one.predicted == one.image.parent.name for one in found) >= 3


def test_maps_are_kept_in_half_precision_by_item_number(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = made("prototypical", bench(cells), monkeypatch).items
    backbone = AtPrecision(registry.backbone("conv4", None).requires_grad_(False), choose("cpu", "fp32"))
    chosen = np.array([3, 20, 41])
    def read(images: torch.Tensor) -> torch.Tensor:
        return backbone.grid(backbone.hidden(images))
    found = maps(backbone, "some weights", items, chosen, "maps", read)
    assert found.shape == (len(items), 64, 1, 1)
    assert found.dtype == torch.float16
    with torch.no_grad():
        expected = read(as_images(items.pixels[chosen], choose("cpu", "fp32")))
    torch.testing.assert_close(found[torch.from_numpy(chosen)].float(), expected, rtol=1e-3, atol=1e-3)
    assert not found[0].any()
    monkeypatch.setattr("zoo.pipeline.maps._write", lambda *_: pytest.fail("made again"))
    assert torch.equal(maps(backbone, "some weights", items, chosen, "maps", read), found)


def test_a_damaged_file_of_maps_is_made_again(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    items = made("prototypical", bench(cells), monkeypatch).items
    backbone = AtPrecision(registry.backbone("conv4", None).requires_grad_(False), choose("cpu", "fp32"))
    first = maps(backbone, "w", items, np.array([1]), "trunks", backbone.trunk).clone()
    [file] = (tmp_path / "trunks").iterdir()
    file.write_bytes(file.read_bytes()[:500])
    assert torch.equal(maps(backbone, "w", items, np.array([1]), "trunks", backbone.trunk), first)
    assert "damaged cache file" in capsys.readouterr().err


def test_maps_are_evaluated_as_embeddings_are() -> None:
    """A method of embeddings, shown flat maps: the loop gives what evaluation together gives."""
    random = torch.Generator().manual_seed(0)
    found = torch.randn(40, 6, generator=random)
    support, labels = np.arange(6), np.repeat(np.arange(3), 2)
    episodes = tuple(Episode(np.arange(3), support + k, labels, np.arange(20, 40), np.zeros(20, int)) for k in range(3))
    bank, method = Bank(BankSpec(kind="standard", way=3, shot=2, episodes=3), episodes), registry.method("prototypical")
    together = evaluate(method, None, bank, found, np.arange(3))
    for ours, theirs in zip(evaluate_maps(method, None, bank, found, np.arange(3)), together, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_relation_runs_from_maps(small: None, tmp_path: Path) -> None:
    if registry.plugin("methods", "relation").input != "maps":
        pytest.skip("reads embeddings")
    choices = {"benchmark": "small", "backbone": "conv4", "weights": "none", "device": "cpu", "precision": "fp32"}
    record = zoo.run("relation", out=tmp_path, settings={"epochs": "2", "batch": "12", "shot": "2"}, **choices).record
    assert record.figures["accuracy"].value > 0.3


def test_novel_classes_are_never_trained_or_validated_on(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bench(cells, classes=("amber", "rose"), train_classes=("blue", "green"))
    made_one = made("stn", given, monkeypatch, epochs="1")
    labels = made_one.items.labels
    for numbers in (made_one.train_items, made_one.validation_items):
        assert set(labels[numbers]) == {1, 2}
    assert len(made_one.train_items) == 12
    assert made_one.test_items.tolist() == np.flatnonzero(np.isin(labels, [0, 3])).tolist()  # all of them
    bank = validation_bank(made_one)
    assert bank is not None
    assert {int(c) for episode in bank.episodes for c in episode.classes} == {1, 2}


def test_a_closed_set_tests_the_test_split(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_one = made("stn", bench(cells), monkeypatch)
    assert made_one.test_items.tolist() == made_one.split.test.tolist()
    assert made_one.base_items is made_one.items


def test_novel_run_and_its_control(cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bench(cells, classes=("amber", "rose"), train_classes=("blue", "green"))
    made_one = made("stn", given, monkeypatch, epochs="2", batch="8")
    record = running.run(made_one, tmp_path, "zoo run").record
    assert record.classes == ["amber", "rose"]
    assert record.labels_seen == 12
    assert record.figures["accuracy"].value > 0.5
    with pytest.raises(ZooError, match="knows only the classes it trained on, and small tests on others") as caught:
        made("supervised", given, monkeypatch)
    assert "\n" not in str(caught.value)


def test_trained_on_one_dataset_tested_on_another(
    cells: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = bench(others, "all", train_dataset=str(cells))
    made_one = made("stn", given, monkeypatch, epochs="2", batch="16")
    assert len(made_one.test_items) == 18
    assert len(made_one.train_items) == 24
    record = running.run(made_one, tmp_path, "zoo run").record
    assert record.classes == ["blue", "rose"]
    assert record.dataset == others.name
    assert record.validation_accuracy is not None
    assert record.figures["accuracy"].value > 0.5
    assert record.provenance.item_set_sha256 != made_one.items.sha256
    assert record.settings_sha256[:12] in record.key


def test_validation_accuracy_by_hand(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In training, by positions in a copy of the validation items; here, by item numbers and embeddings."""
    made_one = made("stn", bench(cells), monkeypatch, patience="1")
    bank, backbone = validation_bank(made_one), registry.backbone("conv4", None, seed=3).train()
    assert bank is not None
    assert isinstance(made_one.method, STN)
    found = Validation.of(made_one, made_one.method, bank)(backbone, None)
    assert backbone.training
    with torch.no_grad():
        embeddings = backbone.eval()(as_images(np.array(made_one.items.pixels), made_one.device))
    scores = evaluate(made_one.method, None, bank, embeddings, made_one.classes)
    right = [np.mean(part.argmax(1) == e.query_labels) for e, part in zip(bank.episodes, scores, strict=True)]
    assert found == pytest.approx(np.mean(right), abs=0.02)


def test_train_only_leaves_what_run_and_weights_take(
    cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "stn.safetensors"
    places = train_only(made("stn", bench(cells), monkeypatch, epochs="1", patience="1"), 1, out)
    before = places["checkpoint"].stat().st_mtime_ns
    fresh = made("stn", bench(cells), monkeypatch, epochs="1", patience="1")
    trained = fit(fresh, None, Clock()).backbone.inner
    assert places["checkpoint"].stat().st_mtime_ns == before
    torch.testing.assert_close(registry.backbone("conv4", out).state_dict(), trained.state_dict(), rtol=0, atol=0)
    with pytest.raises(ZooError, match="it does not train"):
        train_only(made("knn", bench(cells), monkeypatch), 1, None)
    with pytest.raises(ZooError, match=r"written as \.safetensors"):
        train_only(fresh, 1, tmp_path / "x.pt")


def test_written_weights_carry_what_they_have_seen(
    cells: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    first = made("stn", bench(cells), monkeypatch, epochs="1", patience="1")
    out = train_only(first, 1, tmp_path / "stn.safetensors")["weights"]
    again = made("prototypical", bench(cells), monkeypatch, weights=str(out))
    assert again.weights_seen == set(first.train_names)
    assert again.labels_seen == len(first.train_items) == len(first.train_names) == 24
    elsewhere = made("stn", bench(others, train_per_class=2, validation_per_class=2), monkeypatch, weights=str(out))
    assert elsewhere.labels_seen == 24 + len(elsewhere.train_items) == 28
    with pytest.raises(ZooError, match=r"trained on \d+ images that small tests or validates on"):
        made("prototypical", bench(cells, train_per_class=3), monkeypatch, weights=str(out))
    assert made("prototypical", bench(cells), monkeypatch).labels_seen == 0


def test_the_command_passes_everything_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo import cli

    seen: list = []

    def train_only(*given: object) -> dict[str, Path]:
        seen.extend(given)
        return {"checkpoint": Path("a.pt")}

    monkeypatch.setattr(setups, "setup", lambda *given, **choices: (given, choices))
    monkeypatch.setattr("zoo.pipeline.fit.train_only", train_only)
    words = "zoo train --method stn --benchmark b --set epochs=2 --seed 3 --processes 2 --out w.safetensors"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    (given, choices), processes, out = seen
    assert given == ("stn",)
    assert (choices["benchmark"], choices["settings"], choices["seed"]) == ("b", {"epochs": "2"}, 3)
    assert (processes, out) == (2, Path("w.safetensors"))
    assert capsys.readouterr().out.split() == ["checkpoint", "a.pt"]

    monkeypatch.setattr(setups, "setup", lambda *given, **choices: pytest.fail("images were read for nothing"))
    for wrong, why in (("--method knn", "it does not train"), ("--method stn --out w.pt", "written as .safetensors")):
        monkeypatch.setattr("sys.argv", f"zoo train {wrong}".split())
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 2
        assert why in capsys.readouterr().err


def test_saved_weights_remember_padding_and_colours(tmp_path: Path) -> None:
    from zoo.weights import save_file, timm_model

    network, _, _ = timm_model("mobilenetv2_100", None, False, 0, pad_type="same")
    network.card = {"create": {"pad_type": "same"}, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 0.5)}
    save_file(network, tmp_path / "x.safetensors")
    again = registry.backbone("mobilenetv2_100", tmp_path / "x.safetensors")
    assert again.std.flatten().tolist() == [0.25, 0.5, 0.5]  # type: ignore[operator,union-attr]
    assert any(type(module).__name__ == "Conv2dSame" for module in again.modules())


def test_images_are_not_looked_at_where_trunks_are() -> None:
    backbone = registry.backbone("conv4", None).eval()
    device = choose("cpu", "fp32")
    shown = FromTrunk(AtPrecision(backbone, device), device)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(shown(backbone.trunk(images)), backbone(images))


def test_items_are_the_whole_dataset_in_both_roles(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_one = made("stn", bench(cells), monkeypatch)
    assert isinstance(made_one.items, Items)
    assert made_one.items_sha256 == made_one.items.sha256
