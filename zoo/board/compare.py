"""Two rows side by side: `zoo compare A B`, where each is a record, a folder of one row's records, or a paper's row."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special

from zoo.board import paired, published, rows, statistics, store
from zoo.board.explained import higher_is_better, metric_order
from zoo.board.paired import Difference
from zoo.board.published import Published, Reported
from zoo.board.rows import Row
from zoo.errors import ZooError, unknown
from zoo.record import ExplanationRow, Figure, Record

_PUBLISHED = "published:"
_SHOWN = 5
"""How many episodes, or queries, are listed."""


class Part(NamedTuple):
    """One line of a comparison."""

    name: str
    a: Figure
    b: Figure
    difference: Difference
    holm: float
    """p corrected over the parts (classes) it stands among; its own p where it stands alone"""


class Apart(NamedTuple):
    """An episode, or an explained query, and how far the two are apart in it."""

    name: str
    a: float
    b: float


class Comparison(NamedTuple):
    """Everything `zoo compare` says."""

    titles: tuple[str, str]
    metric: str
    whole: Part
    classes: list[Part]
    apart: list[Apart]
    """Where they differ most, the widest first; empty where there is nothing to pair"""
    unit: str
    """What `apart` lists: episode or query"""
    notes: list[str]
    explained: list[Part]
    """By each other metric of explanation that both have of the same queries"""


def compare(a: str, b: str, metric: str, papers: Published) -> Comparison:
    """A less B. Raises ZooError, one line, where the two cannot be compared or the metric is not there."""
    sides = [_side(text, papers) for text in (a, b)]
    match sides:
        case [Reported(), Reported()]:
            raise ZooError("two papers' rows share no episodes to compare; give a record for one of them")
        case [Row() as row, Reported() as reported]:
            return _with_paper(row, reported, metric, 1)
        case [Reported() as reported, Row() as row]:
            return _with_paper(row, reported, metric, -1)
    first, second = (side for side in sides if isinstance(side, Row))
    _same_bank(first, second, (a, b))
    notes = _notes(first, second)
    explained = _by_explanation(first, second, metric)
    titles = _title(first, metric, bool(explained)), _title(second, metric, bool(explained))
    if all(len(row.values(metric)) == len(row.seeds) for row in (first, second)):
        return _accuracy(first, second, metric, titles, notes, explained)
    return _explained(first, second, metric, titles, notes, explained)


def _side(text: str, papers: Published) -> Row | Reported:
    if text.startswith(_PUBLISHED):
        return _paper(text, papers)
    path = Path(text)
    records = [store.read(file) for file in (sorted(path.rglob("*.json")) if path.is_dir() else [path])]
    found = [row for board in rows.boards(records) for row in rows.rows(board)]
    if len(found) != 1:
        what = "no record" if not found else f"records of {len(found)} rows"
        raise ZooError(f"{text}: holds {what}; give one record, or the folder of one row's training seeds")
    return found[0]


def _paper(text: str, papers: Published) -> Reported:
    known = {reported.row.method or "": reported for reported in papers.rows() if reported.row.method}
    name = text.removeprefix(_PUBLISHED)
    if name not in known:
        raise unknown("published row", name, known, "zoo compare --help")
    return known[name]


def _same_bank(a: Row, b: Row, names: tuple[str, str]) -> None:
    one, other = a.first, b.first
    for what, same in (
        ("classes", one.classes == other.classes),
        ("images", one.provenance.item_set_sha256 == other.provenance.item_set_sha256),
        ("bank", one.provenance.bank_sha256 == other.provenance.bank_sha256),
    ):
        if not same:
            raise ZooError(
                f"{names[0]} and {names[1]}: their {what} differ ({one.benchmark}, {other.benchmark}), "
                "so nothing pairs them; run both on one benchmark"
            )


def _notes(a: Row, b: Row) -> list[str]:
    notes = ["Intervals cover support draws and images; variation between patients is not covered."]
    counts = len(a.seeds), len(b.seeds)
    if min(counts) == 1:
        notes.append(f"Training seeds: {counts[0]} and {counts[1]}; of a single one nothing follows for others.")
    if a.first.provenance.benchmark_sha256 != b.first.provenance.benchmark_sha256:
        notes.append("The two were measured by different protocol files on the same bank and images.")
    if a.first.transductive != b.first.transductive:
        notes.append("One is transductive, the other is not: they are ranked apart on the boards.")
    return notes


def _title(row: Row, metric: str, explained: bool = False) -> str:
    record = row.first
    explains = (explained or higher_is_better(metric) is not None) and record.explainer
    name = record.method + (f" + {record.explainer}" if explains else "")
    seeds = ", ".join(str(one.seed) for one in row.seeds)
    several = "s" if len(row.seeds) > 1 else ""
    return f"{name}, {record.backbone}, {record.labels_seen} labels seen, seed{several} {seeds}"


def _accuracy(
    a: Row, b: Row, metric: str, titles: tuple[str, str], notes: list[str], explained: list[Part]
) -> Comparison:
    whole = _part(a, b, metric, False)
    classes = [_part(a, b, name, True) for name in a.first.classes if a.class_figure(name) and b.class_figure(name)]
    by_episode = [row.episode_accuracy.mean(0) for row in (a, b)]
    if explained:
        notes = [*notes, *_other_classifier(a, b)]
    elif all(_own(_explaining(row)) for row in (a, b)):
        notes = [*notes, "Their explanations are not compared: they explain different queries."]
    return Comparison(titles, metric, whole, _corrected(classes), _widest(*by_episode), "episode", notes, explained)


def _part(a: Row, b: Row, name: str, of_class: bool) -> Part:
    figures = [row.class_figure(name) if of_class else row.figure(name) for row in (a, b)]
    assert figures[0] is not None
    assert figures[1] is not None
    found = paired.difference(a, b, name, of_class)
    return Part(name, figures[0], figures[1], found, found.p)


def _explained(
    a: Row, b: Row, metric: str, titles: tuple[str, str], notes: list[str], explained: list[Part]
) -> Comparison:
    one, other = (_own_explanation(row, metric) for row in (a, b))
    records = [_explaining(row) for row in (a, b)]
    items = [record.explanations.items if record.explanations else [] for record in records]
    if items[0] != items[1]:
        raise ZooError(f"{metric}: the two explained other queries, so nothing pairs them; run both on one benchmark")
    groups = statistics.clusters(items[0], records[0].predictions)
    notes = [
        "Intervals cover the explained images; other support draws, seeds and patients are not covered.", *notes[1:],
        f"{'Higher' if higher_is_better(metric) else 'Lower'} is better.",
    ]  # fmt: skip
    whole, notes = _explanation_part(one, other, metric, groups), [*notes, *_other_classifier(a, b)]
    values = (np.array(row.values[metric]) for row in (one, other))
    return Comparison(titles, metric, whole, [], _widest(*values, names=items[0]), "query", notes, explained)


def _explanation_part(one: ExplanationRow, other: ExplanationRow, metric: str, groups: np.ndarray) -> Part:
    found = paired.explained_difference(np.array(one.values[metric]), np.array(other.values[metric]), groups)
    return Part(metric, one.figures[metric], other.figures[metric], found, found.p)


def _by_explanation(a: Row, b: Row, but: str) -> list[Part]:
    """By every metric of explanation, save one, that both rows have of the same queries."""
    records = [_explaining(row) for row in (a, b)]
    owned = [_own(record) for record in records]
    items = [record.explanations.items if record.explanations else [] for record in records]
    if None in owned or items[0] != items[1]:
        return []
    own, groups = [row for row in owned if row], statistics.clusters(items[0], records[0].predictions)
    shared = [metric for metric in metric_order(own) if all(row.values.get(metric) for row in own)]
    others = (metric for metric in shared if metric != but and higher_is_better(metric) is not None)
    parts = [_explanation_part(own[0], own[1], metric, groups) for metric in others]
    return _corrected(parts)


def _corrected(parts: list[Part]) -> list[Part]:
    """With p corrected after Holm over all of them."""
    corrected = paired.holm(np.array([part.difference.p for part in parts]))
    return [part._replace(holm=float(p)) for part, p in zip(parts, corrected, strict=True)]


def _other_classifier(a: Row, b: Row) -> list[str]:
    one, other = _explaining(a), _explaining(b)
    same = one.provenance.trained_sha256 == other.provenance.trained_sha256 and one.method == other.method
    return [] if same else ["The two explain different classifiers, which moves such figures too."]


def _explaining(row: Row) -> Record:
    return next((record for record in row.records if record.explanations), row.first)


def _own(record: Record) -> ExplanationRow | None:
    return record.explanations.rows[record.explainer] if record.explanations and record.explainer else None


def _own_explanation(row: Row, metric: str) -> ExplanationRow:
    record = _explaining(row)
    own = _own(record)
    if own is None or metric not in own.values:
        known = [*row.first.figures, *(own.values if own else ())]
        raise unknown(f"metric of {record.method}", metric, known, "zoo list metrics")
    return own


def _with_paper(row: Row, reported: Reported, metric: str, sign: int) -> Comparison:
    """Against a paper's row there is nothing to pair: the errors of both are added."""
    if row.first.dataset != reported.paper.dataset:
        images = f"{reported.row.title} was measured on {reported.paper.dataset}, the record on {row.first.dataset}"
        raise ZooError(f"{store.one_line(images)}; give a record of {reported.paper.dataset}")
    said = published.uncertain(reported.row, metric)
    figure = row.figure(metric)
    if said is None or figure is None:
        known = [name for name in row.first.figures if name in reported.row.figures]
        raise unknown(f"metric of {reported.row.title}", metric, known, "zoo leaderboard")
    whole = _unpaired(metric, figure, said, sign)
    classes = []
    for name in row.first.classes:
        own, theirs = row.class_figure(name), published.uncertain(reported.row, name, of_class=True)
        if own and theirs:
            classes.append(_unpaired(name, own, theirs, sign))
    corrected = paired.holm(np.array([part.difference.p for part in classes]))
    classes = [part._replace(holm=float(p)) for part, p in zip(classes, corrected, strict=True)]
    same = published.same_setting(row.first, reported)
    notes = [
        "A paper's predictions are not known, so nothing is paired: its interval is binomial, of the images it tested, "
        "and says nothing of its support draws.",
        "The same method, backbone, images and protocol." if same else "Another set-up: this is no reproduction.",
    ]
    paper = f"{reported.row.title}, {reported.row.backbone_title} ({reported.paper.authors} {reported.paper.year})"
    titles = (_title(row, metric), paper) if sign > 0 else (paper, _title(row, metric))
    return Comparison(titles, metric, whole, _corrected(classes), [], "episode", notes, [])


def _unpaired(name: str, own: Figure, theirs: Figure, sign: int) -> Part:
    """Ours less theirs (or the other way round), its error from the widths of both intervals."""
    a, b = (own, theirs) if sign > 0 else (theirs, own)
    value, normal = a.value - b.value, float(special.ndtri(0.975))
    low = value - float(np.hypot(a.value - a.low, b.high - b.value))
    high = value + float(np.hypot(a.high - a.value, b.value - b.low))
    error = (high - low) / 2 / normal
    p = float(2 * special.ndtr(-abs(value) / error)) if error > 0 else float(value == 0)
    found = Difference(Figure(value=value, low=low, high=high), p, error * (normal + float(special.ndtri(0.8))))
    return Part(name, a, b, found, p)


def _widest(a: np.ndarray, b: np.ndarray, names: list[str] | None = None) -> list[Apart]:
    order = np.argsort(-np.abs(a - b), kind="stable")[:_SHOWN]
    called = names or [str(number + 1) for number in range(len(a))]
    return [Apart(called[n], float(a[n]), float(b[n])) for n in order.tolist() if a[n] != b[n]]
