"""Every explainer and every explanation metric beside an independent implementation, on the same made-up cells.

`python benchmarks/parity/explanations.py` writes leaderboard/parity_explanations.md; tests/test_parity_explanations.py
holds each row to its promise. A new row is one entry of EXPLAINERS or METRICS, and where it needs one a function in
explainer_references.py or metric_references.py.
"""

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import explainer_references as maps_by
import metric_references as by
import numpy as np
import small
import torch
from scipy import stats
from torch import Tensor

from zoo import registry
from zoo.board.markdown import table
from zoo.explaining import Classifier
from zoo.ops import blur
from zoo.pipeline.evidence import drops
from zoo.pipeline.explain import likeness

IMAGES = 6
QUANTILE = 0.75
"""Of the saliency, above which a pixel counts as marked."""
TIGHT = 3e-4
"""What rounding in single precision may make of the same formula."""


class ExplainerRow(NamedTuple):
    """Maps of an explainer, and of its reference."""

    explainer: str
    settings: dict[str, str]
    reference: str
    compared: str
    """What was made alike, if anything had to be"""
    theirs: maps_by.Maps
    differs: str = ""
    """Why the maps need not agree; empty where the formula is the same"""
    least: float = 1.0
    """Rank correlation that the row promises where they differ"""
    on: Callable[[], Classifier] = lambda: small.fitted(small.SmallBackbone())


class MetricRow(NamedTuple):
    """Numbers of a metric, and of its reference, for every explanation of EXPLANATIONS."""

    metric: str
    settings: dict[str, str]
    reference: str
    compared: str
    theirs: by.Values
    differs: str = ""
    least: float = 1.0
    """Kendall's tau-b that the row promises where they differ"""
    given: Callable[[by.Shown], by.Shown] = lambda explained: explained
    """What both see of what is explained"""
    ours: Callable[[], AbstractContextManager] = nullcontext
    """What is changed in ours meanwhile"""


class Maps(NamedTuple):
    """How near two explainers' maps are."""

    difference: float
    """Largest, as a share of the largest value of the reference's map of the same image"""
    correlation: float
    """Spearman's over the places of an image, the lowest of all images"""
    varied: float
    """Share of the images whose reference is not one value everywhere, of which alone there is a correlation"""


class Numbers(NamedTuple):
    """How near two metrics' numbers are, over every image and explanation."""

    pearson: float
    spearman: float
    difference: float
    """Largest"""
    largest: float
    """Magnitude of the reference's numbers"""
    tau: float
    """Kendall's tau-b of the order in which both put the explanations, by their means over the images"""


@functools.cache
def shown() -> tuple[Tensor, Tensor, Tensor]:
    """Images (n, 3, H, W), masks (n, H, W) and targets (n,), the same for every row."""
    target = torch.arange(IMAGES) % small.WAY
    return *small.cells(target, seed=2), target


def compare_maps(row: ExplainerRow) -> Maps:
    images, _, target = shown()
    explainer, classifier = registry.explainer(row.explainer, row.settings), row.on()
    ours = explainer.explain(classifier, images, target, maps_by.SEED).saliency
    theirs = row.theirs(explainer, classifier, images, target).detach()
    assert ours.shape == theirs.shape
    assert ours.isfinite().all()
    scale = theirs.abs().amax((1, 2)).clamp_min(1e-12)
    varied = [n for n in range(IMAGES) if float(theirs[n].std()) > 0]
    # nan where ours alone is of one value, which no promise allows
    ranks = [stats.spearmanr(ours[n].flatten(), theirs[n].flatten()).statistic for n in varied]  # type: ignore[attr-defined]
    return Maps(float(((ours - theirs).abs().amax((1, 2)) / scale).max()), float(np.min(ranks)), len(varied) / IMAGES)


# Ten explanations, from good to worthless: images (n, 3, H, W), targets and the network -> maps (n, H, W) in 0..1


def sensitive(images: Tensor, target: Tensor, network: small.Network) -> Tensor:
    """Blurred magnitude of the gradient of the target's margin."""
    leaf = images.clone().requires_grad_()
    with torch.enable_grad():
        own = network.margins(leaf).gather(1, target[:, None]).sum()
        found = torch.autograd.grad(own, leaf)[0]
    return scaled(blur(found.abs().sum(1), 1.5))


