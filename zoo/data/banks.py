"""Episode banks: drawn by hashing names and ranking, and audited for leaks before use.

The same specification and names give the same episodes on every platform, library version and file order.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from zoo.data.items import Items
from zoo.data.splits import hash64
from zoo.errors import ZooError
from zoo.record import Bank, BankSpec, Episode


class _Pool(NamedTuple):
    """The items that a bank may use, of the classes it may use."""

    items: Items
    classes: np.ndarray
    """(c,) class numbers, ascending"""
    class_hashes: np.ndarray
    """(c,) uint64"""
    numbers: np.ndarray
    """(n,) item numbers, ascending"""
    labels: np.ndarray
    """(n,) class numbers"""
    groups: np.ndarray
    """(n,) duplicate groups, 0..g-1"""
    hashes: np.ndarray
    """(n,) uint64, of the names"""
    members: dict[int, np.ndarray]
    """class number -> positions of its items in the arrays above"""
    shared: np.ndarray
    """Positions of the items whose group has others in the pool"""


def draw(items: Items, pool: np.ndarray, spec: BankSpec, classes: np.ndarray) -> Bank:
    """The bank that `spec` describes, from the items numbered in `pool` (n,) that belong to `classes` (c,).

    Kinds, where never two items of one duplicate group share an episode (for `all`: never support and query):

    - `standard`: `way` x `shot` supports and `query` queries of each class, `episodes` times.
    - `disjoint`: the same, with no item and no group used twice: as many episodes as fit, at most `episodes`.
    - `dirichlet`: `way` x `query` queries whose class proportions follow Dirichlet(2, ..., 2), as in Veilleux et al.,
      "Realistic evaluation of transductive few-shot learning", NeurIPS 2021; counts by largest remainder, and a class
      that runs out gives what it has, so that an episode may hold fewer queries.
    - `all`: `episodes` draws of supports, each scored on every remaining item of the pool.

    An episode's classes, where `way` is less than c, are drawn by hash and stand in ascending order; supports are
    sorted by class, then by hash. ZooError where a class or the number of classes is too small.
    """
    classes = np.unique(np.asarray(classes, dtype=np.int64))
    if len(classes) < spec.way:
        raise ZooError(f"{items.dataset}: {len(classes)} classes are not enough for {spec.way}-way episodes: "
                       f"type --way {len(classes)} or smaller")
    numbers = np.unique(np.asarray(pool, dtype=np.int64))
    numbers = numbers[np.isin(items.labels[numbers], classes)]
    labels = items.labels[numbers]
    groups, sizes = np.unique(items.groups[numbers], return_inverse=True, return_counts=True)[1:]
    usable = _Pool(
        items, classes, _hashes(items.classes[c] for c in classes), numbers, labels, groups,
        _hashes(items.names[i] for i in numbers),
        {label: np.flatnonzero(labels == label) for label in classes.tolist()}, np.flatnonzero(sizes[groups] > 1),
    )
    for label, members in usable.members.items():
        _require(items, spec, label, len(np.unique(groups[members])))
    return Bank(spec, tuple(_KINDS[spec.kind](usable, spec)))


def _standard(pool: _Pool, spec: BankSpec) -> Iterator[Episode]:
    for number in range(spec.episodes):
        chosen = _ranked_classes(pool, spec, number)[: spec.way]
        ranks = _ranked_items(pool, spec, np.sort(chosen), number)
        yield _episode(ranks, spec.shot, [spec.query] * spec.way)


def _disjoint(pool: _Pool, spec: BankSpec) -> Iterator[Episode]:
    """One ranking of the whole pool, dealt out class by class.

    With `left` episodes to go, a class that could serve in each of them ("tall") loses a turn whenever it is passed
    over. `surplus` turns may be lost, so that at least tall - surplus tall classes must serve now: then the number
    of episodes is the greatest possible, and all else about the choice of classes is left to the hash.
    """
    need = spec.shot + spec.query
    ranks = _ranked_items(pool, spec, pool.classes, 0)
    turns = {label: len(rank) // need for label, rank in ranks.items()}
    most = min(spec.episodes, sum(turns.values()) // spec.way)
    fit = next(e for e in range(most, 0, -1) if sum(min(t, e) for t in turns.values()) >= spec.way * e)
    for left in range(fit, 0, -1):
        ranked = [label for label in _ranked_classes(pool, spec, fit - left).tolist() if turns[label]]
        tall = [label for label in ranked if turns[label] >= left]
        surplus = sum(min(t, left) for t in turns.values()) - spec.way * left
        forced = tall[: max(0, len(tall) - surplus)]
        chosen = [*forced, *(label for label in ranked if label not in forced)][: spec.way]
        hands = {}
        for label in sorted(chosen):
            hands[label], ranks[label] = np.split(ranks[label], [need])
            turns[label] -= 1
        yield _episode(hands, spec.shot, [spec.query] * spec.way)


def _dirichlet(pool: _Pool, spec: BankSpec) -> Iterator[Episode]:
    for number in range(spec.episodes):
        chosen = _ranked_classes(pool, spec, number)[: spec.way]
        ranks = _ranked_items(pool, spec, np.sort(chosen), number)
        counts = _shares(hash64("proportions", spec.seed, number), spec.way, spec.way * spec.query)
        yield _episode(ranks, spec.shot, counts)


def _all(pool: _Pool, spec: BankSpec) -> Iterator[Episode]:
    for number in range(spec.episodes):
        chosen = np.sort(_ranked_classes(pool, spec, number)[: spec.way])
        episode = _episode(_ranked_items(pool, spec, chosen, number), spec.shot, [0] * spec.way)
        taken = np.isin(pool.groups, pool.groups[np.searchsorted(pool.numbers, episode.support)])
        rest = np.isin(pool.labels, chosen) & ~taken
        yield episode._replace(
            query=pool.numbers[rest], query_labels=np.searchsorted(chosen, pool.labels[rest]).astype(np.int64)
        )


_KINDS: dict[str, Callable[[_Pool, BankSpec], Iterator[Episode]]] = {
    "standard": _standard, "disjoint": _disjoint, "dirichlet": _dirichlet, "all": _all,
}


def _ranked_classes(pool: _Pool, spec: BankSpec, number: int) -> np.ndarray:
    """Class numbers (c,) in the hashed order of one episode."""
    return pool.classes[np.argsort(_mixed(pool.class_hashes, hash64("classes", spec.seed, number)), kind="stable")]


def _ranked_items(pool: _Pool, spec: BankSpec, chosen: np.ndarray, number: int) -> dict[int, np.ndarray]:
    """Item numbers of each chosen class in the hashed order of one episode, only the first of each group."""
    keys = _mixed(pool.hashes, hash64("items", spec.seed, number))
    rivals = pool.shared[np.isin(pool.labels[pool.shared], chosen)]
    rivals = rivals[np.argsort(keys[rivals])]
    kept = np.ones(len(keys), dtype=bool)
    kept[np.delete(rivals, np.unique(pool.groups[rivals], return_index=True)[1])] = False
    ranks = {}
    for label in chosen.tolist():
        members = pool.members[label][kept[pool.members[label]]]
        _require(pool.items, spec, label, len(members))  # fewer than at first where a group spans classes
        ranks[label] = pool.numbers[members[np.argsort(keys[members])]]
    return ranks


def _episode(ranks: dict[int, np.ndarray], shot: int, queries: list[int]) -> Episode:
    """The first `shot` of each class are supports, the next are queries."""
    support = [rank[:shot] for rank in ranks.values()]
    query = [rank[shot : shot + most] for rank, most in zip(ranks.values(), queries, strict=True)]
    support_labels, query_labels = (
        np.repeat(np.arange(len(ranks), dtype=np.int64), [len(p) for p in parts]) for parts in (support, query)
    )
    classes = np.array(list(ranks), dtype=np.int64)
    return Episode(classes, np.concatenate(support), support_labels, np.concatenate(query), query_labels)


def _shares(key: int, way: int, total: int) -> list[int]:
    """`total` items dealt to `way` classes in Dirichlet(2, ..., 2) proportions, by largest remainder.

    2 way - 1 hashed uniforms cut the unit interval into 2 way Dirichlet(1, ..., 1) pieces; two neighbours together
    are Dirichlet(2, ..., 2). In whole numbers throughout, because a logarithm may differ between platforms.
    """
    cuts = np.sort(_mixed(np.arange(1, 2 * way, dtype=np.uint64) * _GOLDEN, key) >> np.uint64(32)).astype(np.int64)
    weights = np.diff(np.concatenate([[0], cuts[1::2], [2**32]]))
    whole, remainder = np.divmod(total * weights, 2**32)
    whole[np.argsort(-remainder, kind="stable")[: total - whole.sum()]] += 1
    return whole.tolist()


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(hashes: np.ndarray, key: int) -> np.ndarray:
    """Hashes (n,) uint64 mixed with a key: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    x = hashes ^ np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hashes(names: Iterator[str]) -> np.ndarray:
    return np.array([hash64(name) for name in names], dtype=np.uint64)


