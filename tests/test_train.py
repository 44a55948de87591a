"""Training: the fast gradient is the gradient, a killed run goes on to the same result, unfolding changes nothing."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from zoo.augment import augment
from zoo.errors import ZooError
from zoo.methods.stn import STN
from zoo.methods.supervised import Supervised
from zoo.pipeline import train as training
from zoo.pipeline.depthwise import fast_depthwise
from zoo.pipeline.device import choose
from zoo.pipeline.train import train
from zoo.registry import backbone
from zoo.weights import folded, unfold

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(np.arange(2), 16)
BRIGHTNESS = (100 * LABELS[:, None, None, None]).astype(np.uint8)
PIXELS = RANDOM.integers(0, 64, (32, 32, 32, 3), dtype=np.uint8) + BRIGHTNESS


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trained(folder: Path, epochs: int = 3, seed: int = 0, progress=lambda *_: None) -> nn.Module:
    method = Supervised(epochs=epochs, batch=8)
    network = backbone("conv4", None, seed=0)
    found = train(network, method, PIXELS, LABELS, 2, seed, choose("cpu"), folder / "x.pt", progress)
    assert found.state is not None
    return nn.ModuleDict({"backbone": found.backbone, "state": found.state})


def test_same_seed_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first = state(trained(tmp_path / "a"))
    assert equal(first, state(trained(tmp_path / "b")))
    assert not equal(first, state(trained(tmp_path / "c", seed=1)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_process_is_the_plain_loop(tmp_path: Path, precision: str) -> None:
    """Fabric and all, bit for bit what a loop in plain torch comes to."""
    device, method = choose("cpu", precision), STN(epochs=2, batch=8)
    found = train(backbone("conv4", None, seed=0), method, PIXELS, LABELS, 2, 5, device, tmp_path / "x.pt").backbone
    plain = backbone("conv4", None, seed=0).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(plain.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=8)
    for epoch in range(2):
        random = torch.Generator().manual_seed(training.hash_seed(5, epoch))
        order = np.random.Generator(np.random.Philox(np.random.SeedSequence([5, epoch, 1])))
        for batch in method.batches(LABELS, epoch, order):
            images = augment(training.as_images(PIXELS[batch], device), random)
            with device.autocast():
                features = plain(images.contiguous(memory_format=torch.channels_last))
            optimiser.zero_grad()
            method.loss(None, features.float(), torch.from_numpy(LABELS[batch])).backward()
            optimiser.step()
            schedule.step()
    assert equal(state(found), state(plain))


class Scripted:
    """Validation accuracies of a script, and the weights they were given for."""

    def __init__(self, *accuracies: float) -> None:
        self.accuracies, self.seen = list(accuracies), []

    def __call__(self, network: nn.Module, _: nn.Module | None) -> float:
        self.seen.append(state(network))
        return self.accuracies[len(self.seen) - 1]


def test_patience_stops_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    """Best after the second of six epochs, then two without a better one: the fifth never runs."""
    method, script = STN(epochs=6, batch=16, patience=2), Scripted(0.5, 0.7, 0.7, 0.6, 0.9, 0.9)
    shown: list[float | None] = []
    arguments = (method, PIXELS, LABELS, 2, 0, choose("cpu", "fp32"), tmp_path / "x.pt")
    found = train(backbone("conv4", None), *arguments, lambda *p: shown.append(p[4]), script)
    assert len(script.seen) == 4
    assert equal(state(found.backbone), script.seen[1])
    assert shown == [None] * 2 + [0.5] * 2 + [0.7] * 4
    again = train(backbone("conv4", None), *arguments, validate=script)  # nothing is left to do
    assert len(script.seen) == 4
    assert equal(state(again.backbone), script.seen[1])


def test_without_patience_nothing_is_validated(tmp_path: Path) -> None:
    script = Scripted()
    train(backbone("conv4", None), STN(epochs=1, batch=16), PIXELS, LABELS, 2, 0, choose("cpu"), tmp_path / "x.pt",
          validate=script)  # fmt: skip
    assert not script.seen


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, *_: object) -> None:
        if done == 7:  # in the middle of the second of three epochs of four steps
            raise Killed

    with pytest.raises(Killed):
        trained(tmp_path / "killed", progress=kill)
    steps = []
    resumed = trained(tmp_path / "killed", progress=lambda done, *_: steps.append(done))
    assert steps == list(range(5, 13))
    assert equal(state(resumed), state(trained(tmp_path / "whole")))


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first, steps = trained(tmp_path), []
    again = trained(tmp_path, progress=lambda done, *_: steps.append(done))
    assert not steps
    assert equal(state(first), state(again))


def test_a_damaged_checkpoint_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = trained(tmp_path)
    file = tmp_path / "x.pt"
    file.write_bytes(file.read_bytes()[:1000])
    again = trained(tmp_path)
    assert "damaged checkpoint" in capsys.readouterr().err
    assert equal(state(first), state(again))


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x02]q\x00."])
def test_any_damage_starts_afresh(tmp_path: Path, content: bytes) -> None:
    first = state(trained(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.pt").write_bytes(content)
    assert equal(first, state(trained(tmp_path / "b")))


def test_divergence_is_said(tmp_path: Path) -> None:
    method = Supervised(epochs=3, batch=8, rate=1e18)
    with pytest.raises(ZooError, match="diverged"):
        train(backbone("conv4", None), method, PIXELS, LABELS, 2, 0, choose("cpu"), tmp_path / "x.pt")


def test_checkpoints_hold_no_code(tmp_path: Path) -> None:
    trained(tmp_path)
    saved = torch.load(tmp_path / "x.pt", weights_only=True)
    assert set(saved) == {"network", "optimiser", "schedule", "epoch", "seconds"}
    assert [file.name for file in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize("name", ["mobilenetv2_100", "tf_efficientnet_b0"])
@pytest.mark.parametrize("side", [64, 65])
def test_fast_gradient_is_the_gradient(name: str, side: int) -> None:
    """In double precision, with plain and with TensorFlow's padding, for even and odd sides."""
    network = backbone(name, None, pretrained=False).double().train(False)
    images = torch.rand(2, 3, side, side, dtype=torch.double, requires_grad=True)
    found = []
    for enabled in (False, True):
        with fast_depthwise(network, enabled):
            loss = network(images).square().sum()
        found.append(torch.autograd.grad(loss, [images, *network.parameters()]))
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-12)
    assert "forward" not in vars(next(module for module in network.modules() if isinstance(module, nn.Conv2d)))


