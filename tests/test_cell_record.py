"""Records of cells: what they keep, what they refuse, and what may enter the leaderboard."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_records import ATTRIBUTES, PROTOCOL, record, table

from zoo import registry
from zoo.board import store as episode_store
from zoo.board.cells import figures, store, submit
from zoo.cell_record import MOST_ROWS, CellRecord, Columns, cell_record_key, folds_hash
from zoo.cell_table import Table
from zoo.errors import ZooError
from zoo.packing import pack_draws, pack_numbers, unpack_numbers

PROTOCOLS = {"toy_fields": PROTOCOL}
GOOD = record(wrong=0.3)


def changed(**changes: Any) -> CellRecord:
    return CellRecord.model_validate(GOOD.model_dump() | changes)


def with_column(name: str, change: Callable[[np.ndarray], Any]) -> CellRecord:
    """The record with one packed column changed; its figures stay what they were."""
    content = GOOD.model_dump()
    numbers = unpack_numbers(content["cells"][name])
    change(numbers)
    content["cells"][name] = pack_numbers(numbers)
    return CellRecord.model_validate(content)


def test_columns_come_back_as_they_were() -> None:
    made, _ = table(30, wrong=0.4)
    back = Columns.pack(made).table(len(ATTRIBUTES))
    for name, stored, given in zip(Table._fields, back, made, strict=True):
        if given.dtype.kind == "f":
            steps = 20 if "ratio" in name else 1  # N/C of a fraction near 1 magnifies its rounding
            assert np.allclose(stored, given, rtol=0, atol=steps / 65_534, equal_nan=True), name
        else:
            assert (stored == given).all(), name


def test_columns_of_other_lengths_are_refused() -> None:
    made, _ = table(5)
    packed = Columns.pack(made)
    with pytest.raises(ValueError, match="found_label has 2 numbers"):
        packed.model_copy(update={"found_label": pack_numbers([1, 2])}).table(2)
    with pytest.raises(ValueError, match="true_nc has 3 rows"):
        packed.model_copy(update={"true_nc": pack_draws(np.zeros(3))}).table(2)
    with pytest.raises(ValueError, match="damaged"):
        packed.model_copy(update={"field": "eJw="}).table(2)
    with pytest.raises(ValueError, match="too many for a record"):
        Columns.pack(Table(*(np.repeat(column[:1], MOST_ROWS + 1, 0) for column in made)))


def test_a_record_keeps_every_figure_and_floor() -> None:
    assert set(GOOD.figures) == set(registry.own("metrics/cell"))
    assert set(GOOD.attribute_figures) == {"granularity", "nucleus_shape"}
    assert {len(values) for values in GOOD.fold_figures.values()} == {2}
    for name, figure in GOOD.figures.items():
        assert figure.low <= figure.value <= figure.high
        assert figures.metric(name).value(figures.table(GOOD)) == pytest.approx(figure.value)
    assert set(GOOD.floors) == {"majority", "class"}
    assert set(GOOD.floors["majority"]) == {
        "cell_accuracy", "field_accuracy", "nc_nmse", "nc_nmse_variance", "ratio_nmse", "attribute_accuracy",
        "attribute_macro_f1", "attribute_within_class_accuracy",
    }  # fmt: skip
    assert "cell_accuracy" not in GOOD.floors["class"]


def test_floors_by_hand() -> None:
    """The commonest class of the other fold, of every cell; the share of cells that have it."""
    made, truth = table(40, wrong=0.3)
    folds = np.arange(40) % 2
    labels = [np.concatenate([truth[field].labels for field in np.flatnonzero(folds == fold)]) for fold in (0, 1)]
    right = [(labels[fold] == np.bincount(labels[1 - fold]).argmax()).sum() for fold in (0, 1)]
    assert GOOD.floors["majority"]["cell_accuracy"].value == pytest.approx(sum(right) / made.real.sum())
    nc = [np.concatenate([truth[field].nc for field in np.flatnonzero(folds == fold)]) for fold in (0, 1)]
    errors = sum(((nc[1 - fold].mean() - nc[fold]) ** 2).sum() for fold in (0, 1))
    wanted = errors / sum((values**2).sum() for values in nc)
    assert GOOD.floors["majority"]["nc_nmse"].value == pytest.approx(wanted, abs=1e-5)


def test_the_record_of_each_fold_is_that_of_its_fields() -> None:
    made = figures.table(GOOD)
    part = made.of_fields(np.array(GOOD.folds) == 1)
    assert GOOD.fold_figures["cell_jaccard"][1] == pytest.approx(figures.metric("cell_jaccard").value(part))


def test_intervals_hold_for_groups_of_fields() -> None:
    """Forty fields of forty patients, or of two: the same figure with another interval, and the same one each time."""
    pairs = record(wrong=0.3, groups=[number // 20 for number in range(40)])
    assert pairs.figures["cell_accuracy"].value == GOOD.figures["cell_accuracy"].value
    two, forty = (one.figures["cell_accuracy"] for one in (pairs, GOOD))
    assert {two.low, two.high} != {forty.low, forty.high}
    again = record(wrong=0.3)
    assert again.figures == GOOD.figures


def test_the_key_says_what_was_chosen() -> None:
    assert GOOD.key == cell_record_key("toy_fields", "conv4", "cellnet", GOOD.settings_sha256)
    assert GOOD.key.startswith("cells/toy_fields/conv4/cellnet/")
    for change in ({"seed": 3}, {"model_settings": {"epochs": 31}}, {"height": 64}):
        assert changed(**change).key != GOOD.key
    assert changed(labels_seen=61).key == GOOD.key


def test_folds_hash_does_not_depend_on_the_order_of_fields() -> None:
    assert folds_hash(["a", "b"], [0, 1]) == folds_hash(["b", "a"], np.array([1, 0])) != folds_hash(["a", "b"], [1, 0])


def test_written_and_read_back(tmp_path: Path) -> None:
    path = store.write(GOOD, tmp_path)
    assert path == tmp_path / GOOD.key
    assert store.read(path) == GOOD
    assert store.find(tmp_path) == [GOOD]
    assert store.is_cells(path)
    assert not store.is_cells(tmp_path / "none.json")
    assert path.read_text().count("\n") == len(CellRecord.model_fields) + 2
    assert episode_store.find(tmp_path) == []  # a board of episodes does not trip over it
    with pytest.raises(ZooError, match="not a valid record"):
        episode_store.read(path)


def test_records_beside_a_run_are_not_mistaken_for_others(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[1]")
    assert not store.is_cells(tmp_path / "other.json")
    with pytest.raises(ZooError, match=r"other.json: not a valid record: "):
        store.read(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fields": []}, "fields: there is none"),
        ({"groups": [0]}, "differ in length"),
        ({"fields": ["a"] * 40}, "one is named twice"),
        ({"folds": [0] * 40}, "other folds have fields"),
        ({"folds": [7, *GOOD.folds[1:]]}, "other folds have fields"),
        ({"classes": ["a", "b"]}, "not one of each class"),
        ({"attributes": []}, "a class or a word is out of range"),
        ({"schema_version": 2}, "schema_version"),
        ({"kind": "episodes"}, "kind"),
        ({"extra": 1}, "extra"),
        ({"model": "../x"}, "model"),
        ({"floors": {"<b>": {}}}, "floors"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    content = json.loads(episode_store.dumps(GOOD)) | changes
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(ZooError, match=says) as refused:
        store.read(tmp_path / "record.json")
    assert "\n" not in str(refused.value)


def test_a_good_record_is_accepted_and_written(tmp_path: Path) -> None:
    path = store.write(GOOD, tmp_path / "runs")
    assert list(submit.problems(GOOD, PROTOCOLS)) == []
    accepted = submit.accept([path], tmp_path / "records", PROTOCOLS)
    assert store.write(accepted[0], tmp_path / "records").read_bytes() == path.read_bytes()
    with pytest.raises(ZooError, match="is the same row as"):
        submit.accept([path, Path(shutil.copy(path, tmp_path / "again.json"))], tmp_path / "records", PROTOCOLS)


def _raise(at: int, by: int = 1) -> Callable[[np.ndarray], None]:
    def change(numbers: np.ndarray) -> None:
        numbers[at] += by

    return change


FIRST_SPURIOUS = int(np.flatnonzero(figures.table(GOOD).spurious)[0])
FIRST_MISSED = int(np.flatnonzero(~figures.table(GOOD).seen)[0])
FIRST_PAIR = int(np.flatnonzero(figures.table(GOOD).seen & figures.table(GOOD).real)[0])


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (changed(benchmark="other"), "unknown benchmark 'other'"),
        (changed(seed=-1), "seed: -1 is too small"),
        (changed(dataset="=1+1"), "would be a formula"),
        (changed(dataset="toy\x1b[31m"), "holds control characters"),
        (changed(fields=["../" + name for name in GOOD.fields]), "is not a path inside the dataset"),
        (changed(classes=["a", "a", "b"]), "classes: one is named twice"),
        (changed(model_settings={"a": {"b": 1}}), "is no plain value"),
        (changed(folds=[1 - fold for fold in GOOD.folds]), "is not that of the record's fields and folds"),
        (with_column("field", _raise(-1)), "the number of a field is out of range"),
        (with_column("field", _raise(0, 3)), "rows are not in the order of their fields"),
        (with_column("true_label", _raise(FIRST_SPURIOUS)), "a true class is out of range"),
        (with_column("found_label", _raise(FIRST_MISSED)), "a found class is out of range"),
        (with_column("found_label", _raise(FIRST_PAIR, 9)), "a found class is out of range"),
        (with_column("true_attributes", _raise(FIRST_PAIR, 9)), "a true word is out of range"),
        (with_column("found_attributes", _raise(FIRST_MISSED)), "a missed cell has a found attribute"),
        (with_column("flags", _raise(FIRST_PAIR, -3)), "a row has neither"),
        (with_column("flags", _raise(FIRST_MISSED, 4)), "a flag has no cell"),
        (with_column("score", _raise(FIRST_MISSED, -9)), "a score stands where nothing was found"),
        (with_column("cell_jaccard", _raise(FIRST_PAIR, -9)), "figures.cell_jaccard: value says"),
        (with_column("found_nc", _raise(FIRST_PAIR, -300)), "figures.nc_nmse: "),
        (with_column("found_nc", _raise(FIRST_MISSED, 9)), "a missed cell has an N:C"),
    ],
)
def test_what_does_not_follow_is_refused(made: CellRecord, says: str) -> None:
    found = list(submit.problems(made, PROTOCOLS))
    assert any(says in line for line in found), found
    assert all(line.isprintable() for line in found)


def test_more_right_cells_than_a_field_has_are_refused() -> None:
    def all_hit(flags: np.ndarray) -> None:
        flags[flags >> 1 & 1 > 0] |= 4

    assert any(
        "more found cells of a class are right" in line
        for line in submit.problems(with_column("flags", all_hit), PROTOCOLS)
    )


def test_figures_that_are_made_up_are_refused() -> None:
    content = GOOD.model_dump()
    content["figures"]["cell_accuracy"]["value"] += 0.01
    content["attribute_figures"]["granularity"]["attribute_accuracy"]["high"] += 0.01
    content["attribute_floors"]["class"]["nucleus_shape"]["attribute_accuracy"]["low"] -= 0.01
    content["floors"]["majority"]["nc_nmse"]["value"] -= 0.01
    content["fold_figures"]["cell_accuracy"][0] = 1.0
    content["figures"]["beauty"] = content["figures"]["cell_accuracy"]
    del content["figures"]["box_jaccard"]
    found = "; ".join(submit.problems(CellRecord.model_validate(content), PROTOCOLS))
    for place in (
        "figures.cell_accuracy: value", "attribute_figures.granularity.attribute_accuracy: high",
        "attribute_floors.class.nucleus_shape.attribute_accuracy: low", "floors.majority.nc_nmse: value",
        "fold_figures.cell_accuracy", "figures.beauty does not follow", "figures.box_jaccard is missing",
    ):  # fmt: skip
        assert place in found


def test_a_changed_benchmark_and_other_folds_are_refused(tmp_path: Path) -> None:
    assert any("has changed since" in line for line in submit.problems(GOOD, {"toy_fields": "c" * 64}))
    store.write(GOOD, tmp_path)
    other = record(seed=1, folds=4)
    path = store.write(other, tmp_path / "runs")
    with pytest.raises(ZooError, match=r"folds .* are not .*, which .* made of the same fields"):
        submit.accept([path], tmp_path, PROTOCOLS)


def test_damaged_columns_and_bombs_are_one_line() -> None:
    bomb = pack_numbers(np.zeros(10_000_000, np.uint16))
    for name in ("field", "score", "true_attributes"):
        content = GOOD.model_dump()
        content["cells"][name] = bomb
        found = list(submit.problems(CellRecord.model_validate(content), PROTOCOLS))
        assert len(found) == 1
        assert found[0].startswith("cells: packed text is damaged or too long; run again")


def test_too_many_words_and_cells_are_refused_before_they_are_counted() -> None:
    content = GOOD.model_dump()
    content["attributes"][0]["values"] = [str(number) for number in range(200_000)]
    found = list(submit.problems(CellRecord.model_validate(content), PROTOCOLS))
    assert found == ["cells, classes, attributes and words are too many together"]


def test_what_no_record_can_hold_is_one_line() -> None:
    with pytest.raises(ZooError, match=r"the cells cannot be recorded: .*model") as refused:
        record(model="no/name")
    assert "\n" not in str(refused.value)
