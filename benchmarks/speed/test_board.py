"""Boards: figures of banks of real size, and the tables and the site of very many records.

Run by hand: uv run pytest benchmarks/speed/test_board.py
"""

from pathlib import Path

import numpy as np
import pytest
import sites
from pytest_benchmark.fixture import BenchmarkFixture
from records import drawn, predictions, record

from zoo import paths
from zoo.board import published, statistics, tables
from zoo.board.site import build
from zoo.record import BankSpec, Record


def pbc() -> Record:
    return record(predictions=drawn(0, 0.97, 8, 160, 6), classes=list("abcdefgh"), benchmark="pbc_8way_5shot")


@pytest.mark.parametrize(("episodes", "items", "each"), [(100, 4000, 3960), (600, 4000, 120)])
def test_figures_of_a_bank(benchmark: BenchmarkFixture, episodes: int, items: int, each: int) -> None:
    """`all` and `standard` banks of PBC, from the packed predictions to every interval."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 8, items)
    queries = [random.permutation(items)[:each] for _ in range(episodes)]
    answers = [np.where(random.random(each) < 0.95, truth[q], random.integers(0, 8, each)) for q in queries]
    found = predictions(truth.tolist(), [(q.tolist(), a.tolist()) for q, a in zip(queries, answers, strict=True)])
    bank = BankSpec(kind="all", way=8, shot=5, episodes=episodes)
    whole, _ = benchmark.pedantic(statistics.figures, (found, list("abcdefgh"), bank), rounds=3, warmup_rounds=1)
    assert whole["accuracy"].value == pytest.approx(0.956, abs=0.01)
    assert benchmark.stats
    assert benchmark.stats["median"] < 2


@pytest.mark.parametrize("count", [500, 1000])
def test_a_table_of_many_records(benchmark: BenchmarkFixture, count: int) -> None:
    made = pbc()
    records = [made.model_copy(update={"seed": n % 5, "method": f"method{n // 5}"}) for n in range(count)]
    papers = published.load(paths.published())
    files = benchmark.pedantic(tables.leaderboard, (records, papers), rounds=2)
    assert f"method{count // 5 - 1}" in "".join(files.values())
    assert benchmark.stats
    assert benchmark.stats["median"] < 10


def test_a_site_of_many_records(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    bases = [sites.toy(5, "stn", 0.8, seed) for seed in range(4)]
    settings = [{"method_settings": {"margin": float(n)}, "benchmark": f"toy_{n % 5}"} for n in range(50)]
    root = sites.write(tmp_path / "records", *(base.model_copy(update=some) for some in settings for base in bases))

    def both() -> None:
        tables.build(root, tmp_path / "board")
        build.build(root, tmp_path / "out")

    benchmark.pedantic(both, rounds=1)
    assert len(list((tmp_path / "out/rows").iterdir())) == 50
    assert benchmark.stats
    assert benchmark.stats["median"] < 10
