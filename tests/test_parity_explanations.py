"""The tables of explainers and explanation metrics beside their references keep what they say."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo import registry

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "parity"))
pytest.importorskip("quantus", reason="Quantus is a development dependency")
pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam is a development dependency")
parity: Any = importlib.import_module("explanations")


@pytest.mark.parametrize("row", parity.EXPLAINERS, ids=lambda row: f"{row.explainer}-{row.reference}-{row.compared}")
def test_explainers_are_as_near_as_they_promise(row: Any) -> None:
    found = parity.compare_maps(row)
    assert parity.keeps(row, found), found
    assert found.varied >= 0.5


@pytest.mark.parametrize("row", parity.METRICS, ids=lambda row: f"{row.metric}-{row.reference}-{row.compared}")
def test_metrics_order_explanations_as_they_promise(row: Any) -> None:
    found = parity.compare_numbers(row)
    assert parity.holds(row, found), found


def test_every_explainer_and_metric_has_a_row() -> None:
    shown = [name for name in registry.own("explainers") if not registry.plugin("explainers", name).floor]
    assert {row.explainer for row in parity.EXPLAINERS} | {*parity.ALONE} == {*shown}
    assert not {row.explainer for row in parity.EXPLAINERS} & {*parity.ALONE}
    assert {row.metric for row in parity.METRICS} == {*registry.own("metrics/explanation")}


def test_the_committed_tables_have_these_rows() -> None:
    lines = (ROOT / "leaderboard" / "parity_explanations.md").read_text("utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    rows = [*parity.EXPLAINERS, *parity.METRICS]
    names = [row.explainer if isinstance(row, parity.ExplainerRow) else row.metric for row in rows]
    said = [(name, row.reference, row.compared, row.differs or "same formula")
            for name, row in zip(names, rows, strict=True)]  # fmt: skip
    found = [(line[0].strip("`").split()[0], line[1], line[2], line[-1]) for line in cells]
    assert found == said, "run `python benchmarks/parity/explanations.py`"
    for line, row in zip(cells, rows, strict=True):
        assert float(line[-2]) >= (row.least if row.differs else 1), line[0]


def test_hardly_two_pixels_of_an_explanation_are_equal() -> None:
    """Ties are broken at random, so a reference would put them in another order."""
    explained, _ = parity.asked()
    for name, seen in explained.items():
        assert all(len(one.unique()) >= 0.99 * one.numel() for one in seen.saliency), name


def test_another_formula_keeps_no_promise() -> None:
    hires = next(row for row in parity.EXPLAINERS if row.explainer == "hires_cam")
    assert not parity.keeps(hires, parity.compare_maps(hires._replace(explainer="grad_cam")))
    mass = next(row for row in parity.METRICS if row.metric == "relevance_mass")
    assert not parity.holds(mass, parity.compare_numbers(mass._replace(metric="pxap")))
