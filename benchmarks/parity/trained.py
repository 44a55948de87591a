"""References of methods with learned parts, and those parts, with weights drawn alike for ours and theirs."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from references import sklearn, unit
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import registry
from zoo.types import Learned, Support


def fresh(name: str, **settings: str) -> Callable[[int], nn.Module | None]:
    """The learned parts of a method as they are before training, by dimensions."""
    method = registry.method(name, settings)
    assert isinstance(method, Learned)

    @functools.cache
    def state(dim: int) -> nn.Module | None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(dim)
            made = method.state(dim, 8)
        return made if made is None else made.eval()

    return state


def rms(features: Tensor, support: Support) -> Tensor:
    """Features over the supports' root mean square length."""
    return features / support.features.square().sum(1).mean().sqrt()


def copied(theirs: list[nn.Module], ours: list[nn.Module]) -> None:
    for source, target in zip(theirs, ours, strict=True):
        target.load_state_dict(source.state_dict())


_relation, _feat, _supervised = fresh("relation"), fresh("feat"), fresh("supervised")


@torch.no_grad()
def relation(support: Support, query: Tensor) -> Tensor:
    """easyfsl concatenates the maps of class and query. Its own module is narrower, so it is given ours."""
    from easyfsl.methods import RelationNetworks

    channels = query.shape[1] // 4
    ours: Any = _relation(channels)
    first = nn.Conv2d(2 * channels, 64, 3, padding=1)
    module = nn.Sequential(first, *ours.rest, nn.Sigmoid())
    copied([ours.first], [first])
    peer = RelationNetworks(backbone=nn.Identity(), feature_dimension=channels, relation_module=module)
    peer.process_support_set(maps(support.features), support.labels)
    return peer(maps(query)).argmax(1)


def maps(features: Tensor) -> Tensor:
    """Embeddings read as maps of 2 x 2 places."""
    return features.unflatten(1, (-1, 2, 2))


@torch.no_grad()
def feat(support: Support, query: Tensor) -> Tensor:
    from easyfsl.methods import FEAT
    from easyfsl.modules import MultiHeadAttention

    dim = query.shape[1]
    attention, ours = MultiHeadAttention(1, dim, dim, dim).eval(), _feat(dim)
    theirs = [attention.w_qs, attention.w_ks, attention.w_vs, attention.fc, attention.layer_norm]
    assert ours is not None
    copied([getattr(ours, part) for part in ("query", "key", "value", "out", "norm")], theirs)
    peer = FEAT(backbone=nn.Identity(), attention_module=attention)
    peer.process_support_set(support.features, support.labels)
    return peer(query).argmax(1)


def supervised(support: Support, query: Tensor) -> Tensor:
    layer: Any = _supervised(query.shape[1])
    return layer(query)[:, support.classes].argmax(1)


def ridge(support: Support, query: Tensor) -> Tensor:
    from sklearn.linear_model import Ridge

    target = F.one_hot(support.labels).double().numpy()
    head = Ridge(alpha=1, fit_intercept=False).fit(rms(support.features, support).double().numpy(), target)
    return torch.as_tensor(head.predict(rms(query, support).double().numpy())).argmax(1)


def crammer_singer(support: Support, query: Tensor) -> Tensor:
    from sklearn.svm import LinearSVC

    # Of two classes scikit-learn gives one row of weights, the difference of the machine's two: the same prediction.
    def machine() -> Any:
        return LinearSVC(multi_class="crammer_singer", C=0.1, fit_intercept=False, tol=1e-10, max_iter=1_000_000)

    return sklearn(machine, lambda features: features)(support, query)


def centroids(support: Support, query: Tensor) -> Tensor:
    from sklearn.neighbors import NearestCentroid

    return sklearn(NearestCentroid)(support, query)


def nearest() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(1)


def mean_distance(support: Support, query: Tensor) -> Tensor:
    from sklearn.metrics import pairwise_distances

    x, y = unit(support.features.double()), unit(query.double())
    distance = torch.as_tensor(pairwise_distances(y.numpy(), x.numpy()))
    return torch.stack([distance[:, support.labels == label].mean(1) for label in support.labels.unique()], 1).argmin(1)


def layer(support: Support, query: Tensor) -> Tensor:
    head = nn.Linear(query.shape[1], len(support.classes))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimiser = torch.optim.SGD(head.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-3)
    _descend(optimiser, lambda: head(rms(support.features, support)), support.labels)
    return head(rms(query, support)).argmax(1)


def cosines(support: Support, query: Tensor) -> Tensor:
    x = unit(support.features)
    means = [x[support.labels == label].mean(0) for label in range(len(support.classes))]
    weight = nn.Parameter(torch.stack(means))
    _descend(torch.optim.SGD([weight], lr=0.01, momentum=0.9), lambda: 10 * x @ unit(weight).T, support.labels)
    return (unit(query) @ unit(weight).T).argmax(1)


def _descend(optimiser: torch.optim.Optimizer, scores: Callable[[], Tensor], labels: Tensor) -> None:
    for _ in range(100):
        optimiser.zero_grad()
        F.cross_entropy(scores(), labels).backward()
        optimiser.step()
