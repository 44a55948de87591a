"""Metrics of cells beside scikit-learn, torchmetrics and numbers worked out by hand."""

import numpy as np
import pytest
from cell_records import SIDE, cells, drawn, seen, table
from sklearn.metrics import accuracy_score, f1_score

from zoo import registry
from zoo.cell_metric import AttributeMetric, CellMetric
from zoo.cell_table import Table, joined, rows
from zoo.cells import Cells, none

NAMES = registry.own("metrics/cell")
RANDOM = np.random.default_rng(0)


def metric(name: str) -> CellMetric:
    return registry.build("metrics/cell", name)


def attribute_metric(name: str) -> AttributeMetric:
    found = metric(name)
    assert isinstance(found, AttributeMetric)
    return found


def value(name: str, made: Table) -> float:
    return metric(name).value(made)


@pytest.fixture(scope="module")
def made() -> Table:
    return table(80, wrong=0.3)[0]


@pytest.fixture(scope="module")
def hand() -> Table:
    """Field 0: one cell found right, one missed, one spurious. Field 1: one cell found with a wrong class and word."""
    first = rows(
        cells([(0, 0, 10, 10), (20, 20, 30, 30)], [2, 1], None, [[1, 2], [0, 0]], [(0, 0, 5, 10), (20, 20, 24, 30)]),
        cells(
            [(0, 0, 10, 8), (35, 35, 43, 43)], [2, 0], [0.9, 0.3], [[1, 0], [1, 1]], [(0, 0, 5, 4), (35, 35, 36, 36)]
        ),
        0,
    )
    second = rows(
        cells([(0, 0, 10, 10)], [1], None, [[-1, 1]], [(0, 0, 8, 10)]),
        cells([(0, 0, 10, 10)], [0], [0.8], [[1, 1]], [(0, 0, 6, 10)]),
        1,
    )
    return joined([first, second])


BY_HAND = [
    ("cell_accuracy", 1 / 4),  # right, missed, spurious, wrong
    ("field_accuracy", 1 / 2),
    ("cell_jaccard", (0.8 + 0 + 0 + 1) / 4),
    ("box_jaccard", (0.8 + 0 + 0 + 1) / 4),
    ("nucleus_jaccard", (20 / 50 + 0 + 0 + 60 / 80) / 4),
    ("nucleus_dice", (40 / 70 + 0 + 0 + 120 / 140) / 4),
    # true 50 (right half of 10 x 10), found 80 - 20 = 60, shared 40; then 20 true, 40 found, shared 20
    ("cytoplasm_jaccard", (40 / 70 + 0 + 0 + 20 / 40) / 4),
    ("cytoplasm_dice", (2 * 40 / 110 + 0 + 0 + 2 * 20 / 60) / 4),
    ("nc_nmse", (0.25**2 + 0.4**2 + 0.2**2) / (0.5**2 + 0.4**2 + 0.8**2)),
    ("nc_nmse_variance", (0.25**2 + 0.4**2 + 0.2**2) / np.square(np.array([0.5, 0.4, 0.8]) - 1.7 / 3).sum()),
    ("ratio_nmse", ((1 - 1 / 3) ** 2 + (2 / 3) ** 2 + (4 - 1.5) ** 2) / (1 + (2 / 3) ** 2 + 16)),
    # granularity: right, missed, spurious of 3; nucleus shape: wrong, missed, spurious, right of 4
    ("attribute_accuracy", (1 / 3 + 1 / 4) / 2),
    # granularity: "yes" 2 * 1 / (1 + 2), "no" 0; shapes: round 0, bent 2 * 1 / (1 + 2), lobed 0
    ("attribute_macro_f1", ((2 / 3 + 0) / 2 + (0 + 2 / 3 + 0) / 3) / 2),
    # of class 1 the shapes are round (missed) and bent (right); nothing else varies inside a class
    ("attribute_within_class_accuracy", 1 / 2),
    # class 2: found at once; class 1: never; class 0 has no true cell
    ("average_precision", (1 + 0) / 2),
]


@pytest.mark.parametrize(("name", "wanted"), BY_HAND)
def test_by_hand(hand: Table, name: str, wanted: float) -> None:
    assert value(name, hand) == pytest.approx(wanted)


def test_every_metric_is_worked_out_by_hand_and_says_what_it_is() -> None:
    assert sorted(name for name, _ in BY_HAND) == NAMES
    for name in NAMES:
        assert registry.summary("metrics/cell", name)
        assert registry.declared("metrics/cell", name, "higher_is_better") is ("nmse" not in name)
        assert metric(name).needs_masks == any(part in name for part in ("cell_j", "nucleus", "cytoplasm", "nmse"))


def test_each_attribute_alone(hand: Table) -> None:
    assert attribute_metric("attribute_accuracy").each(hand).tolist() == pytest.approx([1 / 3, 1 / 4])
    within = attribute_metric("attribute_within_class_accuracy").each(hand)
    assert np.allclose(within, [np.nan, 1 / 2], equal_nan=True)


