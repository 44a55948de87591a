"""Drawing of smear cells, on one core.

Run by hand: OMP_NUM_THREADS=1 uv run pytest benchmarks/speed/test_smear.py
"""

from pytest_benchmark.fixture import BenchmarkFixture

from zoo.data import smear


def test_a_hundred_cells(benchmark: BenchmarkFixture) -> None:
    """Of every class in turn. The fastest of the rounds is what an undisturbed core does."""
    kinds = smear.CLASSES

    def draw() -> None:
        for seed in range(100):
            smear.cell(kinds[seed % len(kinds)], 1000 + seed)

    benchmark.pedantic(draw, rounds=15, warmup_rounds=1)
    assert benchmark.stats
    benchmark.extra_info["cells_per_second"] = 100 / benchmark.stats["min"]
    assert benchmark.stats["min"] < 1
