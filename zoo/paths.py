"""Where cards, data, cache, runs and records live. The only module that reads the environment."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(folder: str) -> Path:
    """A top-level folder of the checkout, or its copy inside an installed wheel."""
    inside = _PACKAGE / f"_{folder}"
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def checkout() -> Path | None:
    """Root of the source tree that zoo runs from; None where it is installed."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def cards() -> Path:
    """Folder with one sub-folder a dataset (card.toml and its lists)."""
    return _shipped("datasets")


def protocols() -> Path:
    """Folder with one TOML file a benchmark."""
    return _shipped("benchmarks") / "protocols"


def cell_protocols() -> Path:
    """Folder with one TOML file a benchmark of cells in fields."""
    return _shipped("benchmarks") / "cells"


def published() -> Path:
    """Folder with the rows taken from papers."""
    return _shipped("leaderboard") / "published"


def leaderboard() -> Path:
    """Where `zoo submit` writes: the checkout's `leaderboard`, or the one in the current folder."""
    checkout = _PACKAGE.parent / "leaderboard"
    return checkout if checkout.is_dir() else Path("leaderboard")


def data() -> Path:
    """Root of the datasets: ZOO_DATA, or the platform's folder for application data."""
    return Path(os.environ.get("ZOO_DATA") or user_data_path("zoo"))


def cache() -> Path:
    """Root of what can be made again: ZOO_CACHE, or the platform's cache folder."""
    return Path(os.environ.get("ZOO_CACHE") or user_cache_path("zoo"))


def tracking() -> str:
    """Where runs are logged when asked: MLflow's own MLFLOW_TRACKING_URI, or `mlruns` in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or Path("mlruns").resolve().as_uri()


def tracking_name() -> str:
    """Under which name MLflow keeps them: MLFLOW_EXPERIMENT_NAME, or zoo."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or "zoo"


def runs() -> Path:
    """Where runs go unless told otherwise."""
    return Path("runs")