def scaled(maps: Tensor) -> Tensor:
    low, high = maps.amin((1, 2), True), maps.amax((1, 2), True)
    return (maps - low) / (high - low)


def noise(seed: int) -> Tensor:
    """One image's, (H, W)."""
    return torch.rand(small.SIDE, small.SIDE, generator=torch.Generator().manual_seed(seed))


def centre() -> Tensor:
    """A blob beside the middle, so that no two pixels are at one distance."""
    place = torch.arange(small.SIDE) / small.SIDE
    return torch.exp(-8 * ((place - 0.48713)[:, None].square() + (place - 0.45929).square()))


Explain = Callable[[Tensor, Tensor, small.Network], Tensor]
EXPLANATIONS: dict[str, Explain] = {
    "gradient": sensitive,
    **{
        f"gradient + {share} noise": lambda images, target, network, share=share: scaled(
            sensitive(images, target, network) + share * noise(int(10 * share))
        )
        for share in (0.1, 0.3, 1, 3)
    },
    "gradient reversed": lambda images, target, network: 1 - sensitive(images, target, network),
    "darkness": lambda images, target, network: scaled(blur(1 - images[:, 1], 1)),
    "centre": lambda images, target, network: scaled(centre().expand(len(images), -1, -1)),
    "noise": lambda images, target, network: scaled(noise(101).expand(len(images), -1, -1)),
    "coarse noise": lambda images, target, network: scaled(blur(noise(102).expand(len(images), -1, -1), 2)),
}
"""Hardly two of their pixels are equal: ties are broken at random, by others otherwise."""


@functools.cache
def asked() -> tuple[dict[str, by.Shown], small.Network]:
    """Every explanation with all that a metric may look at, and the network that is asked."""
    (images, masks, target), network, shared = shown(), small.network(), {}
    other, fitted = small.shuffled(), network.fitted
    with torch.no_grad():
        fill = small.cells(torch.arange(12), seed=3)[0].mean().expand(3)

    def one(explain: Explain) -> by.Shown:
        def own(images: Tensor, target: Tensor) -> Tensor:
            return explain(images, target, network)

        def other_weights() -> Tensor:
            return explain(images, target, other)

        saliency = own(images, target)
        more = torch.stack([scaled(saliency + 0.3 * noise(seed)) for seed in range(200, 200 + small.SHOT)], 1)
        words = torch.stack([scaled(saliency + 0.3 * noise(seed)) for seed in range(300, 303)], 1)
        return by.Shown(
            images, saliency, target, network.probability, masks, fill, QUANTILE, QUANTILE, more,
            lambda images, target: likeness(fitted, images, target), own,
            lambda what: other_weights() if what == "weights" else own(images, (target + 1) % small.WAY),
            lambda: drops(fitted.attributes, fitted, images, words, fill, target, network.temperature),
            lambda: scaled(blur(images[:, 0], 1)), shared, explain,
            words,
        )  # fmt: skip

    return {name: one(explain) for name, explain in EXPLANATIONS.items()}, network


def compare_numbers(row: MetricRow) -> Numbers:
    metric = registry.build("metrics/explanation", row.metric, row.settings)
    explained, network = asked()
    with row.ours():
        pairs = [(metric.measure(seen).numpy(), row.theirs(metric, seen, network))
                 for seen in map(row.given, explained.values())]  # fmt: skip
    ours, theirs = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    assert ours.shape == theirs.shape == (len(EXPLANATIONS), IMAGES)
    # what is equal but for the last digits of single precision is a tie
    numbers, means = ([side.round(5) for side in sides] for sides in
                      ((ours.ravel(), theirs.ravel()), (ours.mean(1), theirs.mean(1))))  # fmt: skip
    return Numbers(
        float(stats.pearsonr(ours.ravel(), theirs.ravel()).statistic),  # type: ignore[attr-defined]
        float(stats.spearmanr(*numbers).statistic),  # type: ignore[attr-defined]
        float(np.abs(ours - theirs).max()),
        float(np.abs(theirs).max()),
        float(stats.kendalltau(*means).statistic),  # type: ignore[attr-defined]
    )


def keeps(row: ExplainerRow, found: Maps) -> bool:
    """Whether the maps are as near as the row promises."""
    if row.differs:
        return row.least <= found.correlation and found.difference > TIGHT
    return found.difference <= TIGHT and found.correlation >= 1 - TIGHT


