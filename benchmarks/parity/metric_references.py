"""Independent implementations of explanation metrics: a metric of ours, for its settings and what it drew, explained
images and the network that was asked -> one number an image, (n,)."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any
from unittest import mock

import numpy as np
import torch
from explainer_references import quiet
from scipy.integrate import trapezoid
from small import Network
from torch import Tensor
from torch.nn import functional as F

from zoo.explaining import Explained
from zoo.perturbation import SHARES, SIGMA
from zoo.pipeline.evidence import SHARE

Values = Callable[[Any, "Shown", Network], np.ndarray]
Asked = Callable[[Tensor], np.ndarray]
"""Images of one query -> what is asked of each, (m,) or (m, k)"""


@dataclass(frozen=True)
class Shown(Explained):
    """Explained images whose explanation may be asked for by any network."""

    by: Callable[[Tensor, Tensor, Network], Tensor] | None = None
    """(images (m, 3, H, W), target (m,), network) -> saliency (m, H, W)"""
    per_attribute: Tensor | None = None
    """(n, attributes, H, W): the maps that `drops` goes by"""

    def with_network(self, network: Network) -> Tensor:
        assert self.by is not None
        return self.by(self.images, self.target, network)


@contextmanager
def same_numbers() -> Iterator[None]:
    """Another library's draws, the same every time, and the global numbers as they were."""
    state = np.random.get_state()  # noqa: NPY002 - what Quantus draws from
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        yield
    np.random.set_state(state)  # noqa: NPY002


def quantus_of(name: str, explained: Explained, network: Network, settings: dict[str, Any], **more: Any) -> np.ndarray:
    """A metric of Quantus without its normalising of maps."""
    import quantus

    metric = getattr(quantus, name)(normalise=False, disable_warnings=True, **settings)
    with quiet(), same_numbers():
        found = metric(model=network, x_batch=explained.images.numpy(), y_batch=explained.target.numpy(),
                       a_batch=explained.saliency[:, None].numpy(), device="cpu", **more)  # fmt: skip
    return np.array(found, dtype=float)


# Pixels that go and come


def pixel_flipping(explained: Explained, network: Network, steps: int, least_first: bool = False) -> np.ndarray:
    """Area under Quantus's curve with the whole image before it. It flips single colour values, so it is given steps
    of a third of ours and every third is read."""
    if least_first:
        explained = replace(explained, saliency=-explained.saliency)
    curve = quantus_of("PixelFlipping", explained, network, {
        "features_in_step": explained.saliency[0].numel() // steps, "perturb_baseline": float(explained.fill[0]),
    }, softmax=False)[:, 2::3]  # fmt: skip
    whole = network.probability(explained.images, explained.target).numpy()
    return area(np.concatenate([whole[:, None], curve], 1).T)