def test_accuracies_beside_scikit_learn(made: Table) -> None:
    assert value("cell_accuracy", made) == pytest.approx(accuracy_score(made.true_label, made.found_label))
    each = attribute_metric("attribute_accuracy").each(made)
    f1 = attribute_metric("attribute_macro_f1").each(made)
    for place in range(2):
        true, found = made.true_attributes[:, place], made.found_attributes[:, place]
        words = np.unique(true[true >= 0])
        assert each[place] == pytest.approx(accuracy_score(true, found))
        assert f1[place] == pytest.approx(f1_score(true, found, labels=words, average="macro"))


def test_within_class_accuracy_is_the_mean_of_scikit_learn_s_over_classes(made: Table) -> None:
    each = attribute_metric("attribute_within_class_accuracy").each(made)
    for place in range(2):
        true, found = made.true_attributes[:, place], made.found_attributes[:, place]
        parts = [(true[made.true_label == one], found[made.true_label == one]) for one in range(3)]
        wanted = [accuracy_score(*part) for part in parts if len(np.unique(part[0])) > 1]
        assert (np.isnan(each[place]) and not wanted) or each[place] == pytest.approx(np.mean(wanted))


def test_masks_beside_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

    truth = drawn(3)
    found = seen(truth, 3, wrong=0)
    made = rows(truth, found)
    assert truth.masks is not None
    assert found.masks is not None
    for column, least, most in (
        (made.cell_jaccard, 1, 2),
        (made.nucleus_jaccard, 2, 2),
        (made.cytoplasm_jaccard, 1, 1),
    ):
        for row, (true, other) in enumerate(zip(truth.masks, found.masks, strict=True)):
            one, both = (torch.from_numpy((mask >= least) & (mask <= most)).int() for mask in (other, true))
            assert column[row] == pytest.approx(float(binary_jaccard_index(one, both)))
            dice = 2 * column[row] / (1 + column[row])
            assert dice == pytest.approx(float(binary_f1_score(one, both)))


def crowd(number: int, classes: int = 4) -> tuple[Cells, Cells]:
    """A crowded field: cells that overlap, found ones shifted, doubled, of wrong classes, and some where nothing is."""
    random = np.random.default_rng(number)
    count = int(random.integers(0, 6))
    corners = random.integers(0, 30, (count, 2))
    boxes = np.concatenate([corners, corners + random.integers(6, 16, (count, 2))], 1)
    labels = random.integers(0, classes, count)
    again = np.concatenate([np.arange(count), random.integers(0, max(count, 1), 3)[: count and 3]]).astype(int)
    shifted = boxes[again] + random.uniform(-3, 3, (len(again), 4))
    stray = random.uniform(0, 24, (2, 2))
    every = np.concatenate([shifted, np.concatenate([stray, stray + random.uniform(4, 20, (2, 2))], 1)])
    said = np.where(random.random(len(again)) < 0.7, labels[again], random.integers(0, classes, len(again)))
    said = np.concatenate([said, random.integers(0, classes, 2)])
    found = none(0)._replace(
        labels=said, boxes=every.astype(np.float32), attributes=np.zeros((len(said), 0), np.int64),
        scores=random.random(len(said)).astype(np.float32),
    )  # fmt: skip
    truth = none(0)._replace(
        labels=labels, boxes=boxes.astype(np.float32), attributes=np.zeros((count, 0), np.int64),
        scores=np.ones(count, np.float32),
    )  # fmt: skip
    return truth, found


@pytest.mark.parametrize("start", [0, 1000, 2000])
def test_average_precision_is_torchmetrics(start: int) -> None:
    import torch
    from torchmetrics.detection import MeanAveragePrecision

    recalls = np.linspace(0, 1, 101).tolist()  # torchmetrics' own are rounded to single precision
    reference = MeanAveragePrecision(iou_thresholds=[0.5], rec_thresholds=recalls)
    tables = []
    for number in range(start, start + 60):
        truth, found = crowd(number)
        tables.append(rows(truth, found, number - start))
        sides = [
            {name: torch.from_numpy(getattr(side, name)) for name in ("boxes", "labels", "scores")}
            for side in (found, truth)
        ]
        reference.update(sides[:1], sides[1:])
    wanted = float(reference.compute()["map"])
    assert 0.05 < wanted < 0.95
    assert value("average_precision", joined(tables)) == pytest.approx(wanted, abs=1e-6)


def test_average_precision_does_not_depend_on_the_order_of_equal_scores() -> None:
    truth = cells([(0, 0, 10, 10)], [1])
    wrong = cells([(30, 30, 40, 40)], [1], [0.5])
    right = cells([(0, 0, 10, 10)], [1], [0.5])
    both = [rows(truth, right, 0), rows(none(2, SIDE, SIDE), wrong, 1)]
    assert (
        value("average_precision", joined(both)) == value("average_precision", joined(both[::-1])) == pytest.approx(0.5)
    )


def test_cells_of_unknown_class_enter_no_figure_of_classes() -> None:
    truth = cells([(0, 0, 20, 20), (30, 30, 40, 40)], [-1, 1])
    found = cells([(0, 0, 20, 20), (30, 30, 40, 40)], [0, 1], [0.9, 0.5])
    made = rows(truth, found)
    assert value("cell_accuracy", made) == 1
    assert value("average_precision", made) == pytest.approx(1)
    assert value("cell_jaccard", made) == 1
    assert np.isnan(value("field_accuracy", made))  # the class of the largest cell is not known