def holds(row: MetricRow, found: Numbers) -> bool:
    """Whether the numbers, or where they differ their order, are as near as the row promises."""
    near = found.difference <= TIGHT * max(1, found.largest)
    if row.differs:
        return row.least <= found.tau and not near
    return near and found.tau >= 1 - TIGHT and min(found.pearson, found.spearman) >= 1 - TIGHT


def page() -> str:
    """Both tables, in Markdown."""
    explainers = [
        [_name(row.explainer, row.settings), row.reference, row.compared, _short(found.difference),
         f"{found.correlation:.4f}", row.differs or "same formula"]
        for row, found in ((row, compare_maps(row)) for row in EXPLAINERS)
    ]  # fmt: skip
    metrics = [
        [_name(row.metric, row.settings), row.reference, row.compared, f"{found.pearson:.4f}", f"{found.spearman:.4f}",
         _short(found.difference), f"{found.tau:.3f}", row.differs or "same formula"]
        for row, found in ((row, compare_numbers(row)) for row in METRICS)
    ]  # fmt: skip
    return "\n".join([
        "<!-- Written by `python benchmarks/parity/explanations.py`; edit that file, not this one. -->", "",
        "# Explainers and explanation metrics beside their references", "",
        f"On {IMAGES} made-up cells of {small.SIDE} x {small.SIDE} pixels and small networks with random weights.", "",
        "## Explainers", "",
        "The largest difference of two maps, as a share of the largest value of the reference's map of that image; the "
        "lowest of all images' rank correlations (Spearman) of the places. Where ours calls captum for more than a "
        "gradient, the reference is another.", "",
        *table(["explainer", "reference", "what is compared", "largest difference", "rank correlation", "why"],
               explainers), "",
        "Without an independent reference: " + "; ".join(f"`{name}`, {why}" for name, why in ALONE.items()) + ".", "",
        "## Explanation metrics", "",
        f"Over the numbers of {IMAGES} images and {len(EXPLANATIONS)} explanations ({', '.join(EXPLANATIONS)}): "
        "Pearson's and Spearman's correlation and the largest difference. Order: Kendall's tau-b of the two orders in "
        "which the means over the images put the explanations, 1 where ours and the reference would rank explainers "
        "alike.", "",
        *table(["metric", "reference", "what is compared", "Pearson", "Spearman", "largest difference", "order", "why"],
               metrics), "",
    ])  # fmt: skip


def _name(name: str, settings: dict[str, str]) -> str:
    return f"`{' '.join([name, *(f'{key}={value}' for key, value in settings.items())])}`"


def _short(number: float) -> str:
    return f"{number:.0e}" if number else "0"


def _on(neck: bool = True, uneven: bool = False, factor: float = 1) -> Callable[[], Classifier]:
    return lambda: small.fitted(small.SmallBackbone(neck, uneven), factor)


def _vit(pooled: bool) -> Callable[[], Classifier]:
    return lambda: small.fitted(small.SmallViT(pooled))


def _redrawn(explained: by.Shown) -> by.Shown:
    """With maps of the network that Quantus draws, in double precision: no value then changes its bin by rounding."""
    return replace(explained, saliency=explained.saliency.double(),
                   randomised=lambda what: explained.with_network(by.redrawn(small.network())).double())  # fmt: skip


