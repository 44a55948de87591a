"""Pairing of true and found cells, and the rows that follow, worked out by hand."""

import numpy as np
import pytest
from cell_records import SIDE, cells, drawn, seen, table

from zoo.cell_floors import constants, says
from zoo.cell_table import Table, box_iou, joined, paired, ratio, rows
from zoo.cells import Cells, none


def test_iou_of_boxes() -> None:
    """10 x 10 boxes that share 5 x 10: 50 / 150; touching edges share nothing; an empty box has no area."""
    a = np.array([[0, 0, 10, 10]])
    b = np.array([[5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 10, 10], [3, 3, 3, 9]])
    assert box_iou(a, b)[0].tolist() == [1 / 3, 0, 1, 0]


def test_a_pair_a_missed_one_and_a_spurious_one() -> None:
    nuclei = [(0, 0, 5, 10), (20, 20, 25, 28)]
    truth = cells([(0, 0, 10, 10), (20, 20, 30, 30)], [2, 1], attributes=[[1, 2], [0, 0]], nuclei=nuclei)
    found = cells(
        [(35, 35, 45, 45), (0, 0, 10, 8)], [0, 2], [0.9, 0.6], [[1, 1], [1, 0]], [(35, 35, 45, 40), (0, 0, 5, 8)]
    )
    made = rows(truth, found, 7)
    assert made.field.tolist() == [7, 7, 7]
    assert made.real.tolist() == [True, True, False]
    assert made.seen.tolist() == [True, False, True]
    assert made.true_label.tolist() == [2, 1, -1]
    assert made.found_label.tolist() == [2, -1, 0]
    assert np.allclose(made.score, [0.6, np.nan, 0.9], equal_nan=True)
    assert made.hit.tolist() == [True, False, False]
    assert made.largest.tolist() == [True, False, False]  # the first of two of 100 pixels
    assert made.largest_found.tolist() == [False, False, True]
    assert made.box_jaccard.tolist() == [0.8, 0, 0]
    assert made.cell_jaccard.tolist() == [0.8, 0, 0]
    assert made.nucleus_jaccard.tolist() == [40 / 50, 0, 0]
    assert made.cytoplasm_jaccard.tolist() == [40 / 50, 0, 0]
    assert np.allclose(made.true_nc, [0.5, 0.4, np.nan], equal_nan=True)
    assert made.found_nc.tolist() == [0.5, 0, 0.5]
    assert np.allclose(made.true_ratio, [1, 0.4 / 0.6, np.nan], equal_nan=True)
    assert made.found_ratio.tolist() == [1, 0, 1]
    assert made.true_attributes.tolist() == [[1, 2], [0, 0], [-1, -1]]
    assert made.found_attributes.tolist() == [[1, 0], [-1, -1], [1, 1]]
    assert made.weight.tolist() == [1, 1, 1]
    assert paired(truth, found) == [(0, 1)]


def test_a_pair_below_one_half_keeps_its_jaccard_and_is_missed_and_spurious() -> None:
    """6 of 14 rows shared: IoU 6 / 14 = 0.43."""
    made = rows(
        cells([(0, 0, 10, 10)], [1], nuclei=[(0, 0, 4, 4)]), cells([(0, 4, 10, 14)], [1], nuclei=[(0, 4, 4, 8)])
    )
    assert made.real.tolist() == [True, False]
    assert made.seen.tolist() == [False, True]
    assert np.allclose(made.cell_jaccard, [6 / 14, np.nan], equal_nan=True)
    assert np.allclose(made.box_jaccard, [6 / 14, np.nan], equal_nan=True)
    assert np.allclose(made.nucleus_jaccard, [0, np.nan], equal_nan=True)
    assert made.found_label.tolist() == [-1, 1]
    assert made.found_nc[0] == 0
    assert not made.hit.any()


def test_one_half_is_enough() -> None:
    """10 x 10 inside 10 x 20: exactly 0.5."""
    made = rows(cells([(0, 0, 10, 20)], [1]), cells([(0, 0, 10, 10)], [1]))
    assert made.real.tolist() == made.seen.tolist() == made.hit.tolist() == [True]