def _require(items: Items, spec: BankSpec, label: int, count: int) -> None:
    """ZooError where `count` distinct images of a class are too few for one episode."""
    queries = spec.query if spec.kind in ("standard", "disjoint") else 1
    if count >= spec.shot + queries:
        return
    ways_out = [f"--shot {count - queries} or smaller"] if count > queries else []
    ways_out += ["--bank all"] if queries > 1 and count > 1 else []
    raise ZooError(
        f"{items.dataset}: class '{items.classes[label]}' has {count} distinct images to draw from, "
        f"{spec.shot + queries} are needed ({spec.shot} shot + {queries} query): "
        + (f"type {' or '.join(ways_out)}" if ways_out else "add images of it or leave the class out")
    )


def audit(bank: Bank, items: Items, pool: np.ndarray) -> None:
    """ZooError unless every episode keeps to the specification and nothing leaks from support to query.

    Checks numbers and sizes, labels against classes, that all items are in `pool` (n,), that support and query share
    no item and no duplicate group, that no group counts twice, and for `disjoint` that none is used again.
    """
    spec, count = bank.spec, len(bank.episodes)
    if not 1 <= count <= spec.episodes or (spec.kind != "disjoint" and count < spec.episodes):
        raise ZooError(f"{items.dataset}: {spec.kind} bank of {count} episodes, not {spec.episodes}: draw it again")
    inside = np.zeros(len(items), dtype=bool)
    inside[pool] = True
    groups = np.unique(items.groups, return_inverse=True)[1]
    used = np.zeros(len(items), dtype=bool)
    for number, episode in enumerate(bank.episodes, 1):
        fault = _disorder(episode, spec, items, inside) or _leak(episode, spec, items, groups, inside)
        if not fault and spec.kind == "disjoint":
            drawn = groups[np.concatenate([episode.support, episode.query])]
            fault = "uses an image or a duplicate of an earlier episode" if used[drawn].any() else None
            used[drawn] = True
        if fault:
            raise ZooError(f"{items.dataset}: episode {number} of the {spec.kind} bank {fault}: draw the bank again")