def test_field_accuracy_asks_for_the_largest_found_cell_wherever_it_is() -> None:
    truth = cells([(0, 0, 20, 20), (30, 30, 40, 40)], [2, 1])
    assert value("field_accuracy", rows(truth, cells([(40, 0, 44, 4)], [2]))) == 1
    assert value("field_accuracy", rows(truth, truth._replace(scores=np.array([0.2, 0.3])))) == 1
    assert value("field_accuracy", rows(truth, cells([(0, 0, 20, 20), (0, 0, 40, 40)], [2, 1]))) == 0
    equals = cells([(0, 0, 20, 20), (30, 20, 50, 40)], [1, 2], [0.2, 0.3])  # the most certain of equals
    assert value("field_accuracy", rows(truth, equals)) == 1
    assert value("field_accuracy", rows(truth, none(2, SIDE, SIDE))) == 0
    assert np.isnan(value("field_accuracy", rows(none(2, SIDE, SIDE), truth)))


def test_a_missed_cell_is_found_as_zero_and_a_spurious_one_is_no_error_of_nc() -> None:
    truth = cells([(0, 0, 10, 10)], [0], nuclei=[(0, 0, 5, 10)])
    stray = cells([(30, 30, 40, 40)], [0], nuclei=[(30, 30, 33, 33)])
    assert value("nc_nmse", rows(truth, none(2, SIDE, SIDE))) == 1
    assert value("nc_nmse", joined([rows(truth, truth, 0), rows(none(2, SIDE, SIDE), stray, 1)])) == 0
    assert np.isnan(value("nc_nmse_variance", rows(truth, truth)))  # one cell has no variance


@pytest.mark.parametrize("name", NAMES)
def test_nothing_found_is_worst_and_the_truth_is_best(name: str) -> None:
    truth = [drawn(number) for number in range(12)]
    best = value(name, joined([rows(one, one, number) for number, one in enumerate(truth)]))
    worst = value(name, joined([rows(one, none(2, SIDE, SIDE), number) for number, one in enumerate(truth)]))
    if metric(name).higher_is_better:
        assert best == pytest.approx(1)
        assert worst == 0
    else:
        assert best == 0
        assert worst >= 1


@pytest.mark.parametrize("name", NAMES)
def test_spurious_cells_never_help(name: str) -> None:
    truth = [drawn(number, most=2) for number in range(12)]
    truth = [one._replace(scores=one.scores * np.float32(0.9)) for one in truth]
    stray = cells([(40, 40, 46, 46)], [0], [0.99], [[0, 0]], [(41, 41, 43, 43)])
    more = [
        Cells(*(np.concatenate([np.asarray(a), np.asarray(b)]) for a, b in zip(one, stray, strict=True)))
        for one in truth
    ]
    clean, dirty = (
        value(
            name,
            joined([rows(one, found, number) for number, (one, found) in enumerate(zip(truth, side, strict=True))]),
        )
        for side in (truth, more)
    )
    if name in ("attribute_within_class_accuracy", "field_accuracy", "nc_nmse", "nc_nmse_variance", "ratio_nmse"):
        assert dirty == clean
    elif metric(name).higher_is_better:
        assert dirty < clean
    else:
        assert dirty > clean


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repeated_fields_and_resamples_are_weights(made: Table, name: str) -> None:
    counts = np.random.default_rng(1).integers(0, 4, (80, 5))
    found = metric(name)
    drawn_values = found.values(made, counts)
    for column, got in zip(counts.T, drawn_values, strict=True):
        again = np.concatenate([np.flatnonzero(made.field == field) for field in np.repeat(np.arange(80), column)])
        fields = np.repeat(np.arange(column.sum()), np.bincount(made.field)[np.repeat(np.arange(80), column)])
        repeated = Table(*(values[again] for values in made))._replace(field=fields)
        assert got == pytest.approx(found.value(repeated), abs=1e-12)
        assert got == pytest.approx(found.value(made.weighted(column)), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_count_is_no_figure(name: str) -> None:
    empty = rows(none(2, SIDE, SIDE), none(2, SIDE, SIDE))
    assert np.isnan(value(name, empty))
    assert np.isnan(value(name, table(4)[0].weighted(np.zeros(4))))
    without = rows(none(0), none(0))
    assert np.isnan(value(name, without))


def test_a_thousand_resamples_take_seconds(made: Table) -> None:
    """Of 3,000 rows: less than half a minute on a busy machine, a tenth of that on an idle one."""
    import time

    many = joined([made._replace(field=made.field + 80 * copy) for copy in range(3000 // len(made.field) + 1)])
    counts = np.random.default_rng(0).poisson(1, (many.field.max() + 1, 1000)).astype(float)
    start = time.process_time()
    for name in NAMES:
        assert metric(name).values(many, counts).shape == (1000,)
    assert time.process_time() - start < 20
