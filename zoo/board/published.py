"""Rows that papers report, and how a measured figure stands beside them."""

import math
import tomllib
from collections.abc import Iterable
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.errors import ZooError
from zoo.record import Figure, Name, Record

Names = Annotated[tuple[Name, ...], Field(strict=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Verdict = Literal["above", "within", "below"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Row(_Strict):
    """One method in a paper's table."""

    title: str
    """As the paper calls it."""
    method: Name | None = None
    """Our plug-in of the same method, if there is one."""
    backbone: Name | None = None
    """Our name of the same backbone, if there is one."""
    backbone_title: str
    way: int | None = None
    """None where the row is not few-shot."""
    shot: int | None = None
    labels_seen: int | None = None
    """Labelled training images; None where the paper does not say."""
    figures: dict[str, Fraction] = {}
    class_accuracy: dict[str, Fraction] = {}
    class_queries: dict[str, int] = {}
    """Tested images of each class, where the paper says."""
    note: str = ""


class Paper(_Strict):
    """One paper's rows on one dataset."""

    authors: str
    title: str
    venue: str
    year: int
    identifier: str
    """doi:... or arXiv:..."""
    dataset: Name
    benchmarks: Names = ()
    """Our benchmarks that measure the same."""
    images: str
    """Which images and splits, in words."""
    rows: Annotated[tuple[Row, ...], Field(strict=False)]


class Reported(NamedTuple):
    """A row together with its paper."""

    paper: Paper
    row: Row


class Published(NamedTuple):
    """All papers, in the order of their file names."""

    papers: tuple[Paper, ...]

    def rows(self) -> list[Reported]:
        """Every row of every paper."""
        return [Reported(paper, row) for paper in self.papers for row in paper.rows]

    def for_benchmark(self, name: str) -> list[Reported]:
        """The rows that stand beside the records of a benchmark."""
        return [Reported(paper, row) for paper in self.papers if name in paper.benchmarks for row in paper.rows]


def load(folder: Path) -> Published:
    """Every `*.toml` of a folder. Raises ZooError naming the file and the first problem."""
    return Published(tuple(_paper(file) for file in sorted(folder.glob("*.toml"))))


def _paper(file: Path) -> Paper:
    try:
        return Paper.model_validate(tomllib.loads(file.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ZooError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise ZooError(f"{file}: not a readable TOML file ({error})") from None


def verdict(measured: Figure, reported: float) -> Verdict:
    """Where a measured figure stands: its whole 95 % interval above or below the paper's figure, or around it."""
    if measured.low > reported:
        return "above"
    return "below" if measured.high < reported else "within"


def uncertain(row: Row, name: str, of_class: bool = False) -> Figure | None:
    """A reported figure (or the accuracy of a class) with the 95 % interval that its number of test images leaves.

    Wilson's for a class and for the accuracy, normal for the mean of the classes. Papers say nothing of their support
    draws, which would widen it. No width where the paper does not say how many images it tested.
    """
    value = (row.class_accuracy if of_class else row.figures).get(name)
    if value is None:
        return None
    tested = row.class_queries
    pairs = [(accuracy, tested[one]) for one, accuracy in row.class_accuracy.items() if one in tested]
    count = tested.get(name, 0) if of_class else sum(tested.values())
    if not count or (not of_class and (name not in ("accuracy", "mean_class_accuracy") or len(pairs) != len(tested))):
        return Figure(value=value, low=value, high=value)
    if name == "mean_class_accuracy" and not of_class:
        half = NormalDist().inv_cdf(0.975) * math.sqrt(sum(p * (1 - p) / n for p, n in pairs)) / len(pairs)
        return Figure(value=value, low=value - half, high=min(value + half, 1))
    from statsmodels.stats.proportion import proportion_confint  # takes seconds, and only boards need it

    ends: Any = proportion_confint(value * count, count, method="wilson")
    return Figure(value=value, low=float(ends[0]), high=float(ends[1]))


def same_setting(record: Record, reported: Reported) -> bool:
    """Whether a record has the paper's method, backbone, images (all of them, real) and way and shot."""
    row = reported.row
    return (
        (record.method, record.backbone) == (row.method, row.backbone)
        and (record.bank.way, record.bank.shot) == (row.way, row.shot)
        and record.dataset == reported.paper.dataset
        and record.subset is None
        and not record.synthetic
    )


def main_row(rows: Iterable[Reported], classes: Iterable[str]) -> Reported | None:
    """The first row with a figure for each of some of these classes: the one a per-class table stands beside."""
    wanted = set(classes)
    return next((reported for reported in rows if wanted & reported.row.class_accuracy.keys()), None)
