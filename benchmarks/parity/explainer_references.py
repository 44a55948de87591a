"""Independent implementations of explainers: an explainer of ours, for its settings and what it drew, a classifier,
images (n, 3, H, W) and targets (n,) -> maps (n, h, w). Where ours calls captum, the reference does not."""

import contextlib
import copy
import dataclasses
import io
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.attribution import baseline, generator, superpixels
from zoo.explaining import Classifier, Explainer

Maps = Callable[[Any, Classifier, Tensor, Tensor], Tensor]
SEED = 5
"""Of whatever an explainer draws."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and progress bars of other libraries."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class Network(nn.Module):
    """A classifier as other libraries want one: images -> margins (n, way), with a layer of feature maps."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier, self.backbone = classifier, classifier.backbone

    def forward(self, images: Tensor) -> Tensor:
        scores = self.classifier(images)
        return scores - scores.sum(1, keepdim=True) / scores.shape[1]


@torch.no_grad()
def values(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    return Network(classifier)(images)[torch.arange(len(images)), target]


def slope(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """Gradient of each image's own margin at its pixels, (n, 3, H, W)."""
    leaf = images.clone().requires_grad_()
    with torch.enable_grad():
        found = Network(classifier)(leaf)[torch.arange(len(images)), target]
        return torch.autograd.grad(found.sum(), leaf)[0]


def asked(explainer: Explainer, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """The images (m, 3, H, W) that an explainer shows the backbone to explain one image (1, 3, H, W)."""
    seen, hidden = [], classifier.backbone.hidden

    def heard(images: Tensor) -> Tensor:
        seen.append(images.detach().clone())
        return hidden(images)

    with mock.patch.object(classifier.backbone, "hidden", heard):
        explainer.explain(classifier, image, target, SEED)
    return torch.cat(seen)


def each(of_one: Maps) -> Maps:
    """A reference that takes one image at a time."""

    def maps(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        parts = zip(images.split(1), target.split(1), strict=True)
        return torch.cat([of_one(explainer, classifier, *part) for part in parts])

    return maps


# Gradients at the pixels


def gradient(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    return slope(classifier, images, target).abs().amax(1)


def input_x_gradient(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    return (images * slope(classifier, images, target)).sum(1).relu()


def with_layers(classifier: Classifier, made: Callable[[nn.Module], nn.Module | None]) -> Classifier:
    """The classifier with other layers where `made` gives any."""
    backbone = copy.deepcopy(classifier.backbone)
    for module in [*backbone.modules()]:
        for name, child in module.named_children():
            if (other := made(child)) is not None:
                setattr(module, name, other)
    return dataclasses.replace(classifier, backbone=backbone)


class Guided(nn.Module):
    """ReLU that passes back what is positive of a gradient, where its input was."""

    def forward(self, x: Tensor) -> Tensor:
        out = x.relu()
        out.register_hook(lambda gradient: gradient.clamp(min=0))
        return out


def guided_backprop(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    guided = with_layers(classifier, lambda layer: Guided() if isinstance(layer, nn.ReLU) else None)
    return gradient(explainer, guided, images, target)


class Secant(nn.Module):
    """An activation whose gradient is its rise from the first input it is given to the second, over their run."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation, self.start = activation, None

    def forward(self, x: Tensor) -> Tensor:
        if self.start is None:
            self.start = x.detach()
            return self.activation(x)
        end = x.detach()
        run = end - self.start
        rise = self.activation(end) - self.activation(self.start)
        tangent = (self.activation(end + 1e-4) - self.activation(end - 1e-4)) / 2e-4
        return self.activation(end) + torch.where(run.abs() > 1e-10, rise / run, tangent) * (x - end)


def deeplift(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    secant = with_layers(classifier, lambda layer: Secant(layer) if isinstance(layer, nn.ReLU | nn.Tanh) else None)
    empty = images.mean((2, 3), keepdim=True).expand_as(images)
    values(secant, empty, target)
    return ((images - empty) * slope(secant, images, target)).sum(1).relu()


def integrated_gradients(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """By numpy's Gauss-Legendre points."""
    empty = images.mean((2, 3), keepdim=True).expand_as(images)
    total = torch.zeros_like(images)
    for point, weight in zip(*np.polynomial.legendre.leggauss(explainer.steps), strict=True):
        total += weight / 2 * slope(classifier, empty + (point + 1) / 2 * (images - empty), target)
    return ((images - empty) * total).sum(1).relu()


@each
def smoothgrad(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """Over the noisy images that ours showed the backbone."""
    noisy = asked(explainer, classifier, image, target)
    return slope(classifier, noisy, target.expand(len(noisy))).mean(0, keepdim=True).abs().amax(1)


@each
def gradient_shap(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """captum's, given our baselines, points on the way and noise."""
    from captum.attr import GradientShap

    random, draws = generator(image[0], SEED), explainer.draws
    chosen = torch.randint(2, (draws,), generator=random).numpy()
    way = torch.rand(draws, 1, 1, 1, generator=random).flatten().numpy()
    noise = torch.randn(draws, *image.shape[1:], generator=random)
    empty = torch.cat([baseline(image, "mean"), baseline(image, "blur")])
    with (
        quiet(), mock.patch.object(torch, "normal", lambda mean, std: noise * std),
        mock.patch.object(np.random, "uniform", return_value=way),
        mock.patch.object(np.random, "choice", return_value=chosen),
    ):  # fmt: skip
        found = GradientShap(Network(classifier)).attribute(image, empty, draws, explainer.sigma, target=target)
    return found.detach().sum(1).relu()


def lrp(boosted_bias: bool) -> Maps:
    """Rule gamma of Montavon et al., 2019, section 10.2.3, through the layers before the maps."""

    def maps(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        backbone: Any = classifier.backbone
        outputs = [images]
        with torch.no_grad():
            for layer in backbone.features:
                outputs.append(layer(outputs[-1]))
        hidden = outputs[-1].requires_grad_()
        scores = classifier.from_hidden(hidden)
        own = (scores - scores.mean(1, keepdim=True))[torch.arange(len(images)), target]
        relevance = (hidden * torch.autograd.grad(own.sum(), hidden)[0]).detach()
        for layer, given in zip(reversed(backbone.features), reversed(outputs[:-1]), strict=True):
            if not isinstance(layer, nn.Conv2d):
                continue
            assert layer.bias is not None
            weight, bias = (part + explainer.gamma * part.clamp(min=0) for part in (layer.weight, layer.bias))
            leaf = given.detach().requires_grad_()
            out = F.conv2d(leaf, weight, bias if boosted_bias else layer.bias, layer.stride, layer.padding)
            share = (relevance / (out + 1e-9 * torch.where(out < 0, -1, 1))).detach()
            relevance = (leaf * torch.autograd.grad((out * share).sum(), leaf)[0]).detach()
        return relevance.sum(1).relu()

    return maps


# Class activation maps


def layer_grad_cam(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    network: Any = Network(classifier)
    found: Any = LayerGradCam(network, network.backbone.features).attribute(
        images, target=target, relu_attributions=True
    )
    return found.squeeze(1).detach()


def grad_cam(name: str, undone: Callable[[Tensor], Tensor] | None = None, **settings: Any) -> Maps:
    """A class of pytorch-grad-cam before it rescales its maps; `undone`: what they are then multiplied by, of the
    target's margins (n,)."""

    def maps(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        import pytorch_grad_cam

        network: Any = Network(classifier)
        layer = network.backbone.features
        targets = [itemgetter(int(label)) for label in target]
        with quiet(), getattr(pytorch_grad_cam, name)(network, [layer], **settings) as cam:
            cam.batch_size = 8
            cam(images.clone().requires_grad_(), targets)
            seen = cam.activations_and_grads
            gradients = seen.gradients[0].numpy() if seen.gradients else None
            found = cam.get_cam_image(images, layer, targets, seen.activations[0].numpy(), gradients, False)
        found = torch.as_tensor(np.asarray(found)).float()
        if undone is not None:
            found = found * undone(values(classifier, images, target))[:, None, None]
        return found.relu()

    return maps


def score_cam(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """Theirs, upsampled as ours: centres of places to centres of pixels, not corners to corners."""
    halves = mock.patch.object(nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear"))
    with halves:
        return grad_cam("ScoreCAM")(explainer, classifier, images, target)


def eigen_cam(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """By numpy's singular value decomposition."""
    maps = classifier.backbone.hidden(images).detach().numpy().astype(np.float64)
    found = []
    for one in maps:
        a = one.reshape(len(one), -1).T
        along = a @ np.linalg.svd(a, full_matrices=False)[2][0]
        found.append(np.maximum(along * np.sign(along.sum()), 0).reshape(one.shape[1:]))
    return torch.as_tensor(np.stack(found)).float()


def eigen_cam_as_it_comes(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """pytorch-grad-cam's projection with its sign turned where its own negative is more like the mean map."""
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    maps = classifier.backbone.hidden(images).detach()
    found = torch.from_numpy(np.asarray(get_2d_projection(maps.numpy())))
    return (found * (found * maps.mean(1)).sum((1, 2), keepdim=True).sign()).relu()


def attributes(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """captum's Grad-CAM of each word; what the words argue for, in numpy."""
    from captum.attr import LayerGradCam

    heads, backbone = classifier.attributes.heads, classifier.backbone
    layer: Any = backbone.features
    borders = np.cumsum([0, *heads.sizes])
    with torch.no_grad():
        scores = (backbone(images) @ heads.weight + heads.bias).numpy()
    found = np.zeros((len(images), *backbone.hidden(images).shape[2:]))
    centred, usual = (heads.class_weight - heads.class_weight.mean(0)).numpy(), heads.usual.numpy()
    for n, image in enumerate(images.split(1)):
        shown, argued = [], []
        for start, end in itertools.pairwise(borders):
            word = start + scores[n, start:end].argmax()

            def margin(x: Tensor, start: int = start, end: int = end, word: int = word) -> Tensor:
                said = backbone(x) @ heads.weight
                return said[:, [word]] - said[:, start:end].mean(1, keepdim=True)

            seen: Any = LayerGradCam(Forward(margin, backbone), layer).attribute(image, target=0)
            shown.append(seen[0, 0].detach().numpy().astype(np.float64))
            marked = np.eye(len(usual))[word]
            argued.append((centred[int(target[n])] * (marked - usual))[start:end].sum())
        weights = [max(a, 0) if m.max() > 0 else 0 for a, m in zip(argued, shown, strict=True)]
        for weight, one in zip(weights if any(weights) else [1] * len(weights), shown, strict=True):
            one = np.maximum(one, 0) if one.max() > 0 else one - one.min()
            found[n] += weight * one / one.sum()
    return torch.as_tensor(found).float()


class Forward(nn.Module):
    """A function of images as a network that holds the backbone it asks."""

    def __init__(self, function: Callable[[Tensor], Tensor], backbone: nn.Module) -> None:
        super().__init__()
        self.function, self.backbone = function, backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def rollout(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """timm's attention written out head by head."""
    backbone: Any = classifier.backbone
    network = backbone.network
    with torch.no_grad():
        tokens = network._pos_embed(network.patch_embed((images - 0.5) / 0.5))
        flow = torch.eye(tokens.shape[1])
        for block in network.blocks:
            q, k, _ = block.attn.qkv(block.norm1(tokens)).chunk(3, dim=-1)
            size = q.shape[2] // block.attn.num_heads
            heads = [(a @ b.transpose(1, 2) / size**0.5).softmax(-1)
                     for a, b in zip(q.split(size, 2), k.split(size, 2), strict=True)]  # fmt: skip
            flow = 0.5 * (torch.stack(heads).mean(0) + torch.eye(tokens.shape[1])) @ flow
            tokens = block(tokens)
    prefix = network.num_prefix_tokens
    row = flow[:, prefix:].mean(1) if backbone.mean_pooled else flow[:, 0]
    side = math.isqrt(row.shape[1] - prefix)
    return row[:, prefix:].unflatten(1, (side, side))


# Parts that come and go


def squares(side: int, cells: int) -> Iterator[tuple[slice, slice]]:
    """Two cells wide, at every place of the grid of `cells` a side."""
    step = side // cells
    starts = range(0, side - step, step)
    for top, left in itertools.product(starts, starts):
        yield slice(top, top + 2 * step), slice(left, left + 2 * step)


def square_by_square(image: Tensor, cells: int, lost: Callable[[Tensor], float]) -> Tensor:
    """Each pixel's mean of what is lost with the squares that cover it, in a plain loop: (1, 3, H, W) -> (H, W)."""
    total, covered = torch.zeros(image.shape[2:]), torch.zeros(image.shape[2:])
    for rows, columns in squares(image.shape[2], cells):
        occluded = image.clone()
        occluded[:, :, rows, columns] = image.mean((2, 3), keepdim=True)
        total[rows, columns] += lost(occluded)
        covered[rows, columns] += 1
    return total / covered


@each
def occlusion(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    whole = values(classifier, image, target)
    fall = square_by_square(image, explainer.cells, lambda seen: float(whole - values(classifier, seen, target)))
    return fall.relu()[None]


@each
def sbsm(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    found = []
    for support in classifier.support.features[classifier.support.labels == target]:

        def away(seen: Tensor, support: Tensor = support) -> float:
            with torch.no_grad():
                return float((classifier.backbone(seen)[0] - support).norm())

        grown = square_by_square(image, explainer.cells, lambda seen: away(seen) - away(image))
        found.append(lifted(grown))
    return torch.stack(found).mean(0)[None]


def lifted(signed: Tensor) -> Tensor:
    """The positive part of a map (h, w), or all of it above its minimum where there is none."""
    return signed.clamp(min=0) if signed.max() > 0 else signed - signed.min()


def rise(published: bool) -> Maps:
    """Over the masks that ours drew, seen from outside: the image on black, over the image."""

    @each
    def maps(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
        seen = asked(explainer, classifier, image, target)
        masks = (seen / image).mean(1)
        scores = values(classifier, seen, target.expand(len(seen)))
        if published:
            return torch.einsum("m,mhw->hw", scores, masks)[None] / len(masks) / masks.mean()
        found = sum((score - scores.mean()) * mask for score, mask in zip(scores, masks, strict=True)) / len(masks)
        return torch.as_tensor(found).relu()[None]

    return maps


@each
def lime(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """Ridge regression by the normal equations, over the superpixels that ours left in each image it showed."""
    segments = superpixels(image[0], explainer.segments)[0, 0]
    seen = asked(explainer, classifier, image, target)
    kept = np.stack([
        (seen == image).all(1)[:, segments == number].all(1).numpy() for number in range(int(segments.max()) + 1)
    ], 1).astype(np.float64)  # fmt: skip
    whole = np.ones(kept.shape[1])
    cosine = kept @ whole / np.maximum(np.linalg.norm(kept, axis=1) * np.linalg.norm(whole), 1e-30)
    weight = np.exp(-((1 - cosine) ** 2) / (2 * 0.25**2))
    y = values(classifier, seen, target.expand(len(seen))).double().numpy()
    x = kept - np.average(kept, 0, weight)
    y = y - np.average(y, 0, weight)
    found = np.linalg.solve(x.T @ (weight[:, None] * x) + np.eye(x.shape[1]), x.T @ (weight * y))
    return torch.as_tensor(found).float().relu()[segments][None]


@each
def shapley(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """Exact Shapley values: each superpixel's mean gain over all coalitions of the others."""
    segments = superpixels(image[0], explainer.segments)[0, 0]
    empty = image.mean((2, 3), keepdim=True)
    players = int(segments.max()) + 1
    coalitions = torch.cartesian_prod(*[torch.tensor([False, True])] * players)
    seen = torch.where(coalitions[:, segments].unsqueeze(1), image, empty)
    gain = dict(zip(map(tuple, coalitions.tolist()), values(classifier, seen, target.expand(len(seen))).tolist(),
                    strict=True))  # fmt: skip
    found = torch.zeros(players)
    for coalition in gain:
        for player in (number for number in range(players) if not coalition[number]):
            size, joined = sum(coalition), (*coalition[:player], True, *coalition[player + 1 :])
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            found[player] += weight * (gain[joined] - gain[coalition])
    return found.relu()[segments][None]


# Similarity of query and support


def toward_each(of_pair: Callable[[Any, Classifier, Tensor, Tensor], Tensor]) -> Maps:
    """Mean over the supports of the target class of the signed map of each pair of hidden tensors, lifted."""

    def maps(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        found = []
        for query, label in zip(classifier.backbone.hidden(images).detach().split(1), target, strict=True):
            own = classifier.support_hidden[classifier.support.labels == label].split(1)
            found.append(torch.stack([lifted(of_pair(explainer, classifier, query, one)) for one in own]).mean(0))
        return torch.stack(found)

    return maps


@toward_each
def siamcam(explainer: Any, classifier: Classifier, query: Tensor, support: Tensor) -> Tensor:
    """By a backward pass from the pair's distance to the query's maps."""
    leaf, backbone = query.clone().requires_grad_(), classifier.backbone
    q, s = backbone.embed(leaf), backbone.embed(support)
    if explainer.distance == "l2":
        away = (q - s).norm()
    elif explainer.distance == "cosine":
        away = 1 - F.cosine_similarity(q, s).sum()
    else:
        away = -(q * s / s.norm()).sum() / q.norm().detach()
    weights = -torch.autograd.grad(away, leaf)[0].mean((2, 3), keepdim=True)
    return (weights * query).sum((0, 1)).detach()


def contrast(explainer: Any, classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """By a backward pass from the mean cosine with the target's supports less that with other classes'."""
    backbone, labels = classifier.backbone, classifier.support.labels
    supports = F.normalize(backbone.embed(classifier.support_hidden)).detach()
    found = []
    for query, label, scores in zip(backbone.hidden(images).split(1), target.tolist(), classifier(images), strict=True):
        leaf = query.detach().requires_grad_()
        embedding = backbone.embed(leaf)
        likeness = (embedding / embedding.norm().detach() @ supports.T)[0]
        of_class = [likeness[labels == number].mean() for number in range(scores.numel())]
        others = [number for number in range(scores.numel()) if number != label]
        if explainer.against == "next":
            others = [max(others, key=scores.tolist().__getitem__)]
        more = of_class[label] - sum(of_class[number] for number in others) / len(others)
        weights = torch.autograd.grad(more, leaf)[0].mean((2, 3), keepdim=True)
        found.append(lifted((weights * leaf).sum((0, 1)).detach()))
    return torch.stack(found)


def decomposition(peak: bool) -> Maps:
    """Place by place, in numpy."""

    @toward_each
    def maps(explainer: Any, classifier: Classifier, query: Tensor, support: Tensor) -> Tensor:
        a, b = (side[0].detach().double().numpy() for side in (query, support))
        q, s = a.mean((1, 2)), b.mean((1, 2))
        sides = a.shape[1:]
        shares = np.zeros((*sides, *sides))
        for i, j, k, m in itertools.product(*map(range, shares.shape)):
            shares[i, j, k, m] = a[:, i, j] @ b[:, k, m] / np.linalg.norm(q) / np.linalg.norm(s) / a[0].size ** 2
        at = np.unravel_index(shares.sum((0, 1)).argmax(), sides)
        return torch.as_tensor(shares[:, :, at[0], at[1]] if peak else shares.sum((2, 3))).float()

    return maps


@each
def integrated_jacobians(explainer: Any, classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """Both Jacobians in full, integrated by Gauss-Legendre, multiplied and summed over the support's places."""
    backbone = classifier.backbone
    query, empty = (
        backbone.hidden(side).detach() for side in (image, image.mean((2, 3), keepdim=True).expand_as(image))
    )
    points = [*zip(*np.polynomial.legendre.leggauss(16), strict=True)]

    def integrated(end: Tensor) -> Tensor:
        """(d, c, h, w)"""
        total = torch.zeros(backbone.dim, *end.shape[1:])
        for point, weight in points:
            jacobian: Any = torch.autograd.functional.jacobian(
                lambda hidden: backbone.embed(hidden)[0], empty + (point + 1) / 2 * (end - empty)
            )
            total += weight / 2 * jacobian[:, 0]
        return total * (end - empty)

    of_query, found = integrated(query), []
    for support in classifier.support_hidden[classifier.support.labels == target].split(1):
        shares = torch.einsum("dchw,dekl->hwkl", of_query, integrated(support))
        found.append(lifted(shares.sum((2, 3))))
    return torch.stack(found).mean(0)[None]