def test_unfolding_keeps_the_function(tmp_path: Path) -> None:
    """Fold a network's BatchNorm by hand, unfold it: the same embeddings, and now statistics to train with."""
    network = backbone("mobilenetv2_100", None, pretrained=False, seed=1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_var.fill_(1 - module.eps)  # type: ignore[union-attr]
            module.bias.data.normal_(0, 0.1)
    images = torch.rand(8, 3, 64, 64)
    assert folded(network)
    before = network(images)
    unfold(network, [images[:4], images[4:]])
    assert not folded(network)
    torch.testing.assert_close(network(images), before, rtol=1e-3, atol=1e-4)
    assert not folded(backbone("conv4", None))


def test_part_of_a_batch_is_augmented_as_in_the_batch() -> None:
    images = torch.rand(6, 3, 16, 16)
    whole = augment(images, torch.Generator().manual_seed(0))
    rows = torch.tensor([1, 4, 0])
    assert torch.equal(augment(images[rows], torch.Generator().manual_seed(0), 6, rows), whole[rows])


def test_fast_layers_survive_copying_inside() -> None:
    """A copy made within has weights of its own and the right gradient; outside, the class is what it was."""
    network = backbone("tf_efficientnet_b0", None, pretrained=False).eval()
    conv = next(module for module in network.modules() if type(module).__name__ == "Conv2dSame" and module.groups > 1)  # type: ignore[union-attr]
    kind, images = type(conv), torch.rand(1, 3, 32, 32)
    with fast_depthwise(network, True):
        twin = copy.deepcopy(network)
        with fast_depthwise(twin, True):
            with torch.no_grad():
                for parameter in twin.parameters():
                    parameter.mul_(1.1)
            inside = twin(images)
    assert type(conv) is kind
    network.load_state_dict(twin.state_dict())
    torch.testing.assert_close(inside, network(images))


def test_augmented_views_stay_images_and_depend_on_the_generator() -> None:
    images = torch.rand(4, 3, 32, 32)
    views = [augment(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert views[0].shape == images.shape
    assert views[0].min() >= 0
    assert views[0].max() <= 1


def test_stn_separates_two_kinds_of_squares(tmp_path: Path) -> None:
    network = backbone("conv4", None, seed=0)
    losses = []
    method = STN(epochs=8, batch=16)
    train(network, method, PIXELS, LABELS, 2, 0, choose("cpu"), tmp_path / "x.pt", lambda *p: losses.append(p[2]))
    assert np.mean(losses[-2:]) < 0.5 * np.mean(losses[:2])
    assert training.hash_seed(0, 1) != training.hash_seed(1, 0)
