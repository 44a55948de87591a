"""The table of methods beside their references keeps what it says."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "parity"))
pytest.importorskip("easyfsl", reason="easyfsl is a development dependency")
methods: Any = importlib.import_module("methods")


@pytest.mark.parametrize("row", methods.COMPARISONS, ids=lambda row: f"{row.method}-{row.reference}-{row.compared}")
def test_same_formula_same_predictions(row: Any) -> None:
    share = methods.agreement(row, episodes=3)
    assert share == 1 if not row.differs else 0.2 < share < 1


def test_the_committed_table_has_these_rows() -> None:
    file = Path(__file__).resolve().parents[1] / "leaderboard" / "parity_methods.md"
    lines = file.read_text("utf-8").splitlines()
    for row in methods.COMPARISONS:
        found = [line for line in lines if line.startswith(f"| `{row.method}") and f"| {row.compared} |" in line]
        assert found, f"{row.method}: run `python benchmarks/parity/methods.py`"
        assert all(row.differs or "| 100.00 % |" in line for line in found)


def test_few_queries_are_left_out_for_ties() -> None:
    """Of `knn`, the one row that leaves any out."""
    row = next(row for row in methods.COMPARISONS if row.method == "knn")
    compared = [float((row.theirs(support, query) >= 0).float().mean()) for support, query in methods.made_up(3, 3)]
    assert sum(compared) / len(compared) > 0.5
