"""Independent implementations of few-shot methods: supports and queries (q, d) -> predicted labels (q,)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.types import Support

Predict = Callable[[Support, Tensor], Tensor]
"""-1 where the reference leaves a tie to chance"""


def unit(features: Tensor) -> Tensor:
    return F.normalize(features, dim=-1)


def as_given(features: Tensor) -> Tensor:
    return features


def easyfsl(name: str, see: Callable[[Tensor], Tensor] = as_given, **settings: Any) -> Predict:
    """A method of easyfsl 1.5.0 whose backbone passes on what `see` makes of the features."""

    def predict(support: Support, query: Tensor) -> Tensor:
        from easyfsl import methods

        peer = getattr(methods, name)(backbone=nn.Identity(), **settings)
        peer.process_support_set(see(support.features), support.labels)
        return peer(see(query)).argmax(1)

    return predict


def matching(support: Support, query: Tensor) -> Tensor:
    from easyfsl.methods import MatchingNetworks

    peer: Any = MatchingNetworks(backbone=nn.Identity(), feature_dimension=query.shape[1])
    peer.encode_support_features = peer.encode_query_features = as_given
    peer.process_support_set(support.features, support.labels)
    return peer(unit(query)).argmax(1)


def laplacian(support: Support, query: Tensor) -> Tensor:
    from easyfsl.methods import LaplacianShot

    peer: Any = LaplacianShot(backbone=nn.Identity())
    peer.rectify_prototypes = lambda query_features: None
    peer.process_support_set(unit(support.features), support.labels)
    return peer(unit(query)).argmax(1)


def transport(centred: bool) -> Predict:
    """PT-MAP's algorithm in numpy and double precision, each transport plan scaled to the end; 10 moves."""

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((a[:, None] - b) ** 2).sum(-1)

    def predict(support: Support, query: Tensor) -> Tensor:
        parts = []
        for features in (support.features, query):
            x = (features.double().clamp_min(0) + 1e-6).sqrt().numpy()
            x /= np.linalg.norm(x, axis=1, keepdims=True)
            x -= x.mean(0) * centred
            parts.append(x / np.linalg.norm(x, axis=1, keepdims=True))
        x, y = parts
        member = np.eye(len(support.classes))[support.labels.numpy()]
        prototypes = member.T @ x / member.sum(0)[:, None]
        plan = np.zeros((len(y), len(prototypes)))
        for step in range(11):
            plan = np.exp(-10 * squared(y, prototypes))
            for _ in range(1000):
                plan /= plan.sum(1, keepdims=True)
                plan *= len(y) / plan.shape[1] / plan.sum(0)
                if np.abs(plan.sum(1) - 1).max() < 1e-9:
                    break
            if step < 10:
                found = (member.T @ x + plan.T @ y) / (member.sum(0) + plan.sum(0))[:, None]
                prototypes += 0.2 * (found - prototypes)
        return torch.as_tensor(plan.argmax(1))

    return predict


def pt_map(support: Support, query: Tensor) -> Tensor:
    """easyfsl's, whose plans stop being scaled when a step changes little, a tie-break early: here they go on."""
    from easyfsl.methods import PTMAP

    peer: Any = PTMAP(backbone=nn.Identity())
    scaled = peer.compute_optimal_transport
    peer.compute_optimal_transport = lambda cost, epsilon: scaled(cost, epsilon=1e-10)
    peer.process_support_set(of_unit_power(support.features), support.labels)
    return peer(of_unit_power(query)).argmax(1)


def of_unit_power(features: Tensor) -> Tensor:
    """Features that easyfsl's own power transform, a square root, brings to unit length; in double precision."""
    return unit((features.double().clamp_min(0) + 1e-6).sqrt()).square() - 1e-6


def sklearn(make: Callable[[], Any], see: Callable[[Tensor], Tensor] = unit) -> Predict:
    """A classifier of scikit-learn, in double precision."""

    def predict(support: Support, query: Tensor) -> Tensor:
        head = make().fit(see(support.features.double()).numpy(), support.labels.numpy())
        return torch.as_tensor(head.predict(see(query.double()).numpy()))

    return predict


def logistic(c: float) -> Predict:
    from sklearn.linear_model import LogisticRegression

    return sklearn(lambda: LogisticRegression(C=c, tol=1e-8, max_iter=10_000))


def ridge() -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier()


def svm() -> Any:
    from sklearn.svm import LinearSVC

    exact: Any = {"dual": False, "tol": 1e-8, "max_iter": 10_000}  # scikit-learn's stubs miss a choice of dual
    return LinearSVC(**exact)


def lda() -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)


def neighbours(k: int) -> Predict:
    from sklearn.neighbors import KNeighborsClassifier

    def predict(support: Support, query: Tensor) -> Tensor:
        head = KNeighborsClassifier(min(k, len(support.labels))).fit(support.features.numpy(), support.labels.numpy())
        votes = np.sort(head.predict_proba(query.numpy()), 1)
        return torch.as_tensor(np.where(votes[:, -1] > votes[:, -2], head.predict(query.numpy()), -1))

    return predict


def spreading(support: Support, query: Tensor) -> Tensor:
    from sklearn.semi_supervised import LabelSpreading

    nodes = unit(torch.cat([support.features, query]).double()).numpy()
    labels = np.concatenate([support.labels.numpy(), np.full(len(query), -1)])
    head = LabelSpreading(kernel="rbf", gamma=20, alpha=0.5, max_iter=100_000, tol=1e-12).fit(nodes, labels)
    return torch.as_tensor(head.transduction_[len(support.labels) :])


def descent(loss: Callable[[Tensor, Tensor, Tensor], Tensor], temperature: float, steps: int) -> Predict:
    """torch's own Adam and autograd on prototypes of unit features, down `loss` of the supports' scores, their labels
    and the queries' scores."""

    def predict(support: Support, query: Tensor) -> Tensor:
        x, y = unit(support.features), unit(query)
        way = len(support.classes)
        place = torch.stack([x[support.labels == label].mean(0) for label in range(way)]).requires_grad_()
        optimiser = torch.optim.Adam([place], lr=1e-3)
        for _ in range(steps):
            optimiser.zero_grad()
            near, far = (-temperature / 2 * torch.cdist(part, place).square() for part in (x, y))
            loss(near, support.labels, far).backward()
            optimiser.step()
        return torch.cdist(y, place).argmin(1)

    return predict


def tim(near: Tensor, labels: Tensor, far: Tensor) -> Tensor:
    each, mean = far.softmax(1), far.softmax(1).mean(0)
    varied, sure = -(mean * mean.log()).sum(), -(each * far.log_softmax(1)).sum(1).mean()
    return 0.1 * F.cross_entropy(near, labels) - (varied - 0.1 * sure)


def alpha_tim(near: Tensor, labels: Tensor, far: Tensor) -> Tensor:
    each, mean = far.softmax(1), far.softmax(1).mean(0)
    varied, sure = (1 - (mean**5).sum()) / 4, ((1 - (each**5).sum(1)) / 4).mean()
    return F.cross_entropy(near, labels) - (varied - sure)


def layer(support: Support, query: Tensor) -> Tensor:
    head = nn.Linear(query.shape[1], len(support.classes))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    groups = [{"params": [head.weight], "weight_decay": 1e-3}, {"params": [head.bias]}]
    optimiser = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    for _ in range(100):
        optimiser.zero_grad()
        F.cross_entropy(head(unit(support.features)), support.labels).backward()
        optimiser.step()
    return head(unit(query)).argmax(1)