def deletion(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    return pixel_flipping(explained, network, metric.steps)


def abpc(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    least, most = (pixel_flipping(explained, network, metric.steps, least_first) for least_first in (True, False))
    return least - most


def deletion_by_their_area(black: bool) -> Values:
    """The area under Quantus's curve, a step wide each, on `black` or on the mean colour. Its own call for the area
    needs a function that NumPy 2 has no more."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        curves = quantus_of("PixelFlipping", explained, network, {
            "features_in_step": explained.saliency[0].numel() // metric.steps,
            "perturb_baseline": "black" if black else float(explained.fill[0]),
        }, softmax=False)  # fmt: skip
        return trapezoid(curves, axis=1)

    return values


def of_the_class(explained: Explained, network: Network, number: int) -> Asked:
    return lambda images: network.probability(images, explained.target[[number]].expand(len(images))).numpy()


def flat(explained: Explained, number: int) -> np.ndarray:
    """The mean colour as an image, (3, pixels)."""
    return np.repeat(explained.fill.numpy()[:, None], explained.saliency[number].numel(), 1)


def blurred(explained: Explained, number: int) -> np.ndarray:
    """By scipy, its weights rescaled at the border, (3, pixels)."""
    from scipy.ndimage import gaussian_filter

    image, sigma = explained.images[number].numpy().astype(np.float64), SIGMA * explained.images.shape[-1]
    soft, weight = (
        gaussian_filter(one, (0, sigma, sigma), mode="constant", truncate=9) for one in (image, np.ones_like(image))
    )
    return (soft / weight).reshape(3, -1)


def whole(explained: Explained, number: int) -> np.ndarray:
    return explained.images[number].numpy().reshape(3, -1)


def curve(
    asked: Asked, explained: Explained, saliency: Tensor, counts: Sequence[int], start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """What is asked after each count of pixels went from `start` to `end` (3, pixels), the most salient of one map
    (H, W) first, by a plain loop: (counts, ...)."""
    order, pictures = np.argsort(-saliency.numpy().ravel(), kind="stable"), []
    for count in counts:
        picture = start.copy()
        picture[:, order[:count]] = end[:, order[:count]]
        pictures.append(picture.reshape(explained.images.shape[1:]))
    return asked(torch.from_numpy(np.stack(pictures)).float())


def area(heights: np.ndarray) -> Any:
    return sum((a + b) / 2 for a, b in itertools.pairwise(heights)) / (len(heights) - 1)


def tenths(explained: Explained, steps: int) -> list[int]:
    pixels = explained.saliency[0].numel()
    return [pixels * step // steps for step in range(steps + 1)]


def insertion(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    return np.array([
        area(curve(of_the_class(explained, network, n), explained, explained.saliency[n],
                   tenths(explained, metric.steps), blurred(explained, n), whole(explained, n)))
        for n in range(len(explained.images))
    ])  # fmt: skip


def shuffled(reference: Values) -> Values:
    """The reference on the saliency of the randomised classifier."""

    def values(metric: Any, explained: Shown, network: Network) -> np.ndarray:
        assert explained.randomised is not None
        return reference(metric, replace(explained, saliency=explained.randomised("weights")), network)

    return values


def eraser(kept: bool) -> Values:
    """Comprehensiveness of ERASER, or (`kept`) its sufficiency."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        counts = [round(share * explained.saliency[0].numel()) for share in SHARES]
        found = []
        for n in range(len(explained.images)):
            ends = (flat(explained, n), whole(explained, n)) if kept else (whole(explained, n), flat(explained, n))
            asked = of_the_class(explained, network, n)
            found.append(asked(explained.images[[n]])[0]
                         - curve(asked, explained, explained.saliency[n], counts, *ends).mean())  # fmt: skip
        return np.array(found)

    return values


def pair_area(start: Callable[..., np.ndarray], end: Callable[..., np.ndarray]) -> Values:
    """Of torch's cosine similarity to each support of the target class, each by its own map where there is one."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        found, fitted = [], network.fitted
        for n in range(len(explained.images)):
            own = fitted.support.features[fitted.support.labels == explained.target[n]]
            maps = [explained.saliency[n]] * len(own) if explained.per_support is None else [*explained.per_support[n]]
            areas = []
            for support, saliency in zip(own, maps, strict=True):

                def asked(images: Tensor, support: Tensor = support) -> np.ndarray:
                    with torch.no_grad():
                        return F.cosine_similarity(fitted.backbone(images), support[None]).numpy()

                counts = tenths(explained, metric.steps)
                areas.append(area(curve(asked, explained, saliency, counts, start(explained, n), end(explained, n))))
            found.append(np.mean(areas))
        return np.array(found)

    return values


def attribute_drop(of_the_class: bool) -> Values:
    """In a plain loop over the images and their attributes' maps."""

    def values(metric: Any, explained: Shown, network: Network) -> np.ndarray:
        heads, found = network.fitted.attributes.heads, []

        def told(images: Tensor) -> list[np.ndarray]:
            with torch.no_grad():
                scores = (network.fitted.backbone(images) @ heads.weight + heads.bias)[0].numpy().astype(np.float64)
            parts = np.split(np.exp(scores), np.cumsum(heads.sizes)[:-1])
            return [part / part.sum() for part in parts]

        for n in range(len(explained.images)):
            before, fall = told(explained.images[[n]]), []
            assert explained.per_attribute is not None
            for number, saliency in enumerate(explained.per_attribute[n]):
                order = np.argsort(-saliency.numpy().ravel(), kind="stable")
                picture = whole(explained, n).copy()
                gone = order[: round(SHARE * len(order))]
                picture[:, gone] = flat(explained, n)[:, gone]
                without = torch.from_numpy(picture.reshape(1, *explained.images.shape[1:]))
                if of_the_class:
                    label = explained.target[[n]]
                    asked = network.probability(explained.images[[n]], label) - network.probability(without, label)
                    fall.append(float(asked))
                else:
                    word = before[number].argmax()
                    fall.append(before[number][word] - told(without)[number][word])
            found.append(np.mean(fall))
        return np.array(found)

    return values


def road(noisy: bool) -> Values:
    """pytorch-grad-cam's; `noisy`: its noise as it comes."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        from pytorch_grad_cam.metrics import road as peer

        def silent(self: Any, noise: float = 0.0) -> None:
            self.noise, self.weighting = noise, peer.neighbors_weights

        start: Any = peer.NoisyLinearImputer.__init__ if noisy else silent
        targets: list[Any] = [itemgetter(int(label)) for label in explained.target]
        with quiet(), same_numbers(), mock.patch.object(peer.NoisyLinearImputer, "__init__", start):
            combined = peer.ROADCombined([100 * step // metric.steps for step in range(1, metric.steps)])
            return combined(explained.images, explained.saliency.numpy(), targets, network)

    return values


# Random regions


def faithfulness_correlation(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    """Quantus's, given our regions."""
    subsets = metric.subsets(explained).numpy()
    regions = [np.flatnonzero(np.broadcast_to(gone, explained.images.shape[1:])) for gone in subsets]
    turn = [region for region in regions for _ in explained.images]
    with mock.patch.object(np.random, "choice", side_effect=turn):
        return quantus_of("FaithfulnessCorrelation", explained, network, {
            "nr_runs": metric.draws, "subset_size": len(regions[0]), "perturb_baseline": float(explained.fill[0]),
            "return_aggregate": False,
        }, softmax=False)  # fmt: skip


def faithfulness_correlation_of_values(draws: int) -> Values:
    """Quantus's, with regions of its own."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        return quantus_of("FaithfulnessCorrelation", explained, network, {
            "nr_runs": draws, "subset_size": 3 * explained.saliency[0].numel() // 10,
            "perturb_baseline": float(explained.fill[0]), "return_aggregate": False,
        }, softmax=False)  # fmt: skip

    return values


def infidelity(scaled: bool) -> Values:
    """captum's, given our squares: for attributions that are multiplied by the input a change is an indicator."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        from captum.metrics import infidelity as peer

        squares, fill = iter(metric.squares(explained)), explained.fill[:, None, None]

        def changed(images: Tensor) -> tuple[Tensor, Tensor]:
            gone = next(squares).expand(len(images), 3, -1, -1)
            return gone * torch.tensor([1.0, 0, 0]).view(3, 1, 1), torch.where(gone, fill, images)

        with quiet():
            found = peer(lambda images: network.probability(images, explained.target), changed, explained.images,
                         explained.saliency[:, None].expand(-1, 3, -1, -1), n_perturb_samples=metric.draws,
                         max_examples_per_batch=len(explained.images), normalize=scaled)  # fmt: skip
        return found.numpy()

    return values


# Explained again


def max_sensitivity(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    """Quantus's, given our noisy images."""
    assert explained.explain is not None
    explain, seen = explained.explain, []

    def listening(images: Tensor, target: Tensor) -> Tensor:
        seen.append(images.clone())
        return explain(images, target)

    metric.measure(replace(explained, explain=listening))
    draws = iter(seen)
    return quantus_of("MaxSensitivity", explained, network, {
        "nr_samples": metric.draws, "abs": False,
        "perturb_func": lambda arr, indices, **_: next(draws).flatten(1).numpy(),
    }, explain_func=again(explain))  # fmt: skip


def again(explain: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., np.ndarray]:
    """An explainer as Quantus wants one."""
    return lambda model, inputs, targets, **_: explain(
        torch.as_tensor(inputs), torch.as_tensor(targets)
    )[:, None].numpy()  # fmt: skip


def max_sensitivity_as_it_comes(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    from captum.metrics import sensitivity_max

    assert explained.explain is not None
    explain = explained.explain

    def maps(images: Any, target: Tensor) -> tuple[Tensor]:
        return (explain(images[0] if isinstance(images, tuple) else images, target).unsqueeze(1),)

    images: Any = explained.images
    with quiet(), same_numbers():
        return sensitivity_max(maps, images, target=explained.target).numpy()


@functools.cache
def redrawn(network: Network) -> Network:
    """The network with all its layers drawn anew, as Quantus does."""
    from quantus.helpers.model.pytorch_model import PyTorchModel

    with quiet(), same_numbers():
        *_, (_, last) = PyTorchModel(network).get_random_layer_generator(order="bottom_up", seed=42)
    assert isinstance(last, Network)
    return last


def mprt(metric: Any, explained: Shown, network: Network) -> np.ndarray:
    def explain(model: Network, inputs: np.ndarray, targets: np.ndarray, **_: Any) -> np.ndarray:
        return explained.with_network(model).double()[:, None].numpy()

    settings = {"complexity_func_kwargs": {"n_bins": metric.bins}}
    return quantus_of("EfficientMPRT", explained, network, settings, explain_func=explain)


def spearman(other: Callable[[Any], Tensor]) -> Values:
    """scipy's correlation with the maps (n, H, W) that `other` takes from what is explained."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        from scipy.stats import spearmanr

        pairs: Any = zip(explained.saliency, other(explained), strict=True)
        return np.array([spearmanr(a.flatten(), b.flatten()).statistic for a, b in pairs])  # type: ignore[attr-defined]

    return values


# Masks


def with_masks(name: str, **settings: Any) -> Values:
    """A metric of Quantus that wants masks."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        assert explained.masks is not None
        return quantus_of(name, explained, network, settings, s_batch=explained.masks[:, None].numpy())

    return values


def top_k_intersection(metric: Any, explained: Shown, network: Network) -> np.ndarray:
    k = round(metric.share * explained.saliency[0].numel())
    return with_masks("TopKIntersection", k=k)(metric, explained, network)


def average_precision(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    from sklearn.metrics import average_precision_score

    assert explained.masks is not None
    pairs = zip(explained.masks, explained.saliency, strict=True)
    return np.array([average_precision_score(mask.flatten(), saliency.flatten()) for mask, saliency in pairs])


def jaccard(masks: Callable[[Explained], np.ndarray], quantile: float) -> Values:
    """scikit-learn's, of the pixels above numpy's quantile and masks (n, H, W) bool."""

    def values(metric: Any, explained: Explained, network: Network) -> np.ndarray:
        from sklearn.metrics import jaccard_score

        marked = [one > np.quantile(one, quantile, method="inverted_cdf") for one in explained.saliency.numpy()]
        pairs = zip(masks(explained), marked, strict=True)
        return np.array([jaccard_score(mask.ravel(), one.ravel()) for mask, one in pairs])

    return values


def given_masks(explained: Explained) -> np.ndarray:
    assert explained.masks is not None
    return explained.masks.numpy()


def dark(at_edge: bool) -> Callable[[Explained], np.ndarray]:
    """The darker of the two classes of green values between which the variance of 256 bins is largest, by brute force;
    they part at the middle of the last dark bin, or (`at_edge`) at its end."""

    def mask(green: np.ndarray) -> np.ndarray:
        counts, edges = np.histogram(green, 256)
        middle = (edges[1:] + edges[:-1]) / 2
        between = [
            counts[:k].sum() * counts[k:].sum()
            * (counts[:k] @ middle[:k] / counts[:k].sum() - counts[k:] @ middle[k:] / counts[k:].sum()) ** 2
            for k in range(1, 256)
        ]  # fmt: skip
        last = int(np.argmax(between))
        return green < (edges[last + 1] if at_edge else middle[last])

    return lambda explained: np.stack([mask(image[1].numpy()) for image in explained.images])


def sparseness(metric: Any, explained: Explained, network: Network) -> np.ndarray:
    return quantus_of("Sparseness", explained, network, {})
