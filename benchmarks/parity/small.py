"""Networks and made-up cells small enough that every explainer and metric runs in seconds, for the parity pages.

Shapes: n images of SIDE x SIDE pixels.
"""

import functools
from dataclasses import dataclass, replace

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from zoo.attribute_heads import Heads, Reading
from zoo.backbones.timm_vit import TimmViT
from zoo.cells import Attribute
from zoo.explaining import Classifier
from zoo.methods.prototypical import Prototypical
from zoo.types import Backbone, Support

SIDE = 20
"""So that tenths of the pixels are whole numbers: no side rounds its steps otherwise than another."""
WAY, SHOT = 3, 2


class SmallBackbone(Backbone):
    """Two convolutions with bias and ReLU, 12 maps of 5 x 5, a mean over places, and a neck where asked; `uneven`:
    places weigh unlike in the mean, through a tanh, so that gradients differ from place to place."""

    def __init__(self, neck: bool = True, uneven: bool = False) -> None:
        super().__init__()
        self.name, self.dim, self.mean_pooled, self.uneven = "small", 12, not uneven, uneven
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.features = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, self.dim, 3, 2, 1), nn.ReLU()
            )
            self.head = nn.Sequential(nn.Linear(self.dim, self.dim), nn.Tanh()) if neck else nn.Identity()
            for layer in (*self.features, *self.head.children()):  # as torch starts, all images would be all but alike
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.weight.data *= 3
        self.eval()

    def hidden(self, images: Tensor) -> Tensor:
        return self.features(images)

    def embed(self, hidden: Tensor) -> Tensor:
        if self.uneven:
            hidden = (hidden * torch.linspace(0, 1, hidden[0, 0].numel()).view(hidden.shape[2:])).tanh()
        return self.neck(hidden.mean((2, 3)))

    def neck(self, pooled: Tensor) -> Tensor:
        return self.head(pooled)

    def grid(self, hidden: Tensor) -> Tensor:
        return hidden


class SmallViT(TimmViT):
    """Two blocks of two heads on 5 x 5 patches; `pooled` for a mean over patches in place of a class token."""

    def __init__(self, pooled: bool) -> None:
        nn.Module.__init__(self)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = VisionTransformer(
                img_size=SIDE, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0, qkv_bias=True,
                global_pool="avg" if pooled else "token", dynamic_img_size=True,
            )  # fmt: skip
            for parameter in self.parameters():  # as timm starts, attention would be all but even
                parameter.data += 0.3 * torch.randn(parameter.shape)
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5), persistent=False)
        self.register_buffer("std", torch.full((3, 1, 1), 0.5), persistent=False)
        self.name, self.dim, self.mean_pooled = "small_vit", 16, pooled
        self.eval()


@dataclass(frozen=True)
class Scaled(Prototypical):
    """Scores times a factor."""

    factor: float = 1.0

    def scores(self, params: tuple[Tensor], features: Tensor) -> Tensor:
        return self.factor * super().scores(params, features)


class Network(nn.Module):
    """A classifier as other libraries want one: images (n, 3, H, W) -> probabilities (n, way)."""

    def __init__(self, classifier: Classifier, temperature: float) -> None:
        super().__init__()
        self.backbone, self.fitted, self.temperature = classifier.backbone, classifier, temperature
        self.eval()

    def margins(self, images: Tensor) -> Tensor:
        """Scores (n, way) over the temperature, by which the probabilities are neither even nor 0 and 1."""
        scores = replace(self.fitted, backbone=self.backbone)(images) / self.temperature
        return scores - scores.mean(1, keepdim=True)

    def forward(self, images: Tensor) -> Tensor:
        return self.margins(images).softmax(1)

    @torch.no_grad()
    def probability(self, images: Tensor, target: Tensor) -> Tensor:
        return self(images).gather(1, target[:, None]).squeeze(1)


def cells(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Discs whose colour follows their label (n,), on a bright and noisy ground: images (n, 3, SIDE, SIDE) in 0..1 and
    masks (n, SIDE, SIDE) bool."""
    random = torch.Generator().manual_seed(seed)
    middle = SIDE * (0.35 + 0.3 * torch.rand(len(labels), 2, 1, generator=random))
    radius = SIDE * (0.2 + 0.1 * torch.rand(len(labels), 1, 1, generator=random))
    down, right = ((torch.arange(SIDE) - place).square() for place in middle.unbind(1))
    masks = down.unsqueeze(2) + right.unsqueeze(1) < radius.square()
    colours = torch.tensor([[0.5, 0.2, 0.6], [0.7, 0.3, 0.4], [0.3, 0.4, 0.7]])[labels % WAY]
    images = torch.where(masks.unsqueeze(1), colours[:, :, None, None], 0.8)
    return (images + 0.08 * torch.randn(images.shape, generator=random)).clamp(0.02, 1), masks


def fitted(backbone: Backbone, factor: float = 1.0) -> Classifier:
    """A prototypical network, with made-up attribute heads."""
    labels, method = torch.arange(WAY).repeat_interleave(SHOT), Scaled(factor=factor)
    with torch.no_grad():
        hidden = backbone.hidden(cells(labels, seed=1)[0])
        support = Support(backbone.embed(hidden), labels, torch.arange(WAY))
        params = method.fit(None, support)
    reading = Reading(backbone, heads(backbone.dim, 0), heads(backbone.dim, 1))
    return Classifier(backbone, method, params, support, hidden, reading)


def heads(dim: int, seed: int) -> Heads:
    """Made-up heads of three attributes."""
    random = torch.Generator().manual_seed(seed)
    attributes = tuple(Attribute(name, tuple("abc"[:size])) for name, size in (("one", 2), ("two", 3), ("three", 2)))
    shapes = (dim, 7), (7,), (WAY, 7), (WAY,)
    weight, bias, class_weight, class_bias = (torch.randn(*shape, generator=random) for shape in shapes)
    usual = torch.tensor([0.5, 0.5, 0.2, 0.3, 0.5, 0.9, 0.1])
    return Heads(attributes, weight, bias, class_weight, class_bias, usual)


@functools.cache
def network() -> Network:
    """The classifier that metrics ask."""
    classifier = fitted(SmallBackbone())
    with torch.no_grad():
        scores = classifier(cells(torch.arange(12), seed=2)[0])
    return Network(classifier, float((scores - scores.mean(1, keepdim=True)).std()) / 1.5)


@functools.cache
def shuffled() -> Network:
    """The same with the numbers of every weight and bias in random places, fitted again."""
    backbone, random = SmallBackbone(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=random)].view_as(weight))
    return Network(fitted(backbone), network().temperature)
