"""Figures against hand counts, scikit-learn and the binomial law; intervals against theory (test_coverage.py
simulates)."""


import numpy as np
import pytest
from records import predictions
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score

from zoo.board import resampling, statistics
from zoo.errors import ZooError
from zoo.packing import pack_draws, pack_numbers, unpack_draws
from zoo.record import BankSpec, Predictions

CLASSES = ["a", "b", "c"]


def bank(episodes: int, way: int = 3) -> BankSpec:
    return BankSpec(kind="all", way=way, shot=1, episodes=episodes)


def crossed(correct: np.ndarray, classes: int = 1) -> Predictions:
    """From correctness (episodes, items): a wrong answer is the next class."""
    truth = np.arange(correct.shape[1]) % classes
    found = np.where(correct, truth, truth + 1)
    return predictions(truth.tolist(), [(range(len(truth)), row.tolist()) for row in found])


def test_hand_counted_figures() -> None:
    # Two episodes of unequal length: 3/4 right, then 1/2 right.
    found = predictions([0, 0, 1, 1], [([0, 1, 2, 3], [0, 0, 1, 0]), ([0, 2], [1, 1])])
    whole, by_class = statistics.figures(found, CLASSES, bank(2))
    assert whole["accuracy"].value == pytest.approx((3 / 4 + 1 / 2) / 2)
    # class a: 2 of 3 predictions, class b: 2 of 3; class c has no item and is left out.
    assert {name: figure.value for name, figure in by_class.items()} == pytest.approx({"a": 2 / 3, "b": 2 / 3})
    assert whole["mean_class_accuracy"].value == pytest.approx(2 / 3)
    # a: TP 2, 3 items, 3 predictions; b the same.
    assert whole["macro_f1"].value == pytest.approx(4 / 6)
    accuracies = statistics.episode_accuracy(statistics.unpack(found, CLASSES, bank(2)))
    assert accuracies.tolist() == [0.75, 0.5]
    assert statistics.spread(accuracies) == (0.5, 0.625, 0.75)


def test_figures_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(0, 3, 50)
    episodes = [(random.permutation(50)[:20], random.integers(0, 3, 20)) for _ in range(7)]
    found = predictions(truth.tolist(), [(query.tolist(), answer.tolist()) for query, answer in episodes])
    whole, _ = statistics.figures(found, CLASSES, bank(7))
    asked, answered = (np.concatenate(part) for part in zip(*episodes, strict=True))
    assert whole["mean_class_accuracy"].value == pytest.approx(balanced_accuracy_score(truth[asked], answered))
    assert whole["macro_f1"].value == pytest.approx(f1_score(truth[asked], answered, average="macro"))
    assert whole["accuracy"].value == pytest.approx(np.mean(truth[asked] == answered))


def test_one_episode_has_the_binomial_interval() -> None:
    right = np.zeros((1, 400), bool)
    right[:, :320] = True
    figure = statistics.figures(crossed(right), CLASSES, bank(1))[0]["accuracy"]
    half = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert figure.value == pytest.approx(0.8)
    assert figure.low == pytest.approx(0.8 - half, abs=0.006)
    assert figure.high == pytest.approx(0.8 + half, abs=0.006)


def test_repeating_the_same_images_does_not_narrow_the_interval() -> None:
    right = np.arange(400) < 320
    one = statistics.figures(crossed(right[None]), CLASSES, bank(1))[0]["accuracy"]
    many = statistics.figures(crossed(np.tile(right, (50, 1))), CLASSES, bank(50))[0]["accuracy"]
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)


def test_duplicates_are_drawn_together() -> None:
    right = np.arange(400) % 2 == 0
    pairs = np.arange(400) % 200
    apart = predictions([0] * 400, [(range(400), (~right).astype(int).tolist())])
    together = apart.model_copy(update={"groups": pairs.tolist()})
    alone, paired = (statistics.figures(found, CLASSES, bank(1))[0]["accuracy"] for found in (apart, together))
    assert (paired.high - paired.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(2), rel=0.1)


def test_images_of_one_episode_only_are_drawn_with_it() -> None:
    # 100 episodes of 20 fresh images each: the exact interval is the binomial one of 2,000 answers.
    random = np.random.default_rng(0)
    right = random.random((100, 20)) < 0.8
    queries = np.arange(2000).reshape(100, 20)
    answers = np.where(right, 0, 1)
    found = predictions([0] * 2000, [(q.tolist(), a.tolist()) for q, a in zip(queries, answers, strict=True)])
    figure = statistics.figures(found, CLASSES, bank(100))[0]["accuracy"]
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 2000), rel=0.2)


def test_the_same_figures_every_time_whatever_runs_before() -> None:
    found = crossed(np.random.default_rng(0).random((5, 40)) < 0.7, classes=2)
    first = statistics.figures(found, CLASSES, bank(5))
    np.random.default_rng().random(7)
    assert statistics.figures(found, CLASSES, bank(5)) == first
    # Pinned: raw bits of PCG64 and whole-number sums are the same on every machine and numpy.
    assert first[0]["accuracy"].low == pytest.approx(0.495, abs=1e-12)


