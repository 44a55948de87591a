"""Paired tests against scipy and statsmodels, and the ranks they allow."""

import numpy as np
import pytest
from records import drawn, record
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests

from zoo.board import paired, resampling, rows, statistics
from zoo.board.paired import Spreads
from zoo.board.rows import Row


def rows_of(*made) -> list[Row]:
    (board,) = rows.boards(made)
    return rows.rows(board)


def spread(bank: float, freedom: float, seeds: float = 0, seed_freedom: float = 1) -> Spreads:
    return Spreads(*(np.array(part) for part in (bank, freedom, seeds, seed_freedom)))


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).uniform(size=40) ** 4
    assert paired.holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert paired.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm(np.array([])).shape == (0,)


def test_p_is_student_s() -> None:
    found = float(paired.two_sided(np.array(0.03), spread(0.01, 20)))
    assert found == pytest.approx(2 * stats.t.sf(3, 20))
    assert float(paired.two_sided(np.array(0), spread(0, 20))) == 1
    assert float(paired.two_sided(np.array(0.01), spread(0, 20))) == 0


@pytest.mark.parametrize(("size", "bank", "seeds"), [(0.03, 0.01, 0.01), (0.05, 0.004, 0.02), (0.02, 0.01, 0.001)])
def test_p_with_seeds_is_the_tail_of_the_sum(size: float, bank: float, seeds: float) -> None:
    tail, _ = integrate.quad(
        lambda z: stats.t.pdf(z, 50) * 2 * stats.t.sf((size - bank * z) / seeds, 2), -30, 30, limit=200
    )
    found = float(paired.two_sided(np.array(size), spread(bank, 50, seeds, 2)))
    assert found == pytest.approx(tail, rel=0.02)


def test_difference_of_independent_images_is_mcnemar_s() -> None:
    # One draw of 400 images: the paired error is that of the mean of -1, 0, 1 over the images.
    a, b = (record(0, predictions=drawn(seed, share, 2, 400, 1), method=f"m{seed}")
            for seed, share in ((0, 0.9), (1, 0.8)))  # fmt: skip
    first, second = (next(row for row in rows_of(a, b) if row.first.method == name) for name in ("m0", "m1"))
    found = paired.difference(first, second, "accuracy")
    answers = [statistics.unpack(one.predictions, one.classes, one.bank) for one in (a, b)]
    right = [(one.truth == one.predicted).astype(float) for one in answers]
    each = right[0] - right[1]
    error = each.std() / np.sqrt(400)
    assert found.figure.value == pytest.approx(each.mean())
    assert found.figure.low == pytest.approx(each.mean() - 1.96 * error, abs=0.2 * error)
    assert found.figure.high == pytest.approx(each.mean() + 1.96 * error, abs=0.2 * error)
    assert found.detectable == pytest.approx(2.8 * error, rel=0.1)
    assert np.log(found.p) == pytest.approx(np.log(2 * stats.t.sf(each.mean() / error, 399)), rel=0.2)
    assert paired.difference(second, first, "accuracy").figure.value == -found.figure.value


def test_pairing_narrows_what_the_images_share() -> None:
    a = record(predictions=drawn(0, 0.8, 2, 200, 5))
    worse = a.model_copy(update={"method": "knn"})
    first, second = rows_of(a, worse)
    found = paired.difference(first, second)
    assert found.figure.value == found.figure.low == found.figure.high == 0
    assert found.p == 1
    assert a.figures["accuracy"].high - a.figures["accuracy"].low > 0.04


def test_seeds_are_paired_where_both_rows_have_the_same() -> None:
    # Each seed moves both rows alike: paired their difference is certain, with other seeds it is not.
    values = [{0: 0.9, 1: 0.8, 2: 0.7}, {0: 0.95, 1: 0.85, 2: 0.75}, {3: 0.95, 4: 0.85, 5: 0.75}]
    draws = np.random.default_rng(0).normal(0, 1e-4, (3, resampling.RESAMPLES))
    found = paired.tested(values, draws, 50)
    assert found.p[0, 1] < 1e-6
    assert found.p[0, 2] > 0.5
    assert found.difference[0, 1] == pytest.approx(-0.05)
    # One seed says nothing of seeds: only the bank's error is left.
    assert paired.tested([{0: 0.9}, {0: 0.95}], draws[:2], 50).p[0, 1] < 1e-6


def test_ranks_are_what_the_tests_allow() -> None:
    better = np.zeros((4, 4), bool)
    better[0, 2:] = better[1, 3] = better[2, 3] = True  # 0 beats 2 and 3; 1 and 2 beat 3; 0-1 and 1-2 are ties
    difference = np.where(better, 0.1, np.where(better.T, -0.1, 0.0))
    p = np.where(better | better.T, 0.001, 1.0)
    found = paired.Ties(difference, p, p, np.full((4, 4), 0.02))
    assert found.ranks == ["1-2", "1-3", "2-3", "4"]
    assert found.typical == pytest.approx(0.02)
    assert paired.Ties(*(part[:1, :1] for part in found)).typical is None


def test_explainers_on_recurring_images_are_not_told_apart_by_repetition() -> None:
    random = np.random.default_rng(0)
    once = random.normal(0, 1, (2, 30)) + np.array([[0.9], [0.0]])
    repeated, image = np.tile(once, 20), np.tile(np.arange(30), 20)
    alone = paired.explained_ties(once, np.arange(30), True)
    found = paired.explained_ties(repeated, image, True)
    assert found.p[0, 1] == pytest.approx(alone.p[0, 1])
    assert paired.explained_ties(repeated, np.arange(600), True).p[0, 1] < found.p[0, 1] / 10
    assert found.p[0, 1] == pytest.approx(stats.ttest_rel(*once).pvalue, rel=0.25)
    assert paired.explained_ties(once, np.arange(30), False).difference[0, 1] == -alone.difference[0, 1]