UNEVEN = _on(uneven=True)
PLAIN = _on(neck=False, uneven=True)
CAM = "before it rescales its maps; places weigh unlike"
EXPLAINERS = [
    ExplainerRow("grad_cam", {}, "captum `LayerGradCam`", "places weigh unlike", maps_by.layer_grad_cam, on=UNEVEN),
    ExplainerRow("grad_cam", {}, "pytorch-grad-cam `GradCAM`", CAM, maps_by.grad_cam("GradCAM"), on=UNEVEN),
    ExplainerRow("grad_cam_pp", {}, "pytorch-grad-cam `GradCAMPlusPlus`",
                 f"{CAM}; scores times 1000, beside which its 1e-6 in the denominator is nothing",
                 maps_by.grad_cam("GradCAMPlusPlus"), on=_on(uneven=True, factor=1000)),
    ExplainerRow("hires_cam", {}, "pytorch-grad-cam `HiResCAM`", CAM, maps_by.grad_cam("HiResCAM"), on=UNEVEN),
    ExplainerRow("xgrad_cam", {}, "pytorch-grad-cam `XGradCAM`", CAM, maps_by.grad_cam("XGradCAM"), on=UNEVEN),
    ExplainerRow("layer_cam", {}, "pytorch-grad-cam `LayerCAM`", CAM, maps_by.grad_cam("LayerCAM"), on=UNEVEN),
    ExplainerRow("ablation_cam", {}, "pytorch-grad-cam `AblationCAM`", f"{CAM}; its division by the score undone",
                 maps_by.grad_cam("AblationCAM", lambda scores: scores, batch_size=8), on=UNEVEN),
    ExplainerRow("score_cam", {"baseline": "black"}, "pytorch-grad-cam `ScoreCAM`",
                 "before it rescales its maps; upsampled from centres of places", maps_by.score_cam),
    ExplainerRow("score_cam", {}, "pytorch-grad-cam `ScoreCAM`", "before it rescales its maps",
                 maps_by.grad_cam("ScoreCAM"),
                 "it hides places in black, ours in the mean colour; it upsamples corner to corner", 0.95),
    ExplainerRow("eigen_cam", {}, "numpy's singular value decomposition", "the sign with the larger sum",
                 maps_by.eigen_cam),
    ExplainerRow("eigen_cam", {}, "pytorch-grad-cam `EigenCAM`",
                 "before it rescales its maps; the sign, which it leaves to chance, that suits the mean map",
                 maps_by.eigen_cam_as_it_comes,
                 "it centres the maps over the places first; ours does not, as in the paper", 0.2),
    ExplainerRow("attention_rollout", {}, "timm's attention written out head by head", "the class token's row",
                 maps_by.rollout, on=_vit(False)),
    ExplainerRow("attention_rollout", {}, "timm's attention written out head by head", "the mean over patches",
                 maps_by.rollout, on=_vit(True)),
    ExplainerRow("saliency", {}, "torch's autograd", "as they come", maps_by.gradient),
    ExplainerRow("input_x_gradient", {}, "torch's autograd", "as they come", maps_by.input_x_gradient),
    ExplainerRow("guided_backprop", {}, "torch's autograd, ReLUs with the paper's rule", "as they come",
                 maps_by.guided_backprop),
    ExplainerRow("smoothgrad", {}, "torch's autograd", "on the same noise", maps_by.smoothgrad),
    ExplainerRow("integrated_gradients", {}, "torch's autograd at numpy's Gauss-Legendre points", "as they come",
                 maps_by.integrated_gradients),
    ExplainerRow("gradient_shap", {}, "captum `GradientShap`", "on the same draws", maps_by.gradient_shap),
    ExplainerRow("deeplift", {}, "torch's autograd through secants of the activations", "as they come",
                 maps_by.deeplift),
    ExplainerRow("lrp", {}, "rule gamma through torch's autograd", "gamma leaves biases alone, as in captum",
                 maps_by.lrp(boosted_bias=False)),
    ExplainerRow("lrp", {}, "rule gamma through torch's autograd", "gamma favours positive biases too",
                 maps_by.lrp(boosted_bias=True),
                 "captum, which ours calls, favours weights alone", 0.95),
    ExplainerRow("occlusion", {"cells": "5"}, "a plain loop over the squares", "as they come", maps_by.occlusion,
                 on=PLAIN),
    ExplainerRow("sbsm", {"cells": "5"}, "a plain loop over the squares", "as they come", maps_by.sbsm, on=PLAIN),
    ExplainerRow("rise", {"baseline": "black"}, "a plain loop over the masks", "the masks that ours drew",
                 maps_by.rise(published=False), on=PLAIN),
    ExplainerRow("rise", {"baseline": "black"}, "the published mean of scores over masks",
                 "the masks that ours drew", maps_by.rise(published=True),
                 "without the mean score taken away a map also shows how dense the masks are; ours is cut at 0",
                 0.2, on=PLAIN),
    ExplainerRow("lime", {"segments": "12"}, "ridge regression by the normal equations in numpy",
                 "the sets of superpixels that ours drew", maps_by.lime, on=PLAIN),
    ExplainerRow("kernel_shap", {"segments": "6", "draws": "512"}, "exact Shapley values over all coalitions",
                 "the same superpixels", maps_by.shapley, "ours draws coalitions, as the paper does", 0.95, on=PLAIN),
    ExplainerRow("siamcam", {}, "our own formula by torch's autograd, from the pair's product", "as they come",
                 maps_by.siamcam),
    ExplainerRow("siamcam", {"distance": "l2"}, "our own formula by torch's autograd, from the pair's distance",
                 "places weigh unlike", maps_by.siamcam, on=UNEVEN),
    ExplainerRow("siamcam", {"distance": "cosine"}, "our own formula by torch's autograd, from the pair's cosine",
                 "places weigh unlike", maps_by.siamcam, on=UNEVEN),
    ExplainerRow("contrast_cam", {}, "our own formula by torch's autograd, from the cosines", "places weigh unlike",
                 maps_by.contrast, on=UNEVEN),
    ExplainerRow("contrast_cam", {"against": "next"}, "our own formula by torch's autograd, from the cosines",
                 "as they come", maps_by.contrast),
    ExplainerRow("activation_decomposition", {}, "the paper's formula, pair by pair of places", "as they come",
                 maps_by.decomposition(peak=False), on=_on(neck=False)),
    ExplainerRow("activation_decomposition", {"point": "peak"}, "the paper's formula, pair by pair of places",
                 "as they come", maps_by.decomposition(peak=True), on=_on(neck=False)),
    ExplainerRow("integrated_jacobians", {}, "both Jacobians in full by torch's autograd, multiplied as in the paper",
                 "integrated by Gauss-Legendre", maps_by.integrated_jacobians, on=UNEVEN),
    ExplainerRow("attributes", {}, "captum `LayerGradCam` of each word, weighted in numpy", "made-up heads",
                 maps_by.attributes),
]  # fmt: skip
ALONE = {"oracle": "which is the cell's mask itself"}
"""Explainers without a row, and why"""

