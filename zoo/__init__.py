"""Few-shot blood-cell classification that explains itself, measured honestly.

    import zoo
    result = zoo.run("stn", "siamcam")
    result.record.figures["mean_class_accuracy"].value
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.pipeline.cells.run import CellResult
    from zoo.pipeline.predict import Prediction
    from zoo.pipeline.run import Result

__all__ = ["predict", "run", "run_cells"]


def run(method: str, explainer: str | None = None, *, out: Path | str = "runs", **choices: Any) -> "Result":
    """Run a method (and an explainer) on a benchmark and write one record below `out`.

    `choices` are those of `zoo.pipeline.setup.setup`: benchmark, or dataset with way, shot, bank and episodes;
    backbone, weights, settings (a mapping of texts), seed, device, precision. Raises `zoo.errors.ZooError`.
    """
    from zoo.pipeline.run import run
    from zoo.pipeline.setup import command, setup

    return run(setup(method, explainer, **choices), Path(out), command(method, explainer, **choices))


def run_cells(model: str, *, out: Path | str = "runs", **choices: Any) -> "CellResult":
    """Train and test a cell model on a benchmark of fields and write one record below `out`.

    `choices`: benchmark, backbone, weights, settings, seed, device, precision. Raises `zoo.errors.ZooError`.
    """
    from zoo.pipeline.cells.run import run
    from zoo.pipeline.cells.setup import setup
    from zoo.pipeline.setup import command

    return run(setup(model, **choices), Path(out), command(model, **choices))


def predict(
    images: Sequence[Path | str], support: Path | str, method: str, **choices: Any
) -> "list[Prediction]":
    """Classify images by a folder with one sub-folder of support images a class.

    `choices`: benchmark, backbone, weights, settings, seed, device, precision. Raises `zoo.errors.ZooError`.
    """
    from zoo.pipeline.predict import predict

    return predict([Path(image) for image in images], Path(support), method, **choices)
