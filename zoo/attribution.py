"""What explainers share: the number that is explained, its gradient, baselines, noise, superpixels and pairs."""

import copy
import dataclasses
import hashlib
import itertools
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zoo.errors import ZooError
from zoo.explaining import Classifier, Explainer, Explanation
from zoo.ops import blur
from zoo.types import Backbone

BATCH = 64
"""Most images of a forward pass."""
Baseline = Literal["mean", "blur", "black"]
"""What stands for a pixel that is taken away: the image's own mean colour, its blurred copy, or black."""


class Scoring(nn.Module):
    """A classifier as a network: images (n, 3, H, W) -> the number that is explained, of every class, (n, way)."""

    def __init__(self, classifier: Classifier, of: Literal["margin", "score"]) -> None:
        super().__init__()
        self.classifier, self.backbone = classifier, classifier.backbone
        self.of: Literal["margin", "score"] = of

    def forward(self, images: Tensor) -> Tensor:
        return self.from_hidden(self.backbone.hidden(images))

    def from_hidden(self, hidden: Tensor) -> Tensor:
        scores = self.classifier.from_hidden(hidden)
        return scores if self.of == "score" else scores - scores.mean(1, keepdim=True)

    @torch.no_grad()
    def values(self, images: Tensor, target: Tensor) -> Tensor:
        """The target's number for images (n, 3, H, W) and their targets (n,) -> (n,)."""
        return torch.cat([self(part) for part in images.split(BATCH)]).gather(1, target[:, None]).squeeze(1)

    def maps_and_gradient(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The maps and the gradient of the target's number with respect to them, (n, c, h, w) each.

        The gradient goes through `embed` and the head alone, never through the layers before the maps.
        """
        hidden = self.backbone.hidden(images).detach().requires_grad_()
        with torch.enable_grad():
            explained = self.from_hidden(hidden).gather(1, target[:, None]).sum()
            (gradient,) = torch.autograd.grad(explained, hidden)
        return self.backbone.grid(hidden.detach()).float(), self.backbone.grid(gradient).float()

    def rewritten(self) -> "Scoring":
        """A copy whose backbone suits rules that replace a ReLU's gradient: no layer changes its input, and a ReLU6
        is a ReLU whose output is clamped."""
        backbone = copy.deepcopy(self.backbone)
        for module in [*backbone.modules()]:
            if getattr(module, "inplace", False):
                setattr(module, "inplace", False)  # noqa: B010 - whatever kind of layer it is
            for name, child in module.named_children():
                if isinstance(child, nn.ReLU6):
                    setattr(module, name, _ClampedReLU())
        return Scoring(dataclasses.replace(self.classifier, backbone=backbone), self.of)


class _ClampedReLU(nn.Module):
    """ReLU6 with its ReLU as a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x).clamp(max=6)


def attributed(attribute: Callable[..., Any], images: Tensor, *given: Any, **settings: Any) -> Tensor:
    """What captum's `attribute` finds, detached, without its warnings of how it goes about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return attribute(images.clone(), *given, **settings).detach()


@dataclass(frozen=True)
class ScoreExplainer(Explainer):
    """Explains one number of each image, a few images at a time."""

    of: Literal["margin", "score"] = "margin"
    """margin: the target's score minus the mean of all classes'; score: the target's own, as published."""

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        allowed(self, classifier.backbone)
        parts = zip(images.split(32), target.split(32), strict=True)
        return Explanation(torch.cat([self.saliency(Scoring(classifier, self.of), *part, seed) for part in parts]))

    @abstractmethod
    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        """(n, h, w), nowhere negative, of at most 32 images; called without gradients."""


@dataclass(frozen=True)
class SuperpixelExplainer(ScoreExplainer):
    """Explains by superpixels that come and go; one value each, of which the positive ones are kept."""

    segments: int = 48
    """About how many superpixels an image has."""
    draws: int = 256
    """Images with some of them missing, each a pass."""
    baseline: Baseline = "mean"
    """What shows where one is missing: the image's mean colour, its blurred copy, or black."""

    @abstractmethod
    def attribute(self, scoring: Scoring) -> Callable[..., Any]:
        """captum's `attribute` of the model to be fitted."""

    def saliency(self, scoring: Scoring, images: Tensor, target: Tensor, seed: int) -> Tensor:
        found = []
        for image, label in zip(images.split(1), target.split(1), strict=True):
            with torch.random.fork_rng(devices=[]):  # captum draws from the global numbers: lend it our own
                torch.manual_seed(generator(image[0], seed).initial_seed())
                found += attributed(
                    self.attribute(scoring), image, baseline(image, self.baseline), label, n_samples=self.draws,
                    feature_mask=superpixels(image[0], self.segments), perturbations_per_eval=BATCH,
                )  # fmt: skip
        return torch.stack(found)[:, 0].relu()


def allowed(explainer: Explainer, backbone: Backbone) -> None:
    """ZooError where the explainer is not defined on the backbone."""
    if reason := explainer.refuses(backbone):
        name = type(explainer).__module__.split(".")[-1]
        raise ZooError(f"explainer '{name}' cannot read backbone '{backbone.name}': {reason}; `zoo list explainers`")


def activations(backbone: Backbone) -> set[type[nn.Module]]:
    """The kinds of activation layers in a backbone."""
    places = ("torch.nn.modules.activation", "timm.layers.activations")
    return {type(module) for module in backbone.modules() if type(module).__module__.startswith(places)}


@torch.no_grad()
def pooled_is_embedding(backbone: Backbone) -> bool:
    """Whether the embedding is the mean over places itself, with no neck behind it."""
    hidden = backbone.hidden(probe(backbone))
    mean, embedding = backbone.grid(hidden).float().mean((2, 3)), backbone.embed(hidden).float()
    return mean.shape == embedding.shape and torch.allclose(mean, embedding, rtol=1e-2, atol=1e-4)


