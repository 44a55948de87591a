"""Two rows of one board of cells: paired differences, and tests of equivalence. No torch.

    compare(a, b)                             -> list[Part]    every metric that both have
    equivalence(a, b, "cell_accuracy", 0.01)  -> Equivalence   are they the same, up to one point?

Both take the records of one row each, one a training seed. The same fields in the same folds have the same resamples,
so that the draws of a difference are the differences of the draws; what seeds vary is added (see `zoo.board.paired`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zoo.board import paired, resampling
from zoo.board.cells import figures
from zoo.board.cells.rows import Row, row
from zoo.board.paired import Difference, Ties
from zoo.cell_record import CellRecord
from zoo.errors import ZooError
from zoo.record import Figure


class Part(NamedTuple):
    """One metric of two rows."""

    metric: str
    a: Figure
    b: Figure
    difference: Difference
    """a - b; of p no correction is made for the other metrics"""
    better: str
    """"a", "b", or "" where p is above 5 %"""


class Equivalence(NamedTuple):
    """Two one-sided tests (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15(6), 1987) of a difference."""

    metric: str
    margin: float
    difference: Figure
    """a - b, with its **90 %** interval: it lies within the margin where the tests say that the two are equivalent"""
    p_lower: float
    """Of the test against a - b <= -margin"""
    p_upper: float
    """Of the test against a - b >= margin"""

    @property
    def p(self) -> float:
        return max(self.p_lower, self.p_upper)

    @property
    def equivalent(self) -> bool:
        """Whether a difference as large as the margin is ruled out on both sides, at 5 % each."""
        return self.p <= paired.LEVEL

    @property
    def not_worse(self) -> bool:
        """Whether it is ruled out, at 5 %, that A lies below B by the margin or more."""
        return self.p_lower <= paired.LEVEL


def compare(a: Sequence[CellRecord], b: Sequence[CellRecord]) -> list[Part]:
    """Every metric that two rows both have. ZooError where they are not of the same fields and folds."""
    return of_rows(*_pair(a, b), tuple(figures.metrics()))


def of_rows(a: Row, b: Row, names: Sequence[str]) -> list[Part]:
    """Those of the metrics that two rows of one board both have."""
    return [_part(name, a, b) for name in names if a.values(name) and b.values(name)]


def equivalence(
    a: Sequence[CellRecord], b: Sequence[CellRecord], metric: str = "cell_accuracy", margin: float = 0.01
) -> Equivalence:
    """Whether two rows differ by less than the margin in a metric (0.01 is one point of a fraction).

    Bootstrap TOST: the standard error is that of the paired draws over groups of fields, with one degree of freedom
    less than there are groups; where both rows have several training seeds, the spread of their differences (seed by
    seed where the seeds are the same) is added with its own Student's t. With one seed and one cell a field this is
    statsmodels' `ttost_paired` up to the noise of a thousand resamples.
    ZooError where the rows are not of the same fields and folds, or have not both this metric.
    """
    if not 0 < margin < np.inf:
        raise ZooError(f"margin {margin:g}: give a number above 0, such as 0.01 for one point")
    one, other = _pair(a, b)
    figures.metric(metric)
    if not (one.values(metric) and other.values(metric)):
        raise ZooError(f"{metric}: not both rows have it; compare a metric that both have")
    values, drawn, freedom = _drawn(metric, one, other)
    spread = paired.of_pair(paired.spreads(values, drawn, freedom))
    value = float(np.mean(list(values[0].values())) - np.mean(list(values[1].values())))
    apart = drawn[0] - drawn[1]
    if spread.seeds > 0:
        apart = apart + resampling.seed_draws(float(spread.seeds), int(spread.seed_freedom) + 1)
    low, high = np.nanquantile(apart, (paired.LEVEL, 1 - paired.LEVEL)).tolist()
    lower, upper = (_above(distance, spread) for distance in (value + margin, margin - value))
    return Equivalence(metric, margin, Figure(value=value, low=low, high=high), lower, upper)


def ties(found: Sequence[Row], name: str) -> Ties:
    """Every pair of rows of one board that all have this metric, corrected together after Holm."""
    sign = 1 if figures.metric(name).higher_is_better else -1
    drawn = np.stack([one.draws(name).mean(0) for one in found])
    values = [{seed: sign * value for seed, value in one.values(name).items()} for one in found]
    return paired.tested(values, sign * drawn, _freedom(found[0]))


def ranks(found: Sequence[Row], name: str) -> list[str]:
    """The rank of each row, as on the other boards; "-" of one without the metric."""
    having = [number for number, one in enumerate(found) if one.values(name)]
    known = dict(zip(having, ties([found[n] for n in having], name).ranks, strict=True)) if having else {}
    return [known.get(number, "-") for number in range(len(found))]


def _above(distance: float, spread: paired.Spreads) -> float:
    """One-sided p of a distance that should be above 0."""
    both = float(paired.two_sided(np.array(distance), spread))
    return both / 2 if distance > 0 else 1 - both / 2


def _part(name: str, a: Row, b: Row) -> Part:
    one, other = a.figure(name), b.figure(name)
    assert one is not None
    assert other is not None
    difference = paired.difference_of(*_drawn(name, a, b), bound=np.inf)
    ahead = (difference.figure.value > 0) == figures.metric(name).higher_is_better
    better = ("a" if ahead else "b") if difference.p <= paired.LEVEL else ""
    return Part(name, one, other, difference, better)


def _drawn(name: str, a: Row, b: Row) -> tuple[list[dict[int, float]], np.ndarray, int]:
    drawn = np.stack([one.draws(name).mean(0) for one in (a, b)])
    return [one.values(name) for one in (a, b)], drawn, _freedom(a)


def _freedom(of: Row) -> int:
    return max(len(set(of.first.groups)) - 1, 1)


def _pair(a: Sequence[CellRecord], b: Sequence[CellRecord]) -> tuple[Row, Row]:
    if not a or not b:
        raise ZooError("a comparison needs at least one record on each side")
    first = a[0].provenance
    for one in (*a, *b):
        made = one.provenance
        if one.benchmark != a[0].benchmark:
            raise ZooError(f"{a[0].benchmark} and {one.benchmark} are two benchmarks; compare records of one")
        if (made.item_set_sha256, made.bank_sha256) != (first.item_set_sha256, first.bank_sha256):
            raise ZooError(f"{one.benchmark}: the records are not of the same fields and folds; run one of them again")
    return row(a), row(b)
