"""Agreement between metrics of explanation, and of a metric with itself on other images."""

import numpy as np
import pytest
from records import explained, record
from scipy.stats import kendalltau

from zoo.board import exports, reliability, tables
from zoo.board.explained import Block, blocks, ranks_by
from zoo.board.published import Published
from zoo.board.rows import boards
from zoo.record import ExplanationRow

IMAGES = 40


def block(values: dict[str, np.ndarray], groups: np.ndarray | None = None) -> Block:
    """Of metric -> (rows, images); a row of NaN has not this metric."""
    count = len(next(iter(values.values())))
    rows = [
        (f"explainer_{row}", ExplanationRow.model_construct(
            values={name: [] if np.isnan(found[row]).all() else found[row].tolist() for name, found in values.items()},
            figures=dict.fromkeys(values),
        ))
        for row in range(count)
    ]  # fmt: skip
    return Block(record(), np.arange(IMAGES) if groups is None else groups, rows)


def drawn(levels: list[float], seed: int, noise: float = 1.0) -> np.ndarray:
    return np.array(levels)[:, None] + noise * np.random.default_rng(seed).normal(size=(len(levels), IMAGES))


def test_tau_is_scipy_s_of_the_means() -> None:
    """Ties among them."""
    values = {"insertion": drawn([1, 2, 3, 4, 5, 5], 0), "pointing_game": drawn([2, 1, 3, 3, 6, 5], 1)}
    values["pointing_game"][2] = values["pointing_game"][3]
    found = reliability.agreement(block(values))
    assert found is not None
    (tau,) = found.pairs.values()
    theirs, _ = kendalltau(*(one.mean(1) for one in values.values()))
    assert tau.value == pytest.approx(theirs)
    assert tau.low <= tau.value <= tau.high


def test_lower_is_better_is_turned_round() -> None:
    clear = drawn([1, 2, 3, 4, 5], 0, 0.01)
    found = reliability.agreement(block({"deletion": -clear, "insertion": clear}))
    assert found is not None
    assert found.pairs["deletion", "insertion"].value == 1
    assert [half.value for half in found.halves] == [1, 1]


def test_noise_agrees_with_nothing_and_not_with_itself() -> None:
    found = reliability.agreement(block({"insertion": drawn([0] * 6, 0), "sparseness": drawn([0] * 6, 1)}))
    assert found is not None
    tau = found.pairs["insertion", "sparseness"]
    assert tau.low < 0 < tau.high
    assert all(half.low < 0 < half.high and abs(half.value) < 0.6 for half in found.halves)


def test_halves_never_part_an_image_from_its_duplicate() -> None:
    """Every image is there twice: were copies parted, both halves would have the same order."""
    half = drawn([0] * 8, 3)[:, : IMAGES // 2]
    twice = {"insertion": np.repeat(half, 2, 1), "sparseness": drawn([0] * 8, 4)}
    whole, apart = (
        reliability.agreement(block(twice, groups)) for groups in (np.arange(IMAGES) // 2, np.arange(IMAGES))
    )
    assert whole is not None
    assert apart is not None
    assert apart.halves[0].value > whole.halves[0].value + 0.1


def test_pairs_compare_the_explainers_that_both_metrics_have() -> None:
    values = {name: drawn([1, 2, 3, 4, 5, 6], seed, 0.01) for seed, name in enumerate(("insertion", "mprt", "road"))}
    values["mprt"][:1] = values["road"][4:] = np.nan
    found = reliability.agreement(block(values))
    assert found is not None
    assert found.metrics == ["insertion", "mprt"], "road ranks four"
    assert found.pairs["insertion", "mprt"].value == 1
    few = {"insertion": drawn([1, 2, 3, 4], 0), "sparseness": drawn([1, 2, 3, 4], 1)}
    assert reliability.agreement(block(few)) is None


def test_nothing_is_ranked_by_pseudo_masks() -> None:
    assert ranks_by("pseudo_jaccard") is None
    assert ranks_by("saliency_jaccard") is True
    assert ranks_by("deletion") is False
    clear = drawn([1, 2, 3, 4, 5], 0, 0.01)
    assert reliability.agreement(block({"pseudo_jaccard": clear, "insertion": clear})) is None


def test_the_board_says_whether_metrics_agree() -> None:
    made = record(explainer="siamcam")
    assert made.explanations is not None
    names = ["siamcam", "random", "centre", "sobel", "otsu"]
    rows = explained(names, made.explanations.items)
    made = made.model_copy(update={"explanations": rows})
    (board,) = boards([made])
    (one,) = blocks(board)
    found = reliability.agreement(one)
    assert found is not None
    files = tables.leaderboard([made], Published(()))
    page = files[f"{made.benchmark}.md"]
    assert "### Do the metrics agree?" in page
    name = next(file for file in files if file.endswith(".reliability.csv"))
    assert name in exports.names(made.benchmark)
    assert f"({name})" in page
    assert files[name].count("the other half") == len(found.metrics)
    assert len(files[name].splitlines()) == 1 + len(found.metrics) + len(found.pairs)