def test_masks_pair_before_boxes() -> None:
    """Two triangles of one square have the same box; only their masks tell them apart."""
    upper, lower = (np.triu(np.ones((20, 20), np.uint8)), np.tril(np.ones((20, 20), np.uint8), -1))
    masks = np.zeros((2, SIDE, SIDE), np.uint8)
    masks[0, :20, :20], masks[1, :20, :20] = upper, lower
    truth = cells([(0, 0, 20, 20)] * 2, [0, 1])._replace(masks=masks)
    found = truth._replace(masks=masks[::-1], labels=np.array([1, 0]))
    assert paired(truth, found) == [(0, 1), (1, 0)]
    assert rows(truth, found).true_label.tolist() == rows(truth, found).found_label.tolist()


def test_the_assignment_is_the_best_of_all_not_the_first_that_fits() -> None:
    """The first true cell overlaps both found ones, the second only one of them: greedily it would be left alone."""
    truth = cells([(0, 0, 10, 10), (0, 3, 10, 13)], [0, 1])
    found = cells([(0, 1, 10, 11), (0, 0, 10, 9)], [1, 0])
    assert paired(truth, found) == [(0, 1), (1, 0)]


def test_without_true_masks_boxes_pair_and_masks_have_no_figure() -> None:
    made = rows(cells([(0, 0, 10, 10)], [1], masked=False), cells([(0, 0, 10, 10), (20, 20, 30, 30)], [1, 0]))
    assert made.seen.tolist() == [True, True]
    assert made.box_jaccard.tolist() == [1, 0]
    for values in (made.cell_jaccard, made.nucleus_jaccard, made.cytoplasm_jaccard, made.true_nc, made.true_ratio):
        assert np.isnan(values).all()


def test_a_cell_that_nobody_drew_among_drawn_ones() -> None:
    truth = cells([(0, 0, 10, 10), (20, 20, 30, 30)], [1, 0])
    assert truth.masks is not None
    truth.masks[1] = 0
    made = rows(truth, cells([(0, 0, 10, 10), (20, 20, 30, 30)], [1, 0]))
    assert made.seen.tolist() == [True, True]
    assert np.allclose(made.cell_jaccard, [1, np.nan], equal_nan=True)


def test_a_model_without_masks_has_found_none_of_them() -> None:
    made = rows(cells([(0, 0, 10, 10)], [1], nuclei=[(0, 0, 5, 5)]), cells([(0, 0, 10, 10)], [1], masked=False))
    assert made.seen.tolist() == [True]
    assert (made.box_jaccard[0], made.cell_jaccard[0], made.nucleus_jaccard[0], made.found_nc[0]) == (1, 0, 0, 0)


def test_no_cells_on_either_side() -> None:
    one = cells([(0, 0, 10, 10)], [1])
    nothing = none(2, SIDE, SIDE)
    assert len(rows(nothing, nothing).field) == 0
    assert rows(one, nothing).seen.tolist() == [False]
    spurious = rows(nothing, one)
    assert spurious.real.tolist() == [False]
    assert spurious.cell_jaccard.tolist() == [0]
    assert spurious.largest_found.tolist() == [True]
    assert len(joined([rows(one, nothing), rows(nothing, nothing, 1), spurious]).field) == 2
    with pytest.raises(ValueError, match="no field"):
        joined([])


def test_sizes_that_do_not_fit_are_refused() -> None:
    one = cells([(0, 0, 10, 10)], [1])
    assert one.masks is not None
    with pytest.raises(ValueError, match="masks: true ones"):
        rows(one, one._replace(masks=one.masks[:, :5]))
    with pytest.raises(ValueError, match="attributes"):
        rows(one, one._replace(attributes=np.zeros((1, 3), np.int64)))


def test_ratio() -> None:
    """0.75 / 0.25 = 3; a cell that is all nucleus has no ratio."""
    assert np.allclose(ratio(np.array([0, 0.5, 0.75, 1, np.nan])), [0, 1, 3, np.nan, np.nan], equal_nan=True)


def test_a_found_cell_without_cytoplasm_counts_as_a_ratio_of_zero() -> None:
    whole = cells([(0, 0, 10, 10)], [1], nuclei=[(0, 0, 10, 10)])
    half = cells([(0, 0, 10, 10)], [1], nuclei=[(0, 0, 5, 10)])
    assert (rows(half, whole).found_nc[0], rows(half, whole).found_ratio[0]) == (1, 0)
    assert np.isnan(rows(whole, half).true_ratio[0])


