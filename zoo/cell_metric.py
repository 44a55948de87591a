"""The contract of a figure of cells, from the table of true and found cells. No torch."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np

from zoo.cell_table import Table


class CellMetric(ABC):
    """One figure of a table. A file in metrics/cell is in every record by being there."""

    paper: ClassVar[str] = ""
    """Authors, title, venue, year, identifier of where it comes from."""
    higher_is_better: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = False
    """True where it is NaN without true masks."""
    unit: ClassVar[Literal["percent", "number"]] = "percent"
    """How it is shown: a fraction in per cent, or the bare number of an error that has no upper end."""
    floors: ClassVar[tuple[str, ...]] = ()
    """Which floors it has, see `zoo.cell_floors`; none where it depends on the place of a cell."""

    @abstractmethod
    def value(self, table: Table) -> float:
        """The figure over all rows, each counted `weight` times; NaN where nothing counts."""

    def values(self, table: Table, fields: np.ndarray) -> np.ndarray:
        """(r,) the figure under r weightings of the fields, whole numbers (fields, r)."""
        return np.array([self.value(table.weighted(one)) for one in fields.T])


class SummedMetric(CellMetric):
    """A figure that follows from sums over the rows, so that a thousand resamples are one product of matrices."""

    @abstractmethod
    def parts(self, table: Table) -> np.ndarray:
        """(n, s ...) what each row adds to the sums."""

    @abstractmethod
    def reduce(self, sums: np.ndarray) -> np.ndarray:
        """The figure of sums (..., s ...): (...); NaN where nothing counts."""

    def value(self, table: Table) -> float:
        return float(self.reduce(np.tensordot(table.weight, self.parts(table), 1)))

    def values(self, table: Table, fields: np.ndarray) -> np.ndarray:
        return self.reduce(_sums(self.parts(table), table.field, fields))


class AttributeMetric(SummedMetric):
    """A figure of each attribute, and its mean over the attributes that have it."""

    floors: ClassVar[tuple[str, ...]] = ("majority", "class")

    @abstractmethod
    def reduce_each(self, sums: np.ndarray) -> np.ndarray:
        """The figures of sums (..., s ...): (..., attributes); NaN where nothing counts."""

    def reduce(self, sums: np.ndarray) -> np.ndarray:
        each = self.reduce_each(sums)
        known = ~np.isnan(each)
        return over(np.where(known, each, 0).sum(-1), known.sum(-1))

    def each(self, table: Table) -> np.ndarray:
        """(attributes,) the figure of each."""
        return self.reduce_each(np.tensordot(table.weight, self.parts(table), 1))

    def each_values(self, table: Table, fields: np.ndarray) -> np.ndarray:
        """(r, attributes) the same under r weightings of the fields, whole numbers (fields, r)."""
        return self.reduce_each(_sums(self.parts(table), table.field, fields))


class MeanMetric(SummedMetric):
    """The mean of one number a row."""

    @abstractmethod
    def each_row(self, table: Table) -> np.ndarray:
        """(n,), NaN in rows that do not count."""

    def parts(self, table: Table) -> np.ndarray:
        values = self.each_row(table)
        known = ~np.isnan(values)
        return np.stack([np.where(known, values, 0), known], 1)

    def reduce(self, sums: np.ndarray) -> np.ndarray:
        return over(sums[..., 0], sums[..., 1])


def over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def squares(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(n, 4) of values (n,): (found - true)^2, true^2, true and 1; 0 where true is NaN."""
    known = ~np.isnan(true)
    y = np.where(known, true, 0)
    return np.stack([np.where(known, found - y, 0) ** 2, y**2, y, known], 1)


def _sums(parts: np.ndarray, field: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """(r, s ...) sums of the parts (n, s ...) of rows under r weightings of their fields (fields, r)."""
    from scipy import sparse

    rows = np.arange(len(field))
    of_field = sparse.csr_array((np.ones(len(field)), (field, rows)), shape=(len(fields), len(field)))
    by_field = of_field @ parts.reshape(len(field), -1).astype(np.float64)
    return (fields.T @ by_field).reshape(-1, *parts.shape[1:])
