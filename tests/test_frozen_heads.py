"""Heads on frozen embeddings: their scores against scikit-learn's, and small cases worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo import registry
from zoo.errors import ZooError
from zoo.methods.bd_cspn import BDCSPN
from zoo.types import Support, Transductive


def episode(way: int, shots: tuple[int, ...], d: int = 20) -> tuple[Support, Tensor]:
    random = torch.Generator().manual_seed(way)
    centres = torch.randn(way, d, generator=random)
    labels = torch.arange(way).repeat_interleave(torch.tensor(shots))
    support = centres[labels] + torch.randn(len(labels), d, generator=random)
    query = centres[torch.arange(60) % way] + torch.randn(60, d, generator=random)
    return Support(support, labels, torch.arange(way)), query


def scores(name: str, support: Support, query: Tensor, **settings: str) -> Tensor:
    method = registry.method(name, settings)
    if isinstance(method, Transductive):
        return method.scores(method.fit_queries(None, support, query), query)
    return method.scores(method.fit(None, support), query)


def _ridge() -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=0.3)


def _svm() -> Any:
    from sklearn.svm import LinearSVC

    exact: Any = {"dual": False, "tol": 1e-10, "max_iter": 10_000}  # scikit-learn's stubs miss a choice of dual
    return LinearSVC(C=10, **exact)


def _lda() -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, tol=1e-8, max_iter=10_000)


@pytest.mark.parametrize(("way", "shots"), [(2, (4, 4)), (5, (3,) * 5), (3, (2, 9, 4))])
@pytest.mark.parametrize(
    ("name", "settings", "make"),
    [("ridge", {"alpha": "0.3"}, _ridge), ("svm", {"c": "10"}, _svm), ("lda", {"shrinkage": "0.2"}, _lda),
     ("logistic", {"c": "10"}, _logistic)],
)  # fmt: skip
def test_scores_are_the_decision_function_of_scikit_learn(
    name: str, settings: dict[str, str], make: Callable[[], Any], way: int, shots: tuple[int, ...]
) -> None:
    support, query = episode(way, shots)
    head = make().fit(normalize(support.features.double()).numpy(), support.labels.numpy())
    theirs, ours = head.decision_function(normalize(query.double()).numpy()), scores(name, support, query, **settings)
    if way == 2:  # scikit-learn keeps one column, of the second class
        margin = ours[:, 1] if name in ("ridge", "svm") else ours[:, 1] - ours[:, 0]
        np.testing.assert_allclose(margin.numpy(), theirs, rtol=2e-3, atol=2e-3)
        return
    if name == "logistic":  # free up to a constant a query
        ours, theirs = ours - ours.mean(1, keepdim=True), theirs - theirs.mean(1, keepdims=True)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", [n for n in registry.names("methods") if registry.plugin("methods", n).isometric])
def test_an_isometric_method_does_not_see_a_rotation_or_empty_dimensions(name: str) -> None:
    support, query = episode(5, (3,) * 5)
    turn = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(0)))[0]
    turned = [torch.nn.functional.pad(features @ turn, (0, 30)) for features in (support.features, query)]
    here, there = scores(name, support, query), scores(name, support._replace(features=turned[0]), turned[1])
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)


def test_lda_with_one_shot_is_the_nearest_mean() -> None:
    support, query = episode(4, (1,) * 4)
    near = -torch.cdist(normalize(query), normalize(support.features)).square() / 2
    found = scores("lda", support, query)
    found, near = (part - part.mean(1, keepdim=True) for part in (found, near))
    torch.testing.assert_close(found, near, atol=1e-5, rtol=0)


def test_nearest_support_by_hand() -> None:
    support = Support(torch.tensor([[0.0, 3.0], [9.0, 0.0], [0.0, -4.0]]), torch.tensor([0, 0, 1]), torch.arange(2))
    query = torch.tensor([[0.0, 0.0]])
    assert scores("nearest_support", support, query)[0].tolist() == pytest.approx([-3, -4])
    towards = torch.tensor([[5.0, 0.0]])
    found = scores("nearest_support", support, towards, distance="cosine")[0].tolist()
    assert found == pytest.approx([0, -math.sqrt(2)], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("ridge", "alpha=0"), ("svm", "c=0"), ("logistic", "c=0"), ("lda", "shrinkage=0"), ("lda", "shrinkage=2"),
     ("label_propagation", "alpha=1"), ("alpha_tim", "alpha=1")],
)  # fmt: skip
def test_a_setting_without_a_meaning_is_refused(name: str, setting: str) -> None:
    with pytest.raises(ZooError, match=f"{name}: {setting}"):
        registry.method(name, dict([setting.split("=")]))


def test_label_propagation_by_hand() -> None:
    """Unit vectors at 0, 90 (supports) and 30 degrees (query). Affinities a (0, 30), b (30, 90), c (0, 90); the
    query's row of F solves F_q = alpha sum S_qj F_j, here through the whole 3 x 3 system."""
    support = Support(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1]), torch.arange(2))
    query = 3 * torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    a, b, c = (math.exp(-2 * (2 - 2 * math.cos(math.radians(angle)))) for angle in (30, 60, 90))
    w = np.array([[0, c, a], [c, 0, b], [a, b, 0]])
    root = np.sqrt(w.sum(1))
    expected = np.linalg.solve(np.eye(3) - 0.5 * w / np.outer(root, root), np.eye(3)[:, :2])[2]
    found = scores("label_propagation", support, query, gamma="2").softmax(1)[0].numpy()
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-4)


def test_laplacian_shot_by_hand() -> None:
    """Three queries on the unit circle; each has one neighbour, and one update is made after the first softmax."""
    support = Support(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]), torch.arange(2))
    angles = np.radians([0, 40, 50])
    query = torch.tensor(np.stack([np.cos(angles), np.sin(angles)], 1)).float()
    apart = np.stack([2 - 2 * np.cos(angles), 2 - 2 * np.sin(angles)], 1)
    first = np.exp(-apart) / np.exp(-apart).sum(1, keepdims=True)
    expected = -apart + 2.0 * first[[1, 2, 1]]
    found = scores("laplacian_shot", support, query, steps="1", neighbours="1", pull="2").numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_pt_map_gives_every_class_as_many_queries() -> None:
    """The rows of the last plan, softmax of the scores, add up to q / way in each column."""
    support, query = episode(5, (3,) * 5)
    found = scores("pt_map", support, query.abs()).softmax(1).sum(0)
    torch.testing.assert_close(found, torch.full((5,), 12.0), rtol=1e-3, atol=0)


def test_bd_cspn_by_hand() -> None:
    """One support a class at 0 and 90 degrees, one query at 0: the query, moved onto the supports' mean, becomes
    (0.5, 0.5), as near to both; the first class takes it, and its prototype turns towards it."""
    support = Support(torch.eye(2), torch.arange(2), torch.arange(2))
    [prototypes] = BDCSPN(sharpness=1).fit_queries(None, support, torch.tensor([[4.0, 0.0]]))
    weight = math.exp(math.sqrt(0.5) - 1)
    expected = normalize(torch.tensor([[1 + weight / 2, weight / 2], [0.0, 1.0]]))
    torch.testing.assert_close(prototypes, expected)
