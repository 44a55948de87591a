"""The explanations of a board as Markdown: which explainers beat the floors, then a table for each metric."""

from collections.abc import Sequence

from zoo.board import floors
from zoo.board.accuracy import backbone_cell, method_cell
from zoo.board.explained import FLOORS, Block, meaning
from zoo.board.floors import BEATEN, Verdict
from zoo.board.markdown import difference, escape, percent, table
from zoo.board.rows import Board, tellings
from zoo.record import Figure

_NOTE = (
    "Means over the explained queries, in per cent, with 95 % intervals that cover the images: a query explained in "
    "two episodes, or a duplicate, is one image. Other support draws, training seeds and patients are not covered. "
    "*Rank* is among the explainers and floors of the same classifier and seed, by paired tests with Holm's correction "
    "(1-3: not told from the first, second and third); nothing is ranked by *pseudo* figures. *Beside* a floor is the "
    "paired difference to it, positive where the explainer is better, in bold where its interval excludes 0."
)
_SIGNS = (
    "Two signs, beside {both}: + better, - worse, = not told apart by the paired test after Holm's correction over all "
    "explainers and floors, . not measured."
)


def section(found: Sequence[Block], board: Board) -> list[str]:
    """Lines from the heading on; none where nothing was explained."""
    if not found:
        return []
    keys = tellings(board.records)
    lines = ["### Explanations", "", _NOTE, ""]
    for block in found:
        named = f"{method_cell(block.record, keys)}, {backbone_cell(block.record)}, seed {block.record.seed}"
        lines += [f"#### {named}", "", _count(block), ""]
        if said := floors.verdict(block):
            lines += _verdict(said)
        for metric in block.metrics:
            lines += _metric(block, metric)
    return lines


def _verdict(said: Verdict) -> list[str]:
    header = ["explainer", *(escape(metric.replace("_", " ")) for metric in said.columns)]
    rows = [[escape(one.name), *(" ".join(one.signs[metric]) for metric in said.columns)] for one in said.standings]
    note = _SIGNS.format(both=" and ".join(f"`{name}`" for name in BEATEN))
    return [f"**Which explainers beat the floors?** {escape(said.words)}", "", note, "", *table(header, rows), ""]


def _metric(block: Block, metric: str) -> list[str]:
    """One metric's heading and table, the best explainer first."""
    name, said = escape(metric.replace("_", " ")), meaning(metric)
    beside = [floor for floor in FLOORS if block.floor(floor) is not None]
    header = ["rank", "explainer", name, *(f"beside `{floor}`" for floor in beside)]
    rows = [
        [
            block.rank(metric, number), _explainer(block, number), percent(block.rows[number][1].figures[metric]),
            *(_against(block.beside(metric, number, floor)) for floor in beside),
        ]
        for number in block.having(metric)
    ]  # fmt: skip
    return [f"**{name}**{f': {escape(said)}' if said else ''}", "", *table(header, rows), ""]


def _count(block: Block) -> str:
    found = block.record.explanations
    assert found is not None
    return f"{len(found.items)} queries explained, {sum(found.correct)} of them classified right."


def _explainer(block: Block, number: int) -> str:
    (name, row), settings = block.rows[number], block.settings(number)
    return escape(name) + (f" {escape(settings)}" if settings else "") + (" (*floor*)" if row.floor else "")


def _against(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    text = difference(figure)
    return f"**{text}**" if figure.low > 0 or figure.high < 0 else text