def test_mean_interval_and_paired_difference() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(0.5, 0.2, 500)
    better = shared - 0.1 + random.normal(0, 0.01, 500)
    mean = statistics.mean_interval(shared)
    assert mean.value == pytest.approx(shared.mean())
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * shared.std() / np.sqrt(500), rel=0.1)
    lower = statistics.paired_difference(better, shared, higher_is_better=False)
    assert lower.value == pytest.approx(0.1, abs=0.002)
    assert lower.high - lower.low < (mean.high - mean.low) / 5
    assert statistics.paired_difference(better, shared, higher_is_better=True).value == pytest.approx(-lower.value)


@pytest.mark.parametrize("groups", [np.arange(7), np.array([0, 0, 1, 1, 1, 2, 2])])
def test_median_interval_is_that_of_the_resampled_values(groups: np.ndarray) -> None:
    values = np.random.default_rng(0).normal(size=7)
    drawn = resampling.group_draws(groups).astype(int)
    medians = [np.median(np.repeat(values, counts)) for counts in drawn.T]
    found = statistics.median_interval(values, groups)
    assert found.value == np.median(values)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(medians, (0.025, 0.975))))
    with pytest.raises(ZooError, match="no explained item"):
        statistics.median_interval([])


def test_explanation_figures_are_signed_by_what_is_better() -> None:
    values = {"deletion": [0.1, 0.3], "insertion": [0.6, 0.8]}
    random = {"deletion": [0.4, 0.4], "insertion": [0.5, 0.5]}
    better = {"deletion": False, "insertion": True}
    means, against = statistics.explanation_figures(values, random, better)
    assert [means["deletion"].value, means["insertion"].value] == pytest.approx([0.2, 0.7])
    assert [against["deletion"].value, against["insertion"].value] == pytest.approx([0.2, 0.2])
    assert statistics.explanation_figures(random, None, better)[1] == {}


def test_images_explained_twice_count_once() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.2, 100)
    once = statistics.mean_interval(values)
    twice = statistics.mean_interval(np.tile(values, 2), np.tile(np.arange(100), 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    apart = statistics.mean_interval(np.tile(values, 2))
    assert (twice.high - twice.low) / (apart.high - apart.low) == pytest.approx(np.sqrt(2), rel=0.1)


def test_draws_come_back_and_belong_to_the_figure() -> None:
    right = np.random.default_rng(0).random((5, 40)) < 0.7
    figure = statistics.figures(crossed(right), CLASSES, bank(5))[0]["accuracy"]
    drawn = statistics.draws(figure)
    assert len(drawn) == 1000
    assert np.quantile(drawn, (0.025, 0.975)) == pytest.approx([figure.low, figure.high], abs=2e-5)
    with pytest.raises(ZooError, match="damaged"):
        statistics.draws(figure.model_copy(update={"draws": "abcd"}))
    other = figure.model_copy(update={"draws": pack_draws(drawn + 0.001)})
    assert statistics.same_draws(figure, figure.model_copy(update={"draws": ""}))
    assert not statistics.same_draws(figure, other)
    nothing = np.array([0.0, 1.0, np.nan])
    assert unpack_draws(pack_draws(nothing)) == pytest.approx(nothing, nan_ok=True)


def test_seeds_are_a_further_level() -> None:
    random, values = np.random.default_rng(0), np.array([0.80, 0.82, 0.87])
    certain = statistics.over_seeds(values, np.repeat(values[:, None], 1000, 1))
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert (certain.value, certain.low, certain.high) == pytest.approx((0.83, 0.83 - half, 0.83 + half), abs=0.005)
    # Without a spread of the seeds the bank's own is left.
    noise = random.normal(0, 0.01, 1000)
    same = statistics.over_seeds(np.full(3, 0.8), np.tile(0.8 + noise, (3, 1)))
    assert (same.low, same.high) == pytest.approx(tuple(np.quantile(0.8 + noise, (0.025, 0.975))))
    both = statistics.over_seeds(values, values[:, None] + noise)
    assert certain.high - certain.low < both.high - both.low < certain.high - certain.low + same.high - same.low


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"query": "!!"}, "damaged"),
        ({"query": pack_numbers(np.array([0, 9]))}, "item number is out of range"),
        ({"predicted": pack_numbers(np.array([0, 3]))}, "predicted class is out of range"),
        ({"predicted": pack_numbers(np.array([0]))}, "differ in length"),
        ({"lengths": [3, -1]}, "no query"),
        ({"lengths": [1, 1, 0]}, "3 episodes, but the bank has 2"),
        ({"truth": [0, 7]}, "class of an item is out of range"),
        ({"truth": [0, -1]}, "class of an item is out of range"),
        ({"truth": [0]}, "truth and groups differ"),
        ({"groups": [0, 10**30]}, "damaged"),
        ({"lengths": [2**62, 2**62, 2**62, 2**62 + 2]}, "4 episodes"),
        ({"lengths": [-2, 4]}, "no query"),
        ({"items": ["a", "b", "c"], "truth": [0, 1, 1], "groups": [0, 1, 2]}, "never queried"),
        ({"items": ["a", "a"]}, "named twice"),
        ({"query": pack_numbers(np.array([])), "predicted": pack_numbers(np.array([])), "lengths": []}, "none"),
    ],
)
def test_crafted_predictions_are_refused(change: dict, says: str) -> None:
    good = predictions([0, 1], [([0], [0]), ([1], [1])])
    with pytest.raises(ZooError, match=says):
        statistics.figures(good.model_copy(update=change), CLASSES, bank(2))