@torch.no_grad()
def chain(backbone: Backbone, image: Tensor | None = None) -> tuple[Tensor, list[nn.Module]] | None:
    """What enters the first layer, and the layers from there to the maps, batch normalisation folded into the
    convolution before it; None where the layers are not one chain, each fed by the one before alone."""
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []
    leaves = [module for module in backbone.modules() if not [*module.children()]]

    def catch(leaf: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append((leaf, given[0], out))

    hooks = [leaf.register_forward_hook(catch) for leaf in leaves]
    try:
        hidden = backbone.hidden(probe(backbone) if image is None else image)
    finally:
        for hook in hooks:
            hook.remove()
    linked = all(after[1] is before[2] for before, after in itertools.pairwise(seen))
    if not linked or not seen or hidden.dim() != 4 or not torch.equal(seen[-1][2].float(), hidden.float()):
        return None
    layers: list[nn.Module] = []
    for leaf in (leaf for leaf, _, _ in seen if not isinstance(leaf, nn.Identity)):
        if isinstance(leaf, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], leaf)
        else:
            layers.append(leaf)
    return seen[0][1], layers


@torch.no_grad()
def attention(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """Attention of every block of a vision transformer, mean over its heads: (n, tokens, tokens) each, rows of 1."""
    seen: list[Tensor] = []

    def catch(layer: Any, given: tuple[Tensor, ...]) -> None:
        q, k, _ = layer.qkv(given[0]).unflatten(2, (3, layer.num_heads, -1)).permute(2, 0, 3, 1, 4).float()
        seen.append((layer.q_norm(q) * layer.scale @ layer.k_norm(k).transpose(2, 3)).softmax(3).mean(1))

    hooks = [layer.register_forward_pre_hook(catch) for layer in attentions(backbone)]
    try:
        backbone.embed(backbone.hidden(images))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def attentions(backbone: Backbone) -> list[nn.Module]:
    """The attention layers of a plain vision transformer of timm; none in any other backbone."""
    from timm.layers.attention import Attention

    return [module for module in backbone.modules() if isinstance(module, Attention)]


def probe(backbone: Backbone) -> Tensor:
    """A small noisy image where the backbone is."""
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return noise.to(next((parameter.device for parameter in backbone.parameters()), "cpu"))


def baseline(images: Tensor, kind: Baseline) -> Tensor:
    """The images (n, 3, H, W) with everything taken away."""
    if kind == "blur":
        return blur(images, images.shape[-1] / 10)
    return images.mean((2, 3), keepdim=True).expand_as(images) if kind == "mean" else torch.zeros_like(images)


def generator(image: Tensor, seed: int) -> torch.Generator:
    """Random numbers that follow from the seed and the image's content (3, H, W), whatever the batch."""
    content = (image * 255).round().to(torch.uint8).cpu().numpy().tobytes()
    digest = hashlib.sha256(f"{seed}|".encode() + content).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def superpixels(image: Tensor, count: int) -> Tensor:
    """SLIC (Achanta et al., 2012): about `count` segments of an image (3, H, W), numbered from 0 -> (1, 1, H, W).

    Where joining their pieces leaves less than half of them, as in noise, they stay in pieces.
    """
    from skimage.segmentation import slic

    pixels = image.permute(1, 2, 0).cpu().numpy()
    joined, apart = (slic(pixels, n_segments=count, start_label=0, enforce_connectivity=one) for one in (True, False))
    segments = torch.from_numpy(joined if 2 * joined.max() >= count else apart)
    return segments.to(image.device).unique(return_inverse=True)[1][None, None]


def windows(sides: Sequence[int], cells: int) -> Tensor:
    """Squares of 2 x 2 cells, at every place of a grid of `cells` a side over `sides` (H, W): (m, H, W) bool."""
    spans = []
    for side in sides:
        edges = torch.linspace(0, side, min(cells, side) + 1).round()
        place = torch.arange(side)
        spans.append((place >= edges[:-2, None]) & (place < edges[2:, None]))
    rows, columns = spans
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


def pairs(classifier: Classifier, target: Tensor) -> tuple[Tensor, Tensor]:
    """For each target (n,) the numbers of its class's supports, and which of them are real: (n, s) long, (n, s) bool.

    s is the shot of the largest class; rows of smaller ones are filled up with supports of other classes.
    """
    labels = classifier.support.labels
    own = target[:, None] == labels
    numbers = own.byte().argsort(dim=1, descending=True, stable=True)[:, : int(labels.bincount().max())]
    return numbers, own.gather(1, numbers)


def lift(maps: Tensor) -> Tensor:
    """The positive part of maps (..., h, w); one that is positive nowhere keeps its order, lifted by its minimum."""
    return torch.where(maps.amax((-2, -1), True) > 0, maps.relu(), maps - maps.amin((-2, -1), True))


def compared(classifier: Classifier, hidden: Tensor) -> Tensor:
    """Features of hidden tensors as the method compares them, (n, d)."""
    return classifier.method.compared(classifier.method.features(classifier.backbone, hidden))


def toward_supports(maps: Tensor, real: Tensor, support_maps: Tensor | None = None) -> Explanation:
    """Signed maps (n, s, h, w) towards supports, of which some are `real` (n, s), lifted and averaged over the real."""
    inside = real[..., None, None]
    maps = lift(maps) * inside
    return Explanation(maps.sum(1) / inside.sum(1), maps, None if support_maps is None else lift(support_maps) * inside)
