"""Average precision of the boxes at IoU 0.5, mean over the classes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.cell_metric import CellMetric, over
from zoo.cell_table import Table

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class AveragePrecision(CellMetric):
    """COCO's: found cells of a class, most certain first, are right where they meet a true one of it; precision, made
    to fall with recall, is read at the recalls 0, 0.01 ... 1. Classes without a true cell are left out.

    As torchmetrics' `MeanAveragePrecision(iou_thresholds=[0.5])`, but that the recalls are pycocotools' own, which
    torchmetrics rounds to single precision, so that a recall of exactly 0.3 misses its 0.3; that found cells of one
    score enter together, so that their order says nothing; that no field's found cells are cut off at 100 a class; and
    that a cell found where the true class is not known is neither right nor wrong."""

    higher_is_better: ClassVar[bool] = True
    paper: ClassVar[str] = "Lin et al., Microsoft COCO: common objects in context, ECCV 2014, arXiv:1405.0312"

    def value(self, table: Table) -> float:
        return float(self._values(table, table.weight[:, None])[0])

    def values(self, table: Table, fields: np.ndarray) -> np.ndarray:
        at_once = max(1, 2_000_000 // max(len(table.field), 1))
        starts = range(0, fields.shape[1], at_once)
        return np.concatenate([self._values(table, fields[table.field, start : start + at_once]) for start in starts])

    def _values(self, table: Table, weight: np.ndarray) -> np.ndarray:
        """(r,) under r weightings of the rows (n, r)."""
        judged = np.flatnonzero(table.seen & ~(table.real & (table.true_label < 0)))
        judged = judged[np.argsort(-table.score[judged], kind="stable")]
        total, count = np.zeros(weight.shape[1]), np.zeros(weight.shape[1])
        for one in np.unique(table.true_label[table.true_label >= 0]):
            positives = weight[table.true_label == one].sum(0)
            mine = judged[table.found_label[judged] == one]
            total += np.where(positives > 0, _precision(table, mine, weight[mine], np.maximum(positives, 1)), 0)
            count += positives > 0
        return over(total, count)


def _precision(table: Table, mine: np.ndarray, weight: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """(r,) mean precision of one class at the recalls, from its rows, most certain first: weight (m, r)."""
    last = np.flatnonzero(np.diff(table.score[mine], append=-1))
    right, found = ((weight * part[:, None]).cumsum(0)[last] for part in (table.hit[mine], np.ones(len(mine))))
    precision = np.maximum.accumulate((right / np.maximum(found, 1))[::-1])[::-1]
    falling = np.concatenate([precision, np.zeros((1, len(positives)))]).T
    places = [np.searchsorted(recall, _RECALLS) for recall in (right / positives).T]
    return np.take_along_axis(falling, np.array(places), 1).mean(1)
