"""Every figure of a record of cells, with its 95 % interval, from the columns that the record stores. No torch.

Fields are resampled by their groups (duplicates, one patient) `resampling.RESAMPLES` times with a fixed seed; the
resamples depend on the groups alone, so that records on the same fields share them, which pairs them. The network is
held fixed: what another training seed would change is not in these intervals.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import registry
from zoo.board import resampling
from zoo.cell_floors import FLOORS, Constants, Floor, says
from zoo.cell_metric import AttributeMetric, CellMetric
from zoo.cell_record import AttributeWords, CellRecord, Columns
from zoo.cell_table import Table
from zoo.cells import Attribute
from zoo.errors import ZooError, unknown
from zoo.record import Figure

FOLDER = "metrics/cell"
Figures = dict[str, Figure]


class Computed(NamedTuple):
    """All that a record stores beside its columns, under the names of its fields."""

    figures: Figures
    attribute_figures: dict[str, Figures]
    fold_figures: dict[str, list[float | None]]
    floors: dict[Floor, Figures]
    attribute_floors: dict[Floor, dict[str, Figures]]


def record(table: Table, constants: Sequence[Constants], attributes: Sequence[Attribute], **about: Any) -> CellRecord:
    """The record of a finished run: its table and what the floors say in each fold, packed, and every figure.

    about: the other fields of `CellRecord`, provenance among them. Figures are of the table as the record stores it.
    Raises ZooError for what no record can hold.
    """
    try:
        cells = Columns.pack(table)
        stored = cells.table(len(attributes))
    except ValueError as error:
        raise ZooError(f"the cells cannot be recorded: {error}") from None
    words = [AttributeWords(name=one.name, values=list(one.values)) for one in attributes]
    names = [one.name for one in attributes]
    found = computed(stored, names, np.asarray(about["groups"]), np.asarray(about["folds"]), constants)
    try:
        return CellRecord.model_validate(
            about | {"cells": cells, "constants": list(constants), "attributes": words} | found._asdict()
        )
    except ValueError as error:
        raise ZooError(f"the cells cannot be recorded: {' '.join(str(error).split())}") from None


def of_record(record: CellRecord) -> Computed:
    """Every figure of a record, computed anew from its columns. ZooError where they are damaged."""
    names = [one.name for one in record.attributes]
    return computed(table(record), names, np.array(record.groups), np.array(record.folds), record.constants)


def computed(
    table: Table, attributes: Sequence[str], groups: np.ndarray, folds: np.ndarray, constants: Sequence[Constants]
) -> Computed:
    """Every figure of a table: groups and folds (fields,); constants of each fold."""
    drawn = resampling.group_draws(groups)
    whole, by_attribute = _figures(table, attributes, drawn, metrics())
    floors: dict[Floor, Figures] = {}
    attribute_floors: dict[Floor, dict[str, Figures]] = {}
    for name in FLOORS:
        having = {key: metric for key, metric in metrics().items() if name in metric.floors}
        said = says(name, table, folds, constants)
        floors[name], attribute_floors[name] = _figures(said, attributes, drawn, having)
    return Computed(whole, by_attribute, _by_fold(table, folds, whole), floors, attribute_floors)


@functools.cache
def metrics() -> Mapping[str, CellMetric]:
    """Every metric of cells, by name."""
    return {name: registry.build(FOLDER, name) for name in registry.usable(FOLDER)}


def metric(name: str) -> CellMetric:
    """The metric of that name; ZooError where there is none."""
    if name not in metrics():
        raise unknown("metric", name, metrics(), "zoo list metrics")
    return metrics()[name]


def table(record: CellRecord) -> Table:
    """Every true and every spurious cell of a record. ZooError where its columns are damaged."""
    try:
        return record.table()
    except ValueError as error:
        raise ZooError(f"cells: {error}; run again to make the record anew") from None


def draws(record: CellRecord, name: str, attribute: str | None = None) -> np.ndarray:
    """(RESAMPLES,) values of a metric, or of one attribute, under the resamples of the record's fields."""
    drawn, one = resampling.group_draws(np.array(record.groups)), metric(name)
    if attribute is None:
        return one.values(table(record), drawn)
    assert isinstance(one, AttributeMetric)
    return one.each_values(table(record), drawn)[:, [a.name for a in record.attributes].index(attribute)]


def figure(value: float, drawn: np.ndarray) -> Figure:
    """With the interval that holds 95 % of the draws that are numbers."""
    low, high = np.nanquantile(drawn, (0.025, 0.975)) if not np.isnan(drawn).all() else (value, value)
    return Figure(value=value, low=float(low), high=float(high))


def _figures(
    table: Table, attributes: Sequence[str], drawn: np.ndarray, metrics: Mapping[str, CellMetric]
) -> tuple[Figures, dict[str, Figures]]:
    """Of the whole, and of each attribute; what nothing counts for is left out."""
    whole: Figures = {}
    by_attribute: dict[str, Figures] = {name: {} for name in attributes}
    for name, metric in metrics.items():
        if np.isnan(value := metric.value(table)):
            continue
        whole[name] = figure(value, metric.values(table, drawn))
        if isinstance(metric, AttributeMetric):
            each, each_drawn = metric.each(table), metric.each_values(table, drawn)
            for attribute, value, of_one in zip(attributes, each.tolist(), each_drawn.T, strict=True):
                if not np.isnan(value):
                    by_attribute[attribute][name] = figure(value, of_one)
    return whole, {name: found for name, found in by_attribute.items() if found}


def _by_fold(table: Table, folds: np.ndarray, names: Iterable[str]) -> dict[str, list[float | None]]:
    parts = [table.of_fields(folds == fold) for fold in range(int(folds.max()) + 1)]
    values = {name: [metrics()[name].value(part) for part in parts] for name in names}
    return {name: [None if np.isnan(value) else value for value in found] for name, found in values.items()}