def test_hits_are_greedy_by_score_within_a_class() -> None:
    """Of two found cells on one true cell the surer is right, the other wrong, whichever overlaps more."""
    truth = cells([(0, 0, 10, 10)], [1])
    found = cells([(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 10)], [1, 1, 0], [0.5, 0.9, 0.99])
    made = rows(truth, found)
    by_score = {round(float(score), 2): hit for score, hit in zip(made.score, made.hit, strict=True)}
    assert by_score == {0.5: False, 0.9: True, 0.99: False}


def test_of_fields_and_weighted() -> None:
    made, _ = table(5)
    part = made.of_fields(np.array([False, True, False, True, False]))
    assert set(part.field.tolist()) == {1, 3}
    assert made.weighted(np.array([0, 2, 0, 1, 0])).weight.tolist() == [
        {1: 2, 3: 1}.get(field, 0) for field in made.field.tolist()
    ]


def test_every_cell_stands_in_one_row() -> None:
    for number in range(30):
        truth = drawn(number)
        found = seen(truth, number, wrong=0.4)
        made = rows(truth, found)
        assert made.real.sum() == len(truth.labels)
        assert made.seen.sum() == len(found.labels)
        assert (made.real | made.seen).all()
        assert sorted(made.score[made.seen]) == pytest.approx(sorted(found.scores.tolist()))


def test_floors_say_what_training_says() -> None:
    """Classes 0, 1, 1; N:C 0.25, 0.5, 0.75 and so N/C 1/3, 1, 3; words (1, 2), (1, 0), (0, 2)."""
    boxes = [(0, 0, 10, 10), (0, 12, 10, 22), (0, 24, 10, 34)]
    nuclei = [(0, 0, 10, 2), (0, 12, 10, 17), (0, 24, 10, 31)]
    train = cells(boxes, [0, 1, 1], attributes=[[1, 2], [1, 0], [0, -1]], nuclei=nuclei)
    said = constants([train, none(2, SIDE, SIDE)], 3, 2)
    assert said.every.label == 1
    assert said.every.nc == pytest.approx((0.2 + 0.5 + 0.7) / 3)
    assert said.every.ratio == pytest.approx((0.25 + 1 + 0.7 / 0.3) / 3)
    assert said.every.words == [1, 0]
    assert said.classes[0].words == [1, 2]
    assert (said.classes[1].label, said.classes[1].words) == (1, [0, 0])
    assert said.classes[1].nc == pytest.approx(0.6)
    assert said.classes[2] == said.every
    nothing = constants([none(2)], 1, 2).every
    assert (nothing.label, nothing.nc, nothing.ratio, nothing.words) == (-1, None, None, [-1, -1])


def test_floors_find_every_true_cell_and_say_the_constants_of_its_fold() -> None:
    def trained(label: int, word: int) -> Cells:
        return cells([(0, 0, 10, 10)], [label], attributes=[[word, word]], nuclei=[(0, 0, 10, 2 + 4 * word)])

    made = joined(
        [
            rows(trained(1, 0), cells([(20, 20, 30, 30)], [0]), 0),
            rows(trained(0, 1), none(2, SIDE, SIDE), 1),
            rows(trained(-1, 1), none(2, SIDE, SIDE), 1),
        ]
    )
    of_folds = [constants([trained(1, 1)], 2, 2), constants([trained(0, 0), trained(0, 0), trained(1, 1)], 2, 2)]
    floor = says("majority", made, np.array([0, 1]), of_folds)
    assert floor.real.tolist() == floor.seen.tolist() == [True, True, True]
    assert floor.found_label.tolist() == [1, 0, 0]
    assert floor.found_nc == pytest.approx([0.6, (0.2 + 0.2 + 0.6) / 3, (0.2 + 0.2 + 0.6) / 3])
    assert floor.found_ratio[1] == pytest.approx((0.25 + 0.25 + 1.5) / 3)
    assert floor.found_attributes.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert np.isnan(floor.cell_jaccard).all()
    told = says("class", made, np.array([0, 1]), of_folds)
    assert told.found_nc == pytest.approx([0.6, 0.2, (0.2 + 0.2 + 0.6) / 3])  # of unknown class: as for every cell


def test_the_table_s_columns_are_all_as_long() -> None:
    made, _ = table(8)
    assert {len(column) for column in made} == {len(made.field)}
    assert Table._fields[-1] == "weight"