def _disorder(episode: Episode, spec: BankSpec, items: Items, inside: np.ndarray) -> str | None:
    """What is wrong with the numbers and labels of an episode."""
    classes = episode.classes
    if classes.shape != (spec.way,) or (np.diff(classes) <= 0).any():
        return f"has not {spec.way} classes in ascending order"
    if not np.array_equal(episode.support_labels, np.repeat(np.arange(spec.way), spec.shot)):
        return f"has not {spec.shot} supports of each class, sorted by class"
    for part, numbers, labels in (("support", episode.support, episode.support_labels),
                                  ("query", episode.query, episode.query_labels)):
        if numbers.shape != labels.shape:
            return f"has not one label for each {part} image"
        if ((numbers < 0) | (numbers >= len(items))).any() or not inside[numbers].all():
            return f"has a {part} image from outside the pool"
        if ((labels < 0) | (labels >= spec.way)).any() or (items.labels[numbers] != classes[labels]).any():
            return f"has a {part} label that is not the class of its image"
    counts = np.bincount(episode.query_labels, minlength=spec.way)
    if spec.kind in ("standard", "disjoint") and (counts != spec.query).any():
        return f"has not {spec.query} queries of each class"
    if not len(episode.query) or (spec.kind == "dirichlet" and counts.sum() > spec.way * spec.query):
        return f"has {counts.sum()} queries"
    return None


def _leak(episode: Episode, spec: BankSpec, items: Items, groups: np.ndarray, inside: np.ndarray) -> str | None:
    """What an episode shows twice; `groups` (n,) are numbered from 0."""
    if np.isin(episode.query, episode.support).any():
        return "has an image in both support and query"
    taken = np.zeros(len(items), dtype=bool)
    taken[groups[episode.support]] = True
    if taken[groups[episode.query]].any():
        return "has a duplicate of a support image among its queries"
    if taken.sum() < len(episode.support):
        return "has two supports that are duplicates"
    distinct = episode.query if spec.kind == "all" else groups[episode.query]
    if len(np.unique(distinct)) < len(distinct):
        return "has two queries that are duplicates"
    remaining = inside & np.isin(items.labels, episode.classes) & ~taken[groups]
    if spec.kind == "all" and len(episode.query) != remaining.sum():
        return "leaves out queries of the pool"
    return None