METRICS = [
    MetricRow("deletion", {}, "Quantus `PixelFlipping`", "every third of its steps, with the whole image before them",
              by.deletion),
    MetricRow("deletion", {}, "Quantus `PixelFlipping`", "its own area", by.deletion_by_their_area(black=False),
              "its area counts steps and leaves the whole image out", 0.8),
    MetricRow("deletion", {}, "Quantus `PixelFlipping`", "its own area, pixels turned black",
              by.deletion_by_their_area(black=True), "black in place of the mean colour", 0.2),
    MetricRow("insertion", {}, "the paper's loop in numpy, scipy's Gaussian filter", "as they come", by.insertion),
    MetricRow("abpc", {}, "Quantus `PixelFlipping`, of the map and of its negative",
              "every third of its steps, with the whole image before them", by.abpc),
    MetricRow("comprehensiveness", {}, "the paper's formula in numpy", "as they come", by.eraser(kept=False)),
    MetricRow("sufficiency", {}, "the paper's formula in numpy", "as they come", by.eraser(kept=True)),
    MetricRow("road", {"steps": "5"}, "pytorch-grad-cam `ROADCombined`", "without noise", by.road(noisy=False),
              ours=lambda: mock.patch("zoo.metrics.explanation.road.NOISE", 0)),
    MetricRow("road", {"steps": "5"}, "pytorch-grad-cam `ROADCombined`", "as they come", by.road(noisy=True),
              "it draws its noise anew for every image; ours has the same for all", 0.8),
    MetricRow("faithfulness_correlation", {}, "Quantus `FaithfulnessCorrelation`", "our regions",
              by.faithfulness_correlation),
    MetricRow("faithfulness_correlation", {}, "Quantus `FaithfulnessCorrelation`",
              "300 regions of its own, a tenth of the values", by.faithfulness_correlation_of_values(300),
              "its regions are scattered colour values, ours squares of a grid", 0.3),
    MetricRow("faithfulness_correlation", {}, "Quantus `FaithfulnessCorrelation`",
              "50 regions of its own, as many as ours", by.faithfulness_correlation_of_values(50),
              "so few scattered values give mostly noise", -0.5),
    MetricRow("infidelity", {}, "captum `infidelity`, normalised", "our squares", by.infidelity(scaled=True)),
    MetricRow("infidelity", {"scaled": "one"}, "captum `infidelity`", "our squares", by.infidelity(scaled=False)),
    MetricRow("infidelity", {}, "captum `infidelity`", "our squares", by.infidelity(scaled=False),
              "not normalised, it measures the unit of a map: the smaller its sum the better", -0.9),
    MetricRow("max_sensitivity", {}, "Quantus `MaxSensitivity`", "our noise", by.max_sensitivity),
    MetricRow("max_sensitivity", {}, "captum `sensitivity_max`", "as they come", by.max_sensitivity_as_it_comes,
              "noise of its own, ten draws for our five, that may leave 0..1", 0.8),
    MetricRow("mprt", {}, "Quantus `EfficientMPRT`", "the network that it drew; 100 bins", by.mprt, given=_redrawn),
    MetricRow("mprt", {}, "Quantus `EfficientMPRT`", "100 bins", by.mprt,
              "it draws all weights anew, ours shuffles them and fits again: two random networks", 0.3),
    MetricRow("randomised_weights", {}, "scipy `spearmanr`", "as they come",
              by.spearman(lambda explained: explained.randomised("weights"))),
    MetricRow("shuffled_deletion", {}, "Quantus `PixelFlipping`, by the other saliency",
              "every third of its steps, with the whole image before them", by.shuffled(by.deletion)),
    MetricRow("shuffled_insertion", {}, "the paper's loop in numpy, scipy's Gaussian filter, by the other saliency",
              "as they come", by.shuffled(by.insertion)),
    MetricRow("randomised_labels", {}, "scipy `spearmanr`", "as they come",
              by.spearman(lambda explained: explained.randomised("labels"))),
    MetricRow("saliency_agreement", {}, "scipy `spearmanr`", "as they come",
              by.spearman(lambda explained: explained.reference())),
    MetricRow("pair_deletion", {}, "a plain loop in numpy, torch's cosine similarity", "a map for each support",
              by.pair_area(by.whole, by.flat)),
    MetricRow("pair_deletion", {}, "a plain loop in numpy, torch's cosine similarity", "one map for all supports",
              by.pair_area(by.whole, by.flat), given=lambda explained: replace(explained, per_support=None)),
    MetricRow("pair_insertion", {}, "a plain loop in numpy, torch's cosine similarity", "a map for each support",
              by.pair_area(by.blurred, by.whole)),
    MetricRow("attribute_drop", {}, "a plain loop in numpy", "made-up heads, a map for each attribute",
              by.attribute_drop(of_the_class=False)),
    MetricRow("attribute_class_drop", {}, "a plain loop in numpy", "made-up heads, a map for each attribute",
              by.attribute_drop(of_the_class=True)),
    MetricRow("relevance_mass", {}, "Quantus `RelevanceMassAccuracy`", "as they come",
              by.with_masks("RelevanceMassAccuracy")),
    MetricRow("pointing_game", {}, "Quantus `PointingGame`", "as they come", by.with_masks("PointingGame")),
    MetricRow("top_k_intersection", {}, "Quantus `TopKIntersection`", "the same k", by.top_k_intersection),
    MetricRow("pxap", {}, "scikit-learn `average_precision_score`", "as they come", by.average_precision),
    MetricRow("saliency_jaccard", {}, "scikit-learn `jaccard_score`", "numpy's quantile",
              by.jaccard(by.given_masks, QUANTILE)),
    MetricRow("pseudo_jaccard", {}, "scikit-learn `jaccard_score`",
              "numpy's quantile; Otsu's threshold by brute force, in the middle of its bin",
              by.jaccard(by.dark(at_edge=False), QUANTILE)),
    MetricRow("pseudo_jaccard", {}, "scikit-learn `jaccard_score`",
              "numpy's quantile; Otsu's threshold by brute force, at the end of its bin",
              by.jaccard(by.dark(at_edge=True), QUANTILE),
              "scikit-image, which ours calls, gives the middle of the last dark bin", 0.9),
    MetricRow("sparseness", {}, "Quantus `Sparseness`", "as they come", by.sparseness),
]  # fmt: skip


if __name__ == "__main__":
    file = Path(__file__).resolve().parents[2] / "leaderboard" / "parity_explanations.md"
    partial = file.with_suffix(".part")
    partial.write_text(page(), "utf-8")
    partial.replace(file)
    sys.stdout.write(f"{file.relative_to(file.parents[1])}\n")
