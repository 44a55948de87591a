"""Banks: pinned hashes, order independence, sizes, disjointness, proportions, and an audit that finds planted leaks."""

from itertools import pairwise

import numpy as np
import pytest

from zoo.data.banks import _shares, audit, draw
from zoo.data.items import Items
from zoo.data.splits import hash64
from zoo.errors import ZooError
from zoo.record import Bank, BankSpec, Episode

KINDS = ("standard", "disjoint", "dirichlet", "all")


def make(classes: int = 6, size: int = 60, pairs: int = 10) -> Items:
    """`classes` classes of `size` fake names; the first `pairs` pairs of each are duplicates."""
    within = np.tile(np.arange(size), classes)
    labels = np.repeat(np.arange(classes), size)
    groups = labels * size + np.where(within < 2 * pairs, within // 2 * 2, within)
    names = tuple(f"class{c}/X_{n:04}.jpg" for c, n in zip(labels, within, strict=True))
    return Items("fake", None, True, tuple(f"class{c}" for c in range(classes)), names, labels, groups,
                 np.zeros((len(names), 1, 1, 3), np.uint8))


def everything(items: Items) -> np.ndarray:
    return np.arange(len(items))


def spec(kind: str, way: int = 4, shot: int = 5, query: int = 3, episodes: int = 20, seed: int = 0) -> BankSpec:
    return BankSpec.model_validate(
        {"kind": kind, "way": way, "shot": shot, "query": query, "episodes": episodes, "seed": seed}
    )


def drawn(items: Items, what: BankSpec) -> Bank:
    return draw(items, everything(items), what, np.arange(len(items.classes)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_its_audit(kind: str):
    items = make()
    audit(drawn(items, spec(kind)), items, everything(items))


@pytest.mark.parametrize(("kind", "pin"), [
    ("standard", "067aa2652506d3572a5454a80eaed758fb83efc84f99b9c2c72972f806c1d3b9"),
    ("disjoint", "887365bbe5742acc64914e4593262463121dd6657e996955ca4a965edb785e7d"),
    ("dirichlet", "2e47425d5feb96d6d87e1847277f9733b4379a7b710d665c58c372a5832103f1"),
    ("all", "e358aad1bd9beeb4b35560ea6eaf8b6d18ea75cb34d1425b4b1271d64dbbcb2b"),
])
def test_pinned_hashes(kind: str, pin: str):
    assert drawn(make(), spec(kind)).sha256 == pin


@pytest.mark.parametrize("kind", KINDS)
def test_file_order_and_group_numbers_do_not_matter(kind: str):
    items = make()
    order = np.random.default_rng(3).permutation(len(items))
    other = Items("fake", None, True, items.classes, tuple(items.names[i] for i in order), items.labels[order],
                  10**6 - items.groups[order], items.pixels)
    for one, two in zip(drawn(items, spec(kind)).episodes, drawn(other, spec(kind)).episodes, strict=True):
        assert one.classes.tolist() == two.classes.tolist()
        assert [items.names[i] for i in one.support] == [other.names[i] for i in two.support]
        assert {items.names[i] for i in one.query} == {other.names[i] for i in two.query}


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_out_of_the_pool_changes_only_the_episodes_that_used_it(kind: str):
    items = make(pairs=0)
    one = drawn(items, spec(kind, way=6))
    gone = one.episodes[0].support[0]
    two = draw(items, np.delete(everything(items), gone), spec(kind, way=6), np.arange(6))
    assert all(gone not in episode.support for episode in two.episodes)
    if kind != "disjoint":
        kept = [n for n, episode in enumerate(one.episodes) if gone not in [*episode.support, *episode.query]]
        assert all(np.array_equal(one.episodes[n].query, two.episodes[n].query) for n in kept)


def ranked(names: list[str], purpose: str, seed: int, episode: int) -> list[str]:
    """The same ranking in Python's own integers."""
    def key(name: str) -> int:
        x = hash64(name) ^ hash64(purpose, seed, episode)
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    return sorted(names, key=key)


def test_standard_equals_a_plain_reference():
    items = make()
    group = dict(zip(items.names, items.groups.tolist(), strict=True))
    for number, episode in enumerate(drawn(items, spec("standard", seed=9)).episodes):
        chosen = sorted(ranked(list(items.classes), "classes", 9, number)[:4])
        support, query = [], []
        for label in chosen:
            seen: set[int] = set()
            hand = []
            for name in ranked([n for n in items.names if n.startswith(label + "/")], "items", 9, number):
                if group[name] not in seen:
                    hand.append(name)
                seen.add(group[name])
            support += hand[:5]
            query += hand[5:8]
        assert [items.classes[c] for c in episode.classes] == chosen
        assert [items.names[i] for i in episode.support] == support
        assert [items.names[i] for i in episode.query] == query


def test_seed_and_episodes_differ():
    items = make()
    one, two = drawn(items, spec("standard")), drawn(items, spec("standard", seed=1))
    supports = {tuple(episode.support) for bank in (one, two) for episode in bank.episodes}
    assert len(supports) == 40


@pytest.mark.parametrize("shot", [1, 5, 10, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind: str, shot: int):
    items = make()
    bank = drawn(items, spec(kind, way=3, shot=shot))
    audit(bank, items, everything(items))
    for episode in bank.episodes:
        assert (np.diff(episode.classes) > 0).all()
        assert episode.support_labels.tolist() == [0] * shot + [1] * shot + [2] * shot
        assert (items.labels[episode.support] == episode.classes[episode.support_labels]).all()
        assert (items.labels[episode.query] == episode.classes[episode.query_labels]).all()
        counts = np.bincount(episode.query_labels, minlength=3)
        if kind in ("standard", "disjoint"):
            assert counts.tolist() == [3, 3, 3]
        if kind == "dirichlet":
            assert counts.sum() == 9


@pytest.mark.parametrize("kind", KINDS)
def test_groups_apart(kind: str):
    items = make(size=24, pairs=12)  # nothing but pairs
    for episode in drawn(items, spec(kind)).episodes:
        support, query = items.groups[episode.support].tolist(), items.groups[episode.query].tolist()
        assert not set(support) & set(query)
        assert len(set(support)) == len(support)
        assert len(query) == (2 * len(set(query)) if kind == "all" else len(set(query)))


def test_all_scores_every_remaining_item():
    items = make(classes=3, size=10, pairs=0)
    pool = np.setdiff1d(everything(items), [0, 1, 10])
    for episode in draw(items, pool, spec("all", way=3, shot=2), np.arange(3)).episodes:
        assert sorted([*episode.support, *episode.query]) == pool.tolist()


def test_only_the_given_classes_are_used():
    items = make()
    bank = draw(items, everything(items), spec("standard", way=2), np.array([5, 1, 3]))
    assert {int(c) for episode in bank.episodes for c in episode.classes} == {1, 3, 5}


def test_every_class_and_item_has_the_same_chance():
    items = make(pairs=0)
    bank = drawn(items, spec("standard", way=3, shot=5, query=5, episodes=2000))
    classes = np.bincount(np.concatenate([episode.classes for episode in bank.episodes]), minlength=6)
    assert np.abs(classes - 1000).max() < 110  # 5 standard deviations of Binomial(2000, 1/2)
    uses = np.bincount(np.concatenate([episode.support for episode in bank.episodes]), minlength=len(items))
    assert uses.mean() == pytest.approx(2000 * 15 / 360)
    assert uses.var() == pytest.approx(2000 * (15 / 360) * (345 / 360), rel=0.35)


def test_disjoint_uses_nothing_twice_and_fills_the_pool():
    items = make(classes=4, size=40, pairs=5)  # 35 distinct images a class: 4 episodes of 8
    bank = drawn(items, spec("disjoint", way=4))
    assert len(bank.episodes) == 4
    groups = [g for e in bank.episodes for g in items.groups[np.concatenate([e.support, e.query])]]
    assert len(groups) == len(set(groups)) == 4 * 4 * 8


@pytest.mark.parametrize(("sizes", "fit"), [
    ((2, 2, 2), 3),  # 6 turns, two an episode
    ((9, 1, 1), 2),  # the big class cannot serve twice in one episode
    ((5, 3, 2), 5),  # the big class must serve in every one
    ((4, 4, 1), 4),
])
def test_disjoint_holds_the_greatest_possible_number(sizes: tuple[int, ...], fit: int):
    items = make(classes=3, size=18, pairs=0)
    pool = np.concatenate([18 * c + np.arange(2 * turns) for c, turns in enumerate(sizes)])
    for seed in range(5):
        what = spec("disjoint", way=2, shot=1, query=1, episodes=99, seed=seed)
        bank = draw(items, pool, what, np.arange(3))
        audit(bank, items, pool)
        assert len(bank.episodes) == fit


def test_disjoint_stops_at_the_asked_number_and_still_uses_every_class():
    items = make(classes=3, size=60, pairs=0)
    bank = drawn(items, spec("disjoint", way=2, shot=1, query=1, episodes=12))
    assert len(bank.episodes) == 12
    assert {int(c) for episode in bank.episodes for c in episode.classes} == {0, 1, 2}


def test_dirichlet_proportions():
    """Dirichlet(2, ..., 2) over 5: each share has mean 1/5 and variance (2/10)(8/10)/11 (Beta(2, 8))."""
    counts = np.array([_shares(hash64("test", key), 5, 10_000) for key in range(4000)])
    assert (counts.sum(1) == 10_000).all()
    shares = counts / 10_000
    assert np.abs(shares.mean(0) - 0.2).max() < 0.01
    assert shares.var(0) == pytest.approx(np.full(5, 0.16 / 11), rel=0.1)
    below = (shares[:, 0] <= 0.1).mean()  # P(Beta(2, 8) <= 0.1) = 1 - 0.9^9 - 9 (0.1) 0.9^8
    assert below == pytest.approx(1 - 0.9**9 - 0.9 * 0.9**8, abs=0.03)
    assert np.corrcoef(shares[:, 0], shares[:, 1])[0, 1] == pytest.approx(-0.25, abs=0.06)


def test_dirichlet_counts_are_capped_by_what_is_there():
    items = make(size=9, pairs=0)
    bank = drawn(items, spec("dirichlet", way=4, shot=5, query=4, episodes=50))
    audit(bank, items, everything(items))
    totals = [len(episode.query) for episode in bank.episodes]
    assert max(np.bincount(episode.query_labels).max() for episode in bank.episodes) == 4
    assert min(totals) < 16
    assert min(totals) >= 1


def replaced(bank: Bank, number: int, **parts: np.ndarray) -> Bank:
    episodes = list(bank.episodes)
    episodes[number] = episodes[number]._replace(**parts)
    return Bank(bank.spec, tuple(episodes))


def planted(values: np.ndarray, position: int, value: int) -> np.ndarray:
    changed = values.copy()
    changed[position] = value
    return changed


@pytest.mark.parametrize("kind", ["standard", "dirichlet", "all"])
def test_audit_finds_a_support_image_among_the_queries(kind: str):
    items = make()
    bank = drawn(items, spec(kind))
    episode = bank.episodes[7]
    leak = episode.support[episode.support_labels == episode.query_labels[0]][0]
    with pytest.raises(ZooError, match=r"episode 8 of the .* both support and query"):
        audit(replaced(bank, 7, query=planted(episode.query, 0, leak)), items, everything(items))


@pytest.mark.parametrize("kind", ["standard", "dirichlet", "all"])
def test_audit_finds_a_duplicate_of_a_support_image_among_the_queries(kind: str):
    items = make(size=40, pairs=20)
    bank = drawn(items, spec(kind))
    episode = bank.episodes[2]
    twin = episode.support[episode.support_labels == episode.query_labels[0]][0] ^ 1
    with pytest.raises(ZooError, match=r"episode 3 of the .* duplicate of a support image"):
        audit(replaced(bank, 2, query=planted(episode.query, 0, twin)), items, everything(items))


def test_audit_finds_duplicates_within_support_and_within_query():
    items = make(size=40, pairs=20)
    bank = drawn(items, spec("standard"))
    episode = bank.episodes[0]
    with pytest.raises(ZooError, match="two supports that are duplicates"):
        audit(replaced(bank, 0, support=planted(episode.support, 1, episode.support[0] ^ 1)), items, everything(items))
    with pytest.raises(ZooError, match="two queries that are duplicates"):
        audit(replaced(bank, 0, query=planted(episode.query, 1, episode.query[0] ^ 1)), items, everything(items))


def spoilt(episode: Episode) -> list[tuple[str, dict[str, np.ndarray]]]:
    return [
        ("query label that is not", {"query": planted(episode.query, 0, episode.query[-1])}),
        ("query label that is not", {"query_labels": episode.query_labels[::-1]}),
        ("support label that is not", {"support": planted(episode.support, 0, episode.support[-1])}),
        ("4 classes in ascending", {"classes": episode.classes[::-1]}),
        ("4 classes in ascending", {"classes": episode.classes[:3]}),
        ("5 supports of each class", {"support": episode.support[1:], "support_labels": episode.support_labels[1:]}),
        ("3 queries of each class", {"query": episode.query[1:], "query_labels": episode.query_labels[1:]}),
        ("one label for each query", {"query": episode.query[1:]}),
        ("from outside the pool", {"query": planted(episode.query, 0, -1)}),
        ("from outside the pool", {"support": planted(episode.support, 0, 10**6)}),
    ]


@pytest.mark.parametrize("case", range(10))
def test_audit_finds_disorder(case: int):
    items = make()
    bank = drawn(items, spec("standard"))
    message, parts = spoilt(bank.episodes[4])[case]
    with pytest.raises(ZooError, match=f"episode 5 of the .*{message}"):
        audit(replaced(bank, 4, **parts), items, everything(items))


def test_audit_finds_items_from_outside_the_pool():
    items = make()
    with pytest.raises(ZooError, match="outside the pool"):
        audit(drawn(items, spec("standard")), items, everything(items)[1::2])


def test_audit_finds_reuse_in_a_disjoint_bank():
    items = make()
    bank = drawn(items, spec("disjoint", way=6))
    twice = Bank(bank.spec, (*bank.episodes, bank.episodes[0]))
    with pytest.raises(ZooError, match="earlier episode"):
        audit(twice, items, everything(items))


def test_audit_finds_missing_episodes_and_missing_queries():
    items = make()
    bank = drawn(items, spec("all"))
    with pytest.raises(ZooError, match="bank of 19 episodes, not 20"):
        audit(Bank(bank.spec, bank.episodes[1:]), items, everything(items))
    last = bank.episodes[19]
    with pytest.raises(ZooError, match="leaves out queries"):
        audit(replaced(bank, 19, query=last.query[1:], query_labels=last.query_labels[1:]), items, everything(items))


@pytest.mark.parametrize(("kind", "message"), [
    ("standard", "class 'class2' has 7 distinct images to draw from, 8 are needed .*--shot 4 or smaller or --bank all"),
    ("disjoint", "7 distinct images .* 8 are needed"),
])
def test_too_few_images(kind: str, message: str):
    items = make(pairs=1)
    pool = np.setdiff1d(everything(items), 120 + np.arange(8, 60))  # class 2 keeps 8 images, two of them duplicates
    with pytest.raises(ZooError, match=message):
        draw(items, pool, spec(kind), np.arange(6))
    audit(draw(items, pool, spec("all"), np.arange(6)), items, pool)


def test_too_few_classes_and_an_empty_class():
    items = make()
    with pytest.raises(ZooError, match="6 classes are not enough for 8-way episodes: type --way 6 or smaller"):
        drawn(items, spec("standard", way=8))
    with pytest.raises(ZooError, match=r"class 'class0' has 0 distinct images .*leave the class out"):
        draw(items, everything(items)[60:], spec("all"), np.arange(6))


def test_supports_of_all_follow_the_same_ranking_at_every_shot():
    """1-shot supports are the first of the 5-shot ones, so that shots differ by what is added alone."""
    items = make()
    few, more = drawn(items, spec("all", shot=1)), drawn(items, spec("all", shot=5))
    for one, five in zip(few.episodes, more.episodes, strict=True):
        assert one.support.tolist() == five.support[::5].tolist()
    assert all(a.support.tolist() != b.support.tolist() for a, b in pairwise(few.episodes))
