"""Backbone weights: read only from safetensors or timm's hub, never unpickled, and errors in one line."""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo import atomic
from zoo.errors import ZooError

CARDS = Path(__file__).parent / "weights.toml"
"""What files with known hashes need beside their name (padding, normalisation)."""


def sha256(path: Path) -> str:
    """Hash of a weights file; a missing one is the user's mistake."""
    if not path.is_file():
        raise ZooError(f"--weights {path}: no such file; give a .safetensors file, or --weights none for random ones")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_file(network: nn.Module, path: Path, name: str) -> None:
    """Fill `network` from a safetensors state dict that fits it exactly."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file as read

    if path.suffix != ".safetensors":
        raise ZooError(f"--weights {path}: only .safetensors is read; convert it with safetensors.torch.save_file")
    try:
        tensors = read(path)
    except (SafetensorError, OSError) as problem:
        raise ZooError(f"--weights {path}: not a readable safetensors file ({problem})") from None
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    tensors = {key: value for key, value in tensors.items() if key in wanted or not key.startswith("classifier.")}
    wrong = sorted(key for key in wanted.keys() | tensors.keys() if wanted.get(key) != _shape(tensors.get(key)))
    wrong = [key for key in wrong if not (key.endswith("num_batches_tracked") and key not in tensors)]
    if wrong:
        raise ZooError(
            f"--weights {path}: does not fit backbone '{name}': {len(wrong)} of {len(wanted)} tensors differ, "
            f"first '{wrong[0]}'; give the file of this backbone or another --backbone"
        )
    network.load_state_dict(tensors, strict=False)


def save_file(network: nn.Module, path: Path, seen: Sequence[str] = ()) -> None:
    """Write what `--weights` reads: the weights, and beside them what of `weights.toml` the network was made with, and
    which labelled items it has `seen`. ZooError where the name or the folder is wrong."""
    from safetensors.torch import save

    if path.suffix != ".safetensors":
        raise ZooError(f"{path}: weights are written as .safetensors; give such a name")
    inner: Any = getattr(network, "network", network)
    card = getattr(inner, "card", {})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in inner.state_dict().items()}
    atomic.write(path, save(tensors, {"card": json.dumps(card), "seen": json.dumps(list(seen))}))


def seen(path: Path) -> frozenset[str]:
    """The labelled items that made these weights, `dataset/item`; none where `save_file` did not write them."""
    try:
        return frozenset(map(str, json.loads(_metadata(path).get("seen", "[]"))))
    except (ValueError, TypeError):
        raise ZooError(f"--weights {path}: its list of training images is damaged; make the file anew") from None


def _card(path: Path) -> dict[str, Any]:
    """What the file with these weights needs beside its name: by its hash, else as `save_file` wrote it."""
    if known := tomllib.loads(CARDS.read_text("utf-8")).get(sha256(path)):
        return known
    try:
        card = json.loads(_metadata(path).get("card", "{}"))
        create = {"pad_type": "same"} if card.get("create") == {"pad_type": "same"} else {}
        colours = {key: [float(value) for value in card[key]] for key in ("mean", "std") if key in card}
        return {"create": create, **colours}
    except (ValueError, TypeError, AttributeError):
        return {}


def _metadata(path: Path) -> dict[str, str]:
    """What stands beside the tensors; nothing of an unreadable file, of which `load_file` says what is wrong."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def _shape(tensor: torch.Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def timm_model(
    name: str, weights: Path | None, pretrained: bool, seed: int, **options: Any
) -> tuple[Any, tuple[float, ...], tuple[float, ...]]:
    """A timm network without its classifier, and the mean and standard deviation its images need.

    pretrained: take timm's own weights from the hub (unless a file is given).
    """
    import timm

    card: dict[str, Any] = {}
    if weights is not None:
        card = _card(weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network: Any = timm.create_model(
                name, pretrained=pretrained and weights is None, num_classes=0, **options, **card.get("create", {})
            )
        except Exception as problem:
            # Hub clients raise a dozen unrelated types; each of them means the same to the user.
            if not pretrained or weights is not None:
                raise
            raise ZooError(
                f"backbone '{name}': its pretrained weights could not be had from timm's hub "
                f"({type(problem).__name__}); give --weights FILE.safetensors, or --weights none for random ones"
            ) from None
    if weights is not None:
        load_file(network, weights, name)
    mean, std = (tuple(card.get(key, network.pretrained_cfg[key])) for key in ("mean", "std"))
    network.card = {"create": card.get("create", {}), "mean": mean, "std": std}
    return network, mean, std


def timm_is_vit(name: str) -> bool:
    """Whether timm builds that name from its plain vision transformer."""
    import timm

    return timm.models.model_entrypoint(name).__module__.endswith(".vision_transformer")


def folded(network: nn.Module) -> bool:
    """Whether every BatchNorm is an exact identity (folded into its convolution), so that training would break it.
    A fresh one is not: its variance is 1, not 1 - eps."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return bool(norms) and all(
        bool((norm.running_mean == 0).all()) and bool((norm.running_var + norm.eps - 1).abs().max() < norm.eps / 2)
        for norm in norms
        if norm.running_mean is not None and norm.running_var is not None
    )


@torch.inference_mode()
def unfold(network: nn.Module, batches: list[torch.Tensor]) -> None:
    """Give folded BatchNorms the statistics of these images; the network's function stays what it was.

    Each BatchNorm in turn gets running mean and variance of its input, weight = sqrt(var + eps) and
    bias += mean, which cancel in eval mode and make train mode work.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    sums: dict[nn.Module, list[torch.Tensor]] = {}

    def watch(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0].float()
        count, total, square = sums.setdefault(norm, [torch.zeros(()), torch.zeros(()), torch.zeros(())])
        sums[norm] = [count + x.numel() / x.shape[1], total + x.sum((0, 2, 3)), square + x.square().sum((0, 2, 3))]

    handles = [norm.register_forward_pre_hook(watch) for norm in norms]
    network.eval()
    for images in batches:
        network(images)
    for handle in handles:
        handle.remove()
    for norm in norms:
        count, total, square = sums[norm]
        mean = total / count
        variance = (square / count - mean.square()).clamp_min(0)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt() * norm.weight)
        norm.bias.add_(mean * norm.weight / (variance + norm.eps).sqrt())
