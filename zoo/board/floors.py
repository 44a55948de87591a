"""Which explainers beat the floors that never look at the classifier, and by which metrics. No torch."""

from collections.abc import Sequence
from typing import NamedTuple

from zoo.board.explained import Block, about, is_ceiling, ranks_by, shuffles

BEATEN = ("centre", "otsu")
"""A blob in the middle of the image, and what is darker than its ground: finding the cell is not enough to beat them"""
ASPECTS = ("faithfulness", "localisation")
"""In which a floor means something: a map that never changes is stable, and one of a single pixel is sparse."""
_SIGNS = {1: "+", 0: "=", -1: "-", None: "."}


class Standing(NamedTuple):
    """One explainer beside the floors."""

    number: int
    """Of its row in the block"""
    name: str
    """With the settings that tell it from others of its name"""
    signs: dict[str, str]
    """metric -> a sign for each floor of `BEATEN`: + better, - worse, = not told apart, . not measured"""

    def beats(self, metrics: Sequence[str]) -> list[str]:
        """The metrics by which it is better than both."""
        return [metric for metric in metrics if self.signs[metric] == "+" * len(BEATEN)]


class Verdict(NamedTuple):
    """Every explainer of a classifier beside the floors, the one that beats them by most metrics first."""

    metrics: dict[str, list[str]]
    """aspect -> its metrics"""
    standings: list[Standing]
    weightless: dict[str, list[str]]
    """metric -> the explainers that by it are better than both floors when the weights are shuffled"""

    @property
    def columns(self) -> list[str]:
        return [metric for metrics in self.metrics.values() for metric in metrics]

    @property
    def words(self) -> str:
        """The paragraph: which beat both floors and which do not."""
        return " ".join([*(self._said(aspect, metrics) for aspect, metrics in self.metrics.items()), self._ending])

    def _said(self, aspect: str, metrics: Sequence[str]) -> str:
        """One aspect in sentences."""
        both, by_count = " and ".join(BEATEN), {}
        for one in self.standings:
            by_count.setdefault(len(one.beats(metrics)), []).append(one.name)
        text = f"Of {len(metrics)} metric{'' if len(metrics) == 1 else 's'} of {aspect}, "
        if by_count.keys() == {0}:
            return text + f"no explainer is better than both {both} by any."
        (most, names), *others = sorted(by_count.items(), reverse=True)
        text += f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} better than both {both} by {most}"
        text += "".join(f"; {', '.join(names)} by {count or 'none'}" for count, names in others) + "."
        never = [metric for metric in metrics if not any(one.beats([metric]) for one in self.standings)]
        return text + (f" By {_listed(never)} none is." if never else "")

    @property
    def _ending(self) -> str:
        worse = [one.name for one in self.standings if _lost(one, self.columns)]
        text = f"Worse than both by more metrics than better: {', '.join(worse)}. " if worse else ""
        found = [f"by {_listed([metric])} {', '.join(names) or 'none'}" for metric, names in self.weightless.items()]
        text += f"Better than both with shuffled weights: {'; '.join(found)}. " if found else ""
        return text + (
            "Where a floor is not beaten, the figure is no better than what the place of cells (centre) or their "
            "darkness (otsu) gives without a look at the classifier."
        )


def verdict(block: Block) -> Verdict | None:
    """None where no explainer was scored beside these floors."""
    ranking = [metric for metric in block.compared if ranks_by(metric) is not None and _measured(block, metric)]
    metrics = {aspect: [metric for metric in ranking if about(metric) == aspect] for aspect in ASPECTS}
    metrics = {aspect: names for aspect, names in metrics.items() if names}
    shuffled = {metric: shuffles(metric) for metric in ranking if shuffles(metric)}
    weightless: dict[str, list[str]] = {metric: [] for metric in shuffled.values()}
    columns = [metric for names in metrics.values() for metric in names]
    standings = []
    for number, (name, row) in enumerate(block.rows):
        if row.floor or is_ceiling(name):
            continue
        signs = {m: "".join(_SIGNS[block.sign(m, number, floor)] for floor in BEATEN) for m in columns}
        named = name + (f" ({settings})" if (settings := block.settings(number)) else "")
        standings.append(Standing(number, named, signs))
        for metric, shown in shuffled.items():
            if all(block.sign(metric, number, floor) == -1 for floor in BEATEN):
                weightless[shown].append(named)
    standings.sort(key=lambda one: [-len(one.beats(names)) for names in metrics.values()])
    return Verdict(metrics, standings, weightless) if metrics and standings else None


def _measured(block: Block, metric: str) -> bool:
    """Whether both floors have the metric."""
    return all((floor := block.floor(name)) is not None and floor in block.ranks[metric] for name in BEATEN)


def _lost(one: Standing, metrics: Sequence[str]) -> bool:
    worse = sum(one.signs[metric] == "-" * len(BEATEN) for metric in metrics)
    return worse > len(one.beats(metrics))


def _listed(metrics: Sequence[str]) -> str:
    return ", ".join(metric.replace("_", " ") for metric in metrics)
