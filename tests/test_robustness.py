"""Metrics of robustness, randomisation and complexity: by hand, and against Quantus on the same tensors."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from marked import LEFT_FIRST, WHITE, Network, explained
from test_explain import bank, items, scene
from tiny import TinyBackbone, images

from zoo import ops, registry
from zoo.attribution import generator
from zoo.metrics.explanation.deletion import Deletion
from zoo.metrics.explanation.insertion import Insertion
from zoo.metrics.explanation.max_sensitivity import MaxSensitivity
from zoo.metrics.explanation.mprt import EfficientMPRT
from zoo.metrics.explanation.randomised_labels import RandomisedLabels
from zoo.metrics.explanation.randomised_weights import RandomisedWeights
from zoo.metrics.explanation.shuffled_deletion import ShuffledDeletion
from zoo.metrics.explanation.shuffled_insertion import ShuffledInsertion
from zoo.metrics.explanation.sparseness import Sparseness
from zoo.pipeline.explain import Asked, _explained, ask, likeness, metrics_of, score
from zoo.pipeline.randomised import refitted, shuffled_labels, shuffled_weights

RANDOMISED = ["mprt", "randomised_weights", "randomised_labels"]


def test_sparseness_by_hand():
    # 1, 2, 3, 4: (-3 x 1 - 1 x 2 + 1 x 3 + 3 x 4) / (4 x 10) = 1/4; one pixel has all: 3/4; even, or nothing: 0
    maps = torch.stack([LEFT_FIRST[0], torch.tensor([[0.0, -7.0], [0.0, 0.0]]), torch.ones(2, 2), torch.zeros(2, 2)])
    assert Sparseness().measure(explained(WHITE.repeat(2, 1, 1, 1), maps)).tolist() == [0.25, 0.75, 0, 0]


def test_sparseness_equals_quantus():
    import quantus

    case = explained(images(4), images(4, seed=5)[:, 0] ** 3)
    theirs = quantus.Sparseness(normalise=False, disable_warnings=True)(
        model=None, x_batch=case.images.numpy(), y_batch=case.target.numpy(), device="cpu",
        a_batch=case.saliency[:, None].numpy(),
    )  # fmt: skip
    np.testing.assert_allclose(Sparseness().measure(case), theirs, atol=1e-6)


def test_max_sensitivity_by_hand():
    def moved(pictures, target):
        return LEFT_FIRST + (pictures.mean(1) - 0.5).sign()

    grey = torch.full((2, 3, 2, 2), 0.5)
    steady = explained(grey, LEFT_FIRST, explain=lambda pictures, target: LEFT_FIRST)
    assert MaxSensitivity().measure(steady).tolist() == [0, 0]
    # every pixel moves by one: |(1, 1, 1, 1)| / |(1, 2, 3, 4)|, whatever the noise
    found = MaxSensitivity().measure(explained(grey, LEFT_FIRST, explain=moved))
    assert found.tolist() == [pytest.approx(2 / 30**0.5)] * 2
    blank = explained(grey, 0 * LEFT_FIRST, explain=lambda pictures, target: LEFT_FIRST)
    assert MaxSensitivity().measure(blank).tolist() == [1, 1]


def test_max_sensitivity_equals_quantus():
    """Quantus is given our noise."""
    import quantus

    network, metric, pictures = Network(TinyBackbone()), MaxSensitivity(draws=4), images(3)
    seen = []

    def explain(batch, target):
        seen.append(batch.clone())
        return (batch - 0.3).square().sum(1)

    case = explained(pictures, explain(pictures, None), explain=explain)
    seen.clear()
    found, draws = metric.measure(case), iter(seen)
    theirs = quantus.MaxSensitivity(
        nr_samples=4, normalise=False, abs=False, disable_warnings=True,
        perturb_func=lambda arr, indices, **_: next(draws).flatten(1).numpy(),
    )(
        model=network, x_batch=pictures.numpy(), y_batch=case.target.numpy(), a_batch=case.saliency[:, None].numpy(),
        explain_func=lambda model, inputs, targets, **_: explain(torch.tensor(inputs), None)[:, None].numpy(),
        device="cpu",
    )  # fmt: skip
    np.testing.assert_allclose(found, theirs, rtol=1e-5)
    assert (seen[0] - pictures).abs().max() <= metric.radius + 1e-6
    assert found.min() > 0


def test_mprt_by_hand():
    # Half the pixels in the lowest bin, half in the highest: ln 2; four values, four bins: ln 4
    halves = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]]).repeat(2, 1, 1)
    case = explained(WHITE, halves, randomised=lambda what: LEFT_FIRST)
    torch.testing.assert_close(EfficientMPRT().measure(case), torch.tensor([1.0, 1.0]))
    even = explained(WHITE, torch.ones(2, 2, 2), randomised=lambda what: LEFT_FIRST)
    assert EfficientMPRT().measure(even).tolist() == [0, 0]


def test_mprt_has_the_entropy_of_quantus():
    from quantus.functions.complexity_func import discrete_entropy

    maps = images(3, seed=5)[:, 0].double() ** 2
    right = [discrete_entropy(values.numpy(), values.numpy()) for values in maps]
    np.testing.assert_allclose(EfficientMPRT().entropy(maps), right, rtol=1e-6)


def test_randomised_metrics_are_spearmans():
    for ties in (False, True):
        a, b = (images(3, seed=seed)[:, 0] for seed in (5, 6))
        a, b = ((values * 5).floor() if ties else values for values in (a + b, b))
        right = np.array([scipy.stats.spearmanr(x.flatten(), y.flatten()) for x, y in zip(a, b, strict=True)])[:, 0]
        asked = []
        case = explained(images(3), a, randomised=lambda what, b=b, asked=asked: asked.append(what) or b)
        for metric, what in ((RandomisedWeights(), "weights"), (RandomisedLabels(), "labels")):
            np.testing.assert_allclose(metric.measure(case), right, atol=1e-6)
            assert asked[-1] == what
    assert ops.rank_correlation(torch.ones(1, 9), torch.arange(9.0)[None]).tolist() == [0]


def test_shuffled_weights_keep_their_values_and_the_scene_its_own():
    real = scene(items())
    before = [weight.clone() for weight in real.backbone.parameters()]
    wrong = shuffled_weights(real, torch.Generator().manual_seed(0))
    for weight, own, kept in zip(wrong.backbone.parameters(), before, real.backbone.parameters(), strict=True):
        assert torch.equal(own, kept)
        assert torch.equal(weight.flatten().sort().values, own.flatten().sort().values)
    moved = [
        not torch.equal(a, b) for a, b in zip(wrong.backbone.parameters(), before, strict=True) if len(a.unique()) > 3
    ]
    assert moved
    assert all(moved)


def test_shuffled_labels_keep_the_supports():
    episode = bank(20).episodes[0]
    for seed in range(20):
        wrong = shuffled_labels(episode, torch.Generator().manual_seed(seed))
        assert sorted(wrong.support) == sorted(episode.support)
        assert (wrong.support_labels == episode.support_labels).all()
        assert {*wrong.support[:3]} != {*episode.support[:3]}


def test_a_transductive_method_is_refitted_to_the_explained_queries_alone():
    real = scene(items())
    real = replace(real, method=registry.method("tim", {"steps": "3"}), features=torch.full((40, 64), torch.nan))
    real = replace(real, features=torch.full((40, real.backbone.dim), torch.nan))
    episode = bank(20).episodes[0]
    classifier = refitted(shuffled_weights(real, torch.Generator().manual_seed(0)), episode, episode.query[:4])
    assert classifier(real.images(episode.query)).isfinite().all()


@pytest.mark.parametrize(("shuffled", "plain"), [(ShuffledDeletion, Deletion), (ShuffledInsertion, Insertion)])
def test_the_real_classifier_judges_the_saliency_of_shuffled_weights(shuffled, plain):
    pictures, network = images(3), Network(TinyBackbone())
    own, other = pictures[:, 0], pictures[:, 1].square()

    def case(saliency):
        return explained(pictures, saliency, lambda batch, target: network(batch)[:, 0], randomised=lambda what: other)

    torch.testing.assert_close(shuffled(4).measure(case(own)), plain(4).measure(case(other)))
    assert not torch.allclose(plain(4).measure(case(own)), plain(4).measure(case(other)))


@pytest.mark.parametrize("what", ["weights", "labels"])
def test_every_query_has_its_own_shuffle_whatever_is_asked_beside_it(what):
    real, episode = scene(items()), bank(20).episodes[0]

    def found(*places):
        part = Asked(episode, np.array(places))
        one = _explained(real, real.classifier(episode), registry.explainer("siamcam"), part, (None, None), 0, {})[0]
        assert one.randomised is not None
        return one.randomised(what)

    def alone(place, by):
        image = real.images(episode.query[[place]])
        target = real.classifier(episode)(image).argmax(1)
        random, numbers = generator(real.images(episode.query[[by]])[0], 0), episode.query[[place]]
        if what == "weights":
            wrong = refitted(shuffled_weights(real, random), episode, numbers)
        else:
            wrong = refitted(real, shuffled_labels(episode, random), numbers)
        maps = registry.explainer("siamcam").explain_with(wrong, image, target, 0, None).saliency
        return ops.upsample(maps, *image.shape[2:])[0]

    together = found(0, 1, 2)
    torch.testing.assert_close(together[2], found(2)[0])
    for place in range(3):
        torch.testing.assert_close(together[place], alone(place, place))
    assert not torch.allclose(together[1], alone(1, 0), atol=1e-4)


def test_explainers_that_ignore_the_model_are_caught():
    """The floors score 1, the worst there is, and by shuffled weights as by the real ones; an explainer of the scores
    does not."""
    names = [*RANDOMISED, "deletion", "insertion", "shuffled_deletion", "shuffled_insertion"]
    metrics = {name: registry.explanation_metric(name) for name in names}
    data = items()

    def means(name):
        found = score(scene(data), registry.explainer(name), ask(bank(20, 1), 4), [], metrics, 0, name)
        return {key: float(np.mean(values)) for key, values in found["values"].items()}

    for floor in ("centre", "random"):
        found = means(floor)
        assert found["randomised_weights"] == pytest.approx(1, abs=1e-6)
        assert found["randomised_labels"] == pytest.approx(1, abs=1e-6)
        assert found["mprt"] == pytest.approx(0, abs=1e-6)
        for metric in ("deletion", "insertion"):
            assert found[f"shuffled_{metric}"] == pytest.approx(found[metric], abs=1e-6)
    found = means("siamcam")
    assert found["shuffled_deletion"] != pytest.approx(found["deletion"], abs=1e-5)
    assert found["shuffled_insertion"] != pytest.approx(found["insertion"], abs=1e-5)
    assert found["randomised_weights"] < 0.9
    assert found["mprt"] != 0


def test_slow_and_unfair_pairs_are_left_out():
    metrics = {name: registry.explanation_metric(name) for name in ("deletion", "max_sensitivity", "pseudo_jaccard")}
    assert list(metrics_of("grad_cam", registry.explainer("grad_cam"), metrics)) == list(metrics)
    assert list(metrics_of("otsu", registry.explainer("otsu"), metrics)) == ["deletion", "max_sensitivity"]
    slow = next(name for name in registry.own("explainers") if registry.plugin("explainers", name).costly)  # type: ignore[attr-defined]
    assert "max_sensitivity" not in metrics_of(slow, registry.explainer(slow), metrics)


def test_likeness_is_the_cosine_to_the_supports_of_the_target():
    data = items()
    classifier = scene(data).classifier(bank(20).episodes[0])
    queries = scene(data).images(np.arange(20, 24))
    found = likeness(classifier, queries, torch.tensor([0, 1, 1, 0]))
    features = classifier.backbone(queries)
    supports = classifier.support.features
    for row, label in enumerate([0, 1, 1, 0]):
        right = torch.cosine_similarity(features[row : row + 1], supports[3 * label : 3 * label + 3])
        torch.testing.assert_close(found[row], right)
