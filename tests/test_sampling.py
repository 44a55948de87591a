"""Episodes drawn from training items: ways, shots and queries as asked, nothing twice, and clear refusals."""

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.sampling import episodic

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), 20))


def drawn(labels: np.ndarray = LABELS, way: int = 4, shot: int = 2, batch: int = 28, seed: int = 0) -> list[np.ndarray]:
    return list(episodic(labels, way, shot, batch, np.random.default_rng(seed)))


def test_classes_stand_in_blocks_in_ascending_order() -> None:
    for batch in drawn():
        blocks = LABELS[batch].reshape(4, 7)
        assert (blocks == blocks[:, :1]).all()
        assert (np.diff(blocks[:, 0]) > 0).all()


def test_no_item_twice_in_an_episode() -> None:
    assert all(len(np.unique(batch)) == 28 for batch in drawn())


def test_an_epoch_draws_about_as_many_items_as_there_are() -> None:
    assert len(drawn()) == 120 // 28
    assert len(drawn(way=6, batch=120)) == 1


def test_all_classes_and_items_take_turns() -> None:
    batches = [batch for seed in range(30) for batch in drawn(seed=seed)]
    counts = np.bincount(np.concatenate(batches), minlength=len(LABELS))
    assert counts.min() > 0.5 * counts.mean()


def test_same_seed_same_episodes() -> None:
    assert np.array_equal(drawn(), drawn())
    assert not np.array_equal(drawn(), drawn(seed=1))


def test_fewer_classes_than_ways_leave_more_queries() -> None:
    labels = np.repeat([3, 8], 20)
    [batch] = drawn(labels, way=8, shot=5, batch=40)
    assert labels[batch].tolist() == [3] * 20 + [8] * 20


def test_small_classes_set_the_size_and_too_small_ones_stay_out() -> None:
    labels = np.repeat([0, 1, 2], [20, 4, 2])
    for batch in drawn(labels, way=3, shot=2, batch=30):
        assert labels[batch].tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("labels", "batch", "says"),
    [(np.repeat([0, 1], [20, 2]), 28, "fewer than two training classes have 3 images"), (LABELS, 11, "batch=12")],
)
def test_what_cannot_be_drawn_is_said(labels: np.ndarray, batch: int, says: str) -> None:
    with pytest.raises(ZooError, match=says):
        drawn(labels, batch=batch)
