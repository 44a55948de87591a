"""A backbone, a method and a classifier small enough for hand-computed tests."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from zoo.attribute_heads import Heads, Reading
from zoo.backbones.timm_vit import TimmViT
from zoo.cells import Attribute
from zoo.explaining import Classifier
from zoo.ops import class_means, squared_distances, unit
from zoo.types import Backbone, Method, Support


class TinyBackbone(Backbone):
    """4 x 4 patches through one convolution without bias and ReLU, then a mean over places, and a neck where asked.

    `pooled=False` hides from explainers that the places are averaged; `corner` blackens all but the top left quarter.
    """

    def __init__(self, pooled: bool = True, corner: bool = False, neck: bool = False, channels: int = 6) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.name, self.dim, self.mean_pooled, self.corner = "tiny", channels, pooled, corner
        self.features = nn.Sequential(nn.Conv2d(3, channels, 4, stride=4, bias=False), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.Tanh()) if neck else nn.Identity()
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
        self.eval()

    def hidden(self, images: Tensor) -> Tensor:
        if self.corner:
            height, width = images.shape[2] // 2, images.shape[3] // 2
            images = nn.functional.pad(images[:, :, :height, :width], (0, width, 0, height))
        return self.features(images)

    def embed(self, hidden: Tensor) -> Tensor:
        return self.neck(hidden.mean((2, 3)))

    def neck(self, pooled: Tensor) -> Tensor:
        return self.head(pooled)

    def grid(self, hidden: Tensor) -> Tensor:
        return hidden


@dataclass(frozen=True)
class Nearest(Method):
    """Nearest class mean, on features of unit length or as they are."""

    paper: ClassVar[str] = "none"
    normalise: bool = True

    def fit(self, state: nn.Module | None, support: Support) -> tuple[Tensor]:
        return (class_means(self.compared(support.features), support.labels, len(support.classes)),)

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return -squared_distances(self.compared(features), params[0])

    def compared(self, features: Tensor) -> Tensor:
        return unit(features) if self.normalise else features


def images(n: int, seed: int = 0, side: int = 16) -> Tensor:
    """Smooth-free random colours in 0..1, (n, 3, side, side)."""
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def classifier(backbone: Backbone, shots: tuple[int, ...] = (2, 2, 2), normalise: bool = True) -> Classifier:
    """Fitted to random supports, `shots` of them in each class."""
    method = Nearest(normalise)
    labels = torch.arange(len(shots)).repeat_interleave(torch.tensor(shots))
    with torch.no_grad():
        hidden = backbone.hidden(images(len(labels), seed=1))
        support = Support(backbone.embed(hidden), labels, torch.arange(len(shots)))
    return Classifier(backbone, method, method.fit(None, support), support, hidden, reading(backbone, len(shots)))


def heads(dim: int, classes: int, seed: int = 0) -> Heads:
    """Made-up heads of three attributes."""
    random = torch.Generator().manual_seed(seed)
    attributes = tuple(Attribute(name, tuple("abc"[:size])) for name, size in (("one", 2), ("two", 3), ("three", 2)))
    shapes = (dim, 7), (7,), (classes, 7), (classes,)
    usual = torch.tensor([0.5, 0.5, 0.2, 0.3, 0.5, 0.9, 0.1])
    weight, bias, class_weight, class_bias = (torch.randn(*shape, generator=random) for shape in shapes)
    return Heads(attributes, weight, bias, class_weight, class_bias, usual)


def reading(backbone: Backbone, classes: int) -> Reading:
    return Reading(backbone, heads(backbone.dim, classes), heads(backbone.dim, classes, seed=1))


class TinyViT(TimmViT):
    """Two blocks of two heads on 4 x 4 patches; `pooled` for a mean over patches in place of a class token."""

    def __init__(self, pooled: bool = False) -> None:
        nn.Module.__init__(self)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            self.network = VisionTransformer(
                img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0, qkv_bias=True,
                global_pool="avg" if pooled else "token", dynamic_img_size=True,
            )  # fmt: skip
            for parameter in self.parameters():  # as timm starts, attention would be all but even
                parameter.data += 0.3 * torch.randn(parameter.shape)
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5), persistent=False)
        self.register_buffer("std", torch.full((3, 1, 1), 0.5), persistent=False)
        self.name, self.dim, self.mean_pooled = "tiny_vit", 16, pooled
        self.eval()


class AttendingViT(TinyViT):
    """Three heads set by hand: each attends to the patches that answer most to one pure colour (as a convolution's
    filter would, 1 for it and -1 for the two others) or, with `corner`, to those in the top left quarter.

    Queries are the same everywhere, so that attention moves all tokens alike and the blocks attend alike.
    """

    def __init__(self, corner: bool = False) -> None:
        nn.Module.__init__(self)
        network: Any = VisionTransformer(
            img_size=16, patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=0, qkv_bias=True,
        )  # fmt: skip
        self.network = network
        for parameter in self.parameters():
            parameter.data = torch.zeros_like(parameter)
        colours, inside = 2 * torch.eye(3) - 1, torch.zeros(4, 4, dtype=torch.bool)
        inside[:2, :2] = True
        network.patch_embed.proj.weight.data[:3] = colours[:, :, None, None].expand(3, 3, 4, 4) / 16
        network.pos_embed.data[0, 1:, 3] = inside.flatten().float()
        network.norm.weight.data.fill_(1)
        for block in network.blocks:
            block.norm1 = nn.Identity()
            block.attn.qkv.bias.data[:12:4] = 16  # the first number of each head's query
            for head in range(3):
                block.attn.qkv.weight.data[12 + 4 * head, 3 if corner else head] = 1
            block.attn.qkv.weight.data[24:].copy_(torch.eye(12))
            block.attn.proj.weight.data.copy_(torch.eye(12))
        self.register_buffer("mean", torch.zeros(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.ones(3, 1, 1), persistent=False)
        self.name, self.dim, self.mean_pooled, self.corner = "attending_vit", 12, False, corner
        self.eval()
