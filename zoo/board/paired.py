"""Paired tests between the rows of one board, and the ranks that they allow. No torch.

    ties(found, name)                      -> Ties         every pair of rows of one table, for one figure
    difference(a, b, name, of_class)       -> Difference   two rows on the same bank
    explained_ties(values, groups, higher) -> Ties         every pair of explainers on the same explained queries

`Ties.ranks` is what a board prints: "1-3" for a row that no test tells from the first, the second and the third.

Two records of one bank hold the same resamples of episodes and images, so that the draws of a difference are the
differences of the draws. Their spread is its standard error, from which the two-sided p-value follows by Student's t;
what training seeds add, where both rows have several, is convolved with it (see `resampling.seed_draws`), seed by seed
where both have the same ones. p-values of all pairs of a table are corrected together after Holm (1979), so that a
table with no true difference shows one in at most 5 % of all cases. A row's rank lies between 1 + the number of rows
that are better and the number of all less those that are worse: with the tests above the ranks of all rows hold
together with 95 % confidence (Mogstad et al., Inference for Ranks, Review of Economic Studies 91(1), 2024).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from zoo.board import resampling
from zoo.board.rows import MAIN, Row
from zoo.record import Figure

LEVEL = 0.05
POWER = 0.8
_NODES = np.linspace(-6, 6, 97)
_MASS = np.exp(-(_NODES**2) / 2) / np.exp(-(_NODES**2) / 2).sum()
"""Places and masses that a standard normal variable is replaced by, to integrate over."""


class Difference(NamedTuple):
    """One row less another on the same bank."""

    figure: Figure
    """Positive where the first is higher"""
    p: float
    """Two-sided"""
    detectable: float
    """The smallest true difference that such a pair would show (p below 5 %) in 80 % of all cases"""


class Ties(NamedTuple):
    """Every pair of m rows of one table."""

    difference: np.ndarray
    """(m, m) row less column, positive where the row is better"""
    p: np.ndarray
    """(m, m) two-sided, 1 on the diagonal"""
    holm: np.ndarray
    """(m, m) corrected over the m (m - 1) / 2 pairs"""
    detectable: np.ndarray
    """(m, m) smallest true difference that one test of the pair shows in 80 % of all cases, uncorrected"""

    @property
    def better(self) -> np.ndarray:
        """(m, m) bool: the row is better than the column, after correction."""
        return (self.holm <= LEVEL) & (self.difference > 0)

    @property
    def ranks(self) -> list[str]:
        """Of each row: "2", or "1-3" where tests do not tell it from its neighbours."""
        first, last = 1 + self.better.sum(0), len(self.p) - self.better.sum(1)
        return [str(a) if a == b else f"{a}-{b}" for a, b in zip(first.tolist(), last.tolist(), strict=True)]

    @property
    def typical(self) -> float | None:
        """Median of `detectable` over neighbouring rows; None of a single row."""
        neighbours = np.diagonal(self.detectable, 1)
        return float(np.median(neighbours)) if len(neighbours) else None


class Spreads(NamedTuple):
    """Standard errors of differences, of any shape, by where they come from."""

    bank: np.ndarray
    """Of episodes and images"""
    freedom: np.ndarray
    """Degrees of freedom of `bank`"""
    seeds: np.ndarray
    """Of training seeds; 0 where a row has only one"""
    seed_freedom: np.ndarray


def ties(found: Sequence[Row], name: str = MAIN) -> Ties:
    """Every pair of rows of one board that all have this figure (higher is better)."""
    drawn = np.stack([row.draws(name).mean(0) for row in found])
    return tested([row.values(name) for row in found], drawn, _freedom(found[0]))


def tested(values: Sequence[dict[int, float]], drawn: np.ndarray, freedom: int) -> Ties:
    """Every pair of m rows: their figures (training seed -> value), the draws (m, resamples) of their means over the
    seeds, and the degrees of freedom of the bank."""
    means = np.array([np.mean(list(value.values())) for value in values])
    return _ties(means[:, None] - means, spreads(values, drawn, freedom))


def spreads(values: Sequence[dict[int, float]], drawn: np.ndarray, freedom: int) -> Spreads:
    """Standard errors (m, m) of the difference of every pair of m rows, from what `tested` is given."""
    return Spreads(_errors(drawn), np.full((len(values),) * 2, freedom), *_seed_errors(values))


def ranked(found: Sequence[Row], name: str = MAIN) -> tuple[list[str], Ties | None]:
    """The ranks of rows of one kind, "-" of one without the figure, and the tests behind them."""
    having = [number for number, row in enumerate(found) if row.values(name)]
    tested = ties([found[number] for number in having], name) if having else None
    known = dict(zip(having, tested.ranks, strict=True)) if tested else {}
    return [known.get(number, "-") for number in range(len(found))], tested


def difference(a: Row, b: Row, name: str = MAIN, of_class: bool = False) -> Difference:
    """Two rows on the same bank: a figure, or the accuracy of a class."""
    values = [row.values(name, of_class) for row in (a, b)]
    drawn = np.stack([row.draws(name, of_class).mean(0) for row in (a, b)])
    return difference_of(values, drawn, _freedom(a))


def difference_of(values: Sequence[dict[int, float]], drawn: np.ndarray, freedom: int, bound: float = 1) -> Difference:
    """Two rows, from what `tested` is given; no difference is larger than `bound`."""
    value = float(np.mean(list(values[0].values())) - np.mean(list(values[1].values())))
    return _difference(value, drawn[0] - drawn[1], of_pair(spreads(values, drawn, freedom)), bound)


def of_pair(spread: Spreads) -> Spreads:
    """Of the first row less the second."""
    return Spreads(*(part[0, 1] for part in spread))


def explained_ties(
    values: np.ndarray, groups: np.ndarray, higher_is_better: bool, drawn: np.ndarray | None = None
) -> Ties:
    """Every pair of m explainers from their values (m, n) on the same n queries; queries of one group are one image.

    drawn: (m, resamples) means of the values, where they are known already.
    """
    drawn = resampling.cluster_means(values, groups) if drawn is None else drawn
    means = values.mean(1)
    shape = (len(values), len(values))
    freedom = np.full(shape, _group_freedom(groups))
    spread = Spreads(_errors(drawn), freedom, np.zeros(shape), np.ones(shape))
    return _ties((means[:, None] - means) * (1 if higher_is_better else -1), spread)


def explained_difference(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> Difference:
    """Two explainers' values (n,) on the same queries: a - b."""
    drawn = resampling.cluster_means((a - b)[None], groups)[0]
    spread = Spreads(drawn.std(), np.array(_group_freedom(groups)), np.array(0.0), np.array(1))
    return _difference(float((a - b).mean()), drawn, spread)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (n,) corrected together after Holm, as statsmodels' `multipletests`, which collects garbage at every
    call and so takes half a second for each of a board's many tables."""
    order = p.argsort(kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected


def two_sided(differences: np.ndarray, spread: Spreads) -> np.ndarray:
    """Chance of a difference at least as large where there is none: of a sum of two Student's t."""
    size = np.abs(differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = 2 * special.stdtr(spread.freedom, -size / spread.bank)
    alone = np.where(size == 0, 1.0, np.nan_to_num(alone, nan=0.0))
    seeded = np.asarray(spread.seeds > 0)
    if not seeded.any():
        return alone
    # A bank's share far below the seeds' would make the sum over the places coarse, so that it is kept to a tenth.
    bank = np.maximum(spread.bank, spread.seeds / 10)[seeded, None]
    places = special.stdtrit(spread.seed_freedom[seeded, None], special.ndtr(_NODES)) * spread.seeds[seeded, None]
    tails = special.stdtr(spread.freedom[seeded, None], -(size[seeded, None] + places) / bank)
    alone = np.array(alone)
    alone[seeded] = np.minimum(2 * tails @ _MASS, 1)
    return alone


def _ties(differences: np.ndarray, spread: Spreads) -> Ties:
    p = two_sided(differences, spread)
    upper = np.triu_indices(len(p), 1)
    corrected = np.ones_like(p)
    corrected[upper] = holm(p[upper])
    return Ties(differences, p, np.minimum(corrected, corrected.T), _detectable(spread))


def _difference(value: float, drawn: np.ndarray, spread: Spreads, bound: float = 1) -> Difference:
    if spread.seeds > 0:
        drawn = drawn + resampling.seed_draws(float(spread.seeds), int(spread.seed_freedom) + 1)
    low, high = np.nanquantile(drawn, (LEVEL / 2, 1 - LEVEL / 2)).clip(-bound, bound).tolist()
    p = float(two_sided(np.array(value), spread))
    return Difference(Figure(value=value, low=low, high=high), p, float(_detectable(spread)))


def _detectable(spread: Spreads) -> np.ndarray:
    return np.hypot(_needed(spread.freedom) * spread.bank, _needed(spread.seed_freedom) * spread.seeds)


def _needed(freedom: np.ndarray) -> np.ndarray:
    """Standard errors between 0 and a difference that is shown with the power wanted."""
    known, place = np.unique(freedom, return_inverse=True)
    return (special.stdtrit(known, 1 - LEVEL / 2) + special.stdtrit(known, POWER))[place].reshape(np.shape(freedom))


def _errors(drawn: np.ndarray) -> np.ndarray:
    """(m, m) standard deviations of the differences of draws (m, r)."""
    centred = np.nan_to_num(drawn - np.nanmean(drawn, 1, keepdims=True))
    return np.sqrt(_squared_distances(centred) / drawn.shape[1])


def _squared_distances(points: np.ndarray) -> np.ndarray:
    squares, products = (points**2).sum(1), points @ points.T
    return np.maximum(squares[:, None] + squares - 2 * products, 0)


def _freedom(row: Row) -> int:
    """Of the standard error of a bank: one less than its episodes or than its images, whichever are fewer."""
    levels = [len(row.first.predictions.lengths), len(set(row.first.predictions.groups))]
    return max(min((level for level in levels if level > 1), default=2) - 1, 1)


def _group_freedom(groups: np.ndarray) -> int:
    return max(len(np.unique(groups)) - 1, 1)


def _seed_errors(values: Sequence[dict[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """(m, m) what training seeds add to the error of each difference, and its degrees of freedom.

    Seed by seed where two rows have the same ones; else independently, with the fewer degrees of freedom.
    """
    counts = np.array([len(value) for value in values])
    several = np.array([np.var(list(value.values()), ddof=1) / len(value) if len(value) > 1 else 0 for value in values])
    squares = several[:, None] + several
    known = np.where(counts > 1, counts - 1, np.iinfo(np.int64).max)
    freedom = np.minimum(known[:, None], known)
    same: dict[tuple[int, ...], list[int]] = {}
    for number, value in enumerate(values):
        same.setdefault(tuple(value), []).append(number)
    for seeds, members in same.items():
        if len(seeds) > 1:
            points = np.array([list(values[number].values()) for number in members])
            apart = _squared_distances(points - points.mean(1, keepdims=True)) / (len(seeds) * (len(seeds) - 1))
            squares[np.ix_(members, members)] = apart
    freedom[freedom == np.iinfo(np.int64).max] = 1
    np.fill_diagonal(squares, 0)
    return np.sqrt(squares), freedom
