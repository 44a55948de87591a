"""Fixtures of the whole suite: no test touches the user's cache or data, and real data are asked for by name."""

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread each, set before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"
REAL_DATA = Path(os.environ.get("ZOO_TEST_DATA") or SHARED / "data")
REAL_WEIGHTS = Path(os.environ.get("ZOO_TEST_WEIGHTS") or SHARED / "weights")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty data root, and one cache for the whole session."""
    monkeypatch.setenv("ZOO_DATA", str(tmp_path_factory.getbasetemp() / "no data"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real datasets; skips where it is absent. ZOO_TEST_DATA names another."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data are not at {REAL_DATA}; set ZOO_TEST_DATA to the folder that holds `pbc`")
    monkeypatch.setenv("ZOO_DATA", str(REAL_DATA))
    return REAL_DATA


@pytest.fixture
def real_weights() -> Path:
    """The folder of real backbone weights; skips where it is absent. ZOO_TEST_WEIGHTS names another."""
    if not REAL_WEIGHTS.is_dir():
        pytest.skip(f"real weights are not at {REAL_WEIGHTS}; set ZOO_TEST_WEIGHTS to a folder of .safetensors files")
    return REAL_WEIGHTS
