"""Intervals hold a known truth and tests keep their level: the simulations of benchmarks/coverage, fewer of them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from scipy import stats

FILE = Path(__file__).parents[1] / "benchmarks" / "coverage" / "simulate.py"
SIMULATIONS = 120


@pytest.fixture(scope="module")
def simulate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["simulate"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LEAST = stats.binom.ppf(0.001, SIMULATIONS, 0.935) / SIMULATIONS
"""Seen by chance once in 1,000 where the true share is 93.5 %"""
MOST = stats.binom.ppf(0.999, SIMULATIONS, 0.06) / SIMULATIONS


@pytest.mark.parametrize("number", [0, 3, 5, 7])
def test_intervals_hold_the_truth(simulate: ModuleType, number: int) -> None:
    assert simulate.coverage(simulate.SETTINGS[number], SIMULATIONS) >= LEAST


def test_intervals_over_episodes_alone_do_not(simulate: ModuleType) -> None:
    assert simulate.episode_only(simulate.SETTINGS[0], SIMULATIONS) < 0.75


def test_equal_rows_are_told_apart_in_one_case_of_twenty(simulate: ModuleType) -> None:
    assert simulate.false_positives(simulate.SETTINGS[0], 2, SIMULATIONS) <= MOST


def test_any_of_five_equal_rows_no_more_often(simulate: ModuleType) -> None:
    assert simulate.false_positives(simulate.SETTINGS[0], 5, SIMULATIONS // 2) <= 0.17


@pytest.mark.parametrize("explainers", [2, 5])
def test_equal_explainers_are_told_apart_in_one_case_of_twenty(simulate: ModuleType, explainers: int) -> None:
    assert simulate.explained_false_positives(explainers, SIMULATIONS) <= MOST
