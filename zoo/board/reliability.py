"""How far two metrics of explanation agree, and one metric with itself on other images. No torch.

Tomsett et al., Sanity checks for saliency metrics, AAAI 2020, arXiv 1912.01451, ask both questions and find that the
answers are often bad. Here both are Kendall's tau-b between two orders of the same explainers and floors, -1..1.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from zoo.board import resampling, rows
from zoo.board.accuracy import backbone_cell, method_cell
from zoo.board.explained import Block, ranks_by
from zoo.board.markdown import escape, table
from zoo.board.rows import Board
from zoo.record import Figure

LEAST = 5
"""Fewest explainers and floors whose order is compared."""
_HALVINGS = 200
_NOTE = (
    "Kendall's tau-b between the orders in which two metrics put the explainers and floors of one classifier, 1 where "
    "they are the same, -1 where one is the other reversed; in bold where its 95 % interval over resampled images "
    "excludes 0 (other explainers are not covered). *Halves*: the mean tau between the orders on two halves of the "
    "images, over {halvings} random halvings, with the range of 95 % of them; near 1 other images would have given the "
    "same order."
)


class Agreement(NamedTuple):
    """Of all metrics by which the explainers of one classifier are ranked."""

    metrics: list[str]
    halves: list[Figure]
    """Of each metric with itself"""
    pairs: dict[tuple[str, str], Figure]
    """Of two metrics, the earlier one first; those that share fewer than `LEAST` explainers are left out"""

    def beside(self, number: int) -> list[Figure | None]:
        """Of one metric with each; None with itself, and where nothing can be said."""
        name = self.metrics[number]
        keys = [(name, other) if number < at else (other, name) for at, other in enumerate(self.metrics)]
        return [self.pairs.get(key) for key in keys]


def agreement(block: Block) -> Agreement | None:
    """None where fewer than two metrics rank `LEAST` explainers and floors."""
    values = {name: found for name in block.metrics if (found := _values(block, name)) is not None}
    if len(values) < 2:
        return None
    drawn = {name: _signs(resampling.cluster_means(found, block.groups)) for name, found in values.items()}
    whole = {name: _signs(found.mean(1)[:, None]) for name, found in values.items()}
    pairs = {}
    for one, other in combinations(values, 2):
        shared = int((~np.isnan(values[one][:, 0] + values[other][:, 0])).sum())
        if shared >= LEAST:
            pairs[one, other] = _figure(float(_tau(whole[one], whole[other])[0]), _tau(drawn[one], drawn[other]))
    first, second = zip(*(_halved(found, block.groups) for found in values.values()), strict=True)
    taus = [_tau(_signs(one), _signs(other)) for one, other in zip(first, second, strict=True)]
    return Agreement(list(values), [_figure(float(np.nanmean(tau)), tau) for tau in taus], pairs)


def section(blocks: Sequence[Block], board: Board) -> list[str]:
    """Lines from the heading on: one table for each classifier; none where nothing can be said."""
    found = [(block, said) for block in blocks if (said := agreement(block))]
    if not found:
        return []
    keys, lines = rows.tellings(board.records), []
    for block, said in found:
        named = f"{method_cell(block.record, keys)}, {backbone_cell(block.record)}, seed {block.record.seed}"
        head = ["", "metric", "halves", *(str(number + 1) for number in range(len(said.metrics)))]
        body = [
            [str(number + 1), escape(name.replace("_", " ")), _range(half), *_line(said, number)]
            for number, (name, half) in enumerate(zip(said.metrics, said.halves, strict=True))
        ]
        lines += [f"{named}:", "", *table(head, body), ""]
    return ["### Do the metrics agree?", "", _NOTE.format(halvings=_HALVINGS), "", *lines]


def _line(said: Agreement, number: int) -> list[str]:
    return ["-" if tau is None else _shown(tau) for tau in said.beside(number)]


def _shown(tau: Figure) -> str:
    """With two digits, in bold where its interval excludes 0."""
    text = f"{tau.value:+.2f}"
    return f"**{text}**" if tau.low > 0 or tau.high < 0 else text


def _range(tau: Figure) -> str:
    return f"{tau.value:+.2f} ({tau.low:+.2f} to {tau.high:+.2f})"


def _values(block: Block, metric: str) -> np.ndarray | None:
    """(rows, n) of a metric, higher is better, NaN in rows without it; None where it ranks fewer than `LEAST`."""
    higher = ranks_by(metric)
    have = [row.values.get(metric, ()) for _, row in block.rows]
    full = [len(one) == len(block.groups) for one in have]
    if higher is None or sum(full) < LEAST:
        return None
    missing = [np.nan] * len(block.groups)
    return np.array([one if there else missing for one, there in zip(have, full, strict=True)]) * (1 if higher else -1)


def _signs(means: np.ndarray) -> np.ndarray:
    """Which of two rows is better in each draw, (draws, pairs of rows) of -1, 0, 1, NaN; means (rows, draws)."""
    one, other = np.triu_indices(len(means), 1)
    return np.sign(means[one] - means[other]).T


def _tau(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tau-b in each draw, (draws,), of the signs (draws, pairs) of two orders; NaN where one of them is all ties."""
    known = ~np.isnan(one + other)
    one, other = np.where(known, one, 0), np.where(known, other, 0)
    untied = np.sqrt((one != 0).sum(1) * (other != 0).sum(1))
    return np.divide((one * other).sum(1), untied, out=np.full(len(one), np.nan), where=untied > 0)


def _halved(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over one half of the groups and over the other, both (rows, halvings)."""
    clusters = resampling.numbered(groups)
    order = np.random.Generator(np.random.PCG64(0)).random((int(clusters.max()) + 1, _HALVINGS)).argsort(0)
    taken = (order < len(order) // 2)[clusters].astype(float)
    return values @ taken / taken.sum(0).clip(1), values @ (1 - taken) / (1 - taken).sum(0).clip(1)


def _figure(value: float, drawn: np.ndarray) -> Figure:
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, (0.025, 0.975)).tolist() if len(known) else (value, value)
    return Figure(value=value, low=low, high=high)
