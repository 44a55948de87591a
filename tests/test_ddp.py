"""Two processes: one gradient, one writer, one accuracy."""

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from statsmodels.stats.proportion import proportion_confint
from tiny import TinyBackbone
from torch import nn
from two import lessons

from zoo import registry
from zoo.augment import augment
from zoo.methods.reptile import Reptile
from zoo.methods.stn import STN
from zoo.methods.supervised import Supervised
from zoo.pipeline.device import choose
from zoo.pipeline.parallel import train_in
from zoo.pipeline.train import as_images, hash_seed, shares, train
from zoo.types import Learned

LABELS = np.repeat(np.arange(3), 11)
PIXELS = np.random.default_rng(0).integers(0, 150, (33, 16, 16, 3), dtype=np.uint8)
PIXELS[..., 0] += (50 * LABELS[:, None, None]).astype(np.uint8)


def lesson(method: Learned, checkpoint: Path, network: nn.Module | None = None) -> dict[str, Any]:
    return {
        "backbone": network or TinyBackbone(), "method": method, "pixels": PIXELS, "labels": LABELS, "classes": 3,
        "seed": 0, "device": choose("cpu", "fp32"), "checkpoint": checkpoint,
    }  # fmt: skip


def process(rank: int, world: int) -> Any:
    return SimpleNamespace(global_rank=rank, world_size=world)


def test_shares_of_a_batch_are_dealt_out_like_cards() -> None:
    batches = [np.array([5, 6, 7, 8, 9])]
    rows = [shares(batches, process(rank, 2), True)[0].rows.tolist() for rank in range(2)]
    assert rows == [[0, 2, 4], [1, 3, 0]]  # five images in six places: the first comes once more


def test_batches_of_their_own() -> None:
    batches = [np.array([1, 2]), np.array([3, 4, 5]), np.array([6, 7])]
    first, second = (shares(batches, process(rank, 2), False) for rank in range(2))
    assert [share.batch.tolist() for share in first] == [[1, 2, 3, 4, 5], [6, 7, 1, 2]]
    assert [share.batch[share.rows].tolist() for share in first] == [[1, 2], [6, 7]]
    assert [share.batch[share.rows].tolist() for share in second] == [[3, 4, 5], [1, 2]]


METHODS = {
    "stn": STN(epochs=2, batch=9), "supervised": Supervised(epochs=2, batch=8),
    "diverging": Supervised(epochs=3, batch=9, rate=1e30), "reptile": Reptile(epochs=1, batch=12, way=3, shot=2),
}  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Every method trained by the same two processes: the folder of checkpoints, and what each had to say."""
    folder = tmp_path_factory.mktemp("two")
    given = [lesson(method, folder / name / "x.pt") for name, method in METHODS.items()]
    said = choose("cpu", "fp32").fabric(2).launch(functools.partial(lessons, given=given))
    return folder, dict(zip(METHODS, said, strict=True))


@pytest.mark.parametrize("name", ["stn", "supervised"])
def test_two_processes_train_what_one_does(name: str, two: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """A network without BatchNorm: pairs across processes, odd batches and augmentation are all the same, so that
    the weights are, but for the order of additions. Adam divides by the size of the gradient, so that a sum in place
    of a mean would hide in the weights: its moments are compared too."""
    folder, said = two
    assert said[name] == ""
    one = train(**lesson(METHODS[name], tmp_path / "one.pt"))
    alone, together = (torch.load(file, weights_only=True) for file in (tmp_path / "one.pt", folder / name / "x.pt"))
    for number, moments in alone["optimiser"]["state"].items():
        found = together["optimiser"]["state"][number]
        torch.testing.assert_close(found["exp_avg"], moments["exp_avg"], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(found["exp_avg_sq"], moments["exp_avg_sq"], rtol=1e-3, atol=1e-9)
    torch.testing.assert_close(together["network"], alone["network"], rtol=1e-3, atol=1e-5)
    assert [file.name for file in (folder / name).iterdir()] == ["x.pt"]
    taken = train(**lesson(METHODS[name], folder / name / "x.pt"), progress=lambda *_: pytest.fail("trained again"))
    torch.testing.assert_close(taken.backbone.state_dict(), one.backbone.state_dict(), rtol=1e-3, atol=1e-5)


def test_episodes_of_their_own_are_averaged(two: tuple[Path, dict[str, str]]) -> None:
    """A method with an inner loop: after the one step of two episodes Adam's second moment is a thousandth of the
    square of the mean of what each of them alone asks for. (Its first moment follows the schedule.)"""
    folder, said = two
    assert said["reptile"] == ""
    method, found = METHODS["reptile"], torch.load(folder / "reptile" / "x.pt", weights_only=True)["optimiser"]["state"]
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([0, 0, 1])))
    episodes = list(method.batches(LABELS, 0, random))
    assert len(episodes) == 2
    backbone, device, wanted = TinyBackbone(), choose("cpu", "fp32"), []
    images = as_images(PIXELS[np.concatenate(episodes)], device)
    images = augment(images, torch.Generator().manual_seed(hash_seed(0, 0)))
    for episode, part in zip(episodes, images.split([len(episode) for episode in episodes]), strict=True):
        loss = method.objective(backbone, None, part, torch.from_numpy(LABELS[episode]))
        wanted.append(torch.autograd.grad(loss, list(backbone.parameters())))
    for number, (one, other) in enumerate(zip(*wanted, strict=True)):
        mean = (one + other) / 2
        torch.testing.assert_close(found[number]["exp_avg_sq"], 1e-3 * mean.square(), rtol=1e-3, atol=1e-12)
        assert torch.equal(found[number]["exp_avg"].sign(), mean.sign())


def test_a_mistake_comes_back_as_one_line(two: tuple[Path, dict[str, str]]) -> None:
    assert two[1]["diverging"].startswith("training diverged in epoch")
    assert "\n" not in two[1]["diverging"]


def test_accuracy_of_two_processes_is_within_the_interval_of_one(tmp_path: Path) -> None:
    """With BatchNorm, whose statistics each process takes of its own share; on 300 new images."""
    truth, method, right = np.arange(300) % 3, Supervised(epochs=25, batch=12), []
    new = np.random.default_rng(1).integers(0, 150, (300, 16, 16, 3), dtype=np.uint8)
    new[..., 0] += (50 * truth[:, None, None]).astype(np.uint8)
    for processes in (1, 2):
        given = lesson(method, tmp_path / f"{processes}.pt", registry.backbone("conv4", None, seed=0))
        if processes > 1:
            train_in(processes, choose("cpu", "fp32"), "conv4", given)
        found = train(**given)
        assert isinstance(found.state, nn.Linear)
        with torch.no_grad():
            scores = found.state(found.backbone(as_images(new, choose("cpu", "fp32"))))
        right.append((scores.argmax(1).numpy() == truth).sum())
    low, high = proportion_confint(right[0], 300, method="wilson")
    assert right[0] > 240
    assert low - 1e-9 <= right[1] / 300 <= high + 1e-9
