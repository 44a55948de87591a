"""Runs logged to MLflow, for labs that look there: off unless asked for, and never in the way of a record.

MLflow is imported here alone, and only when it is asked for. Where it logs to is MLflow's own MLFLOW_TRACKING_URI,
else a folder `mlruns` in the current one. What is logged follows from the record; the record stays the truth.
"""

import datetime
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo import paths
from zoo.errors import ZooError
from zoo.record import Figure, Record

if TYPE_CHECKING:
    from zoo.pipeline.run import Result

_QUIET = {
    # MLflow's own patience is minutes; a run that is done should not wait for a server that is not there
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}


def require() -> None:
    """Raises ZooError where MLflow is not installed: asked before a run, not after it."""
    if importlib.util.find_spec("mlflow") is None:
        raise ZooError("--mlflow: MLflow is not installed; type `pip install 'hemazoo[mlflow]'`, or leave --mlflow out")


def log(result: "Result") -> str | None:
    """Log a run and return where; a run whose record is there already is not logged twice.

    Whatever goes wrong, a wrong address or a server that is down, is one line on standard error and None.
    """
    place = paths.tracking()
    try:
        return _log(result, place)
    except Exception as error:  # MLflow raises its own, those of requests, and those of its stores
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        print(f"zoo: not logged to MLflow at {place} ({reason}); the record is safe at {result.path}", file=sys.stderr)
        return None


def settings(record: Record) -> dict[str, str]:
    """Name -> text of everything that was chosen."""
    explained = record.explanations.rows[record.explainer].settings if record.explanations and record.explainer else {}
    chosen = {
        "benchmark": record.benchmark, "dataset": record.dataset, "subset": record.subset, "method": record.method,
        "explainer": record.explainer, "backbone": record.backbone, "weights": record.provenance.weights,
        "image_size": record.image_size, "seed": record.seed, "labels_seen": record.labels_seen,
        "precision": record.provenance.precision, "device": record.provenance.device,
        **{f"bank.{name}": value for name, value in record.bank.model_dump().items()},
        **{f"method.{name}": value for name, value in record.method_settings.items()},
        **{f"explainer.{name}": value for name, value in explained.items()},
    }  # fmt: skip
    return {name: str(value)[:500] for name, value in chosen.items()}


def figures(record: Record) -> dict[str, float]:
    """Name -> number: every figure with the ends of its interval, and the seconds of each stage."""
    found = dict(_spread("", record.figures))
    found |= _spread("class_accuracy.", record.class_accuracy)
    for name, row in record.explanations.rows.items() if record.explanations else ():
        found |= _spread(f"{name}.", row.figures)
        found |= _spread(f"{name}.against_random.", row.against_random)
    if record.validation_accuracy is not None:
        found["validation_accuracy"] = record.validation_accuracy
    return found | {f"seconds.{stage}": spent for stage, spent in record.provenance.seconds.items()}


def _spread(prefix: str, figures: dict[str, Figure]) -> Iterator[tuple[str, float]]:
    for name, figure in figures.items():
        # MLflow takes letters, digits and a few signs; a class may be called anything
        plain = prefix + "".join(char if char.isalnum() or char in "_-. " else "_" for char in name)[:200]
        yield from ((plain, figure.value), (f"{plain}.low", figure.low), (f"{plain}.high", figure.high))


def _log(result: "Result", place: str) -> str:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    record = result.record
    client = MlflowClient(tracking_uri=place, registry_uri=place)
    board = paths.tracking_name()
    found = client.get_experiment_by_name(board)
    number = found.experiment_id if found else client.create_experiment(board)
    digest = hashlib.sha256(result.path.read_bytes()).hexdigest()
    if client.search_runs([number], f"tags.`zoo.record_sha256` = '{digest}'", max_results=1):
        return f"{place}, {board} (it is there already)"
    title = f"{record.method}{f'+{record.explainer}' if record.explainer else ''} on {record.benchmark}"
    tags = {"zoo.record_sha256": digest, "zoo.key": record.key, "zoo.command": record.provenance.command}
    run = client.create_run(number, run_name=title, tags=tags).info.run_id
    try:
        made = int(datetime.datetime.fromisoformat(record.provenance.created).timestamp() * 1000)
        numbers = [Metric(name, value, made, 0) for name, value in figures(record).items()]
        for start in range(0, len(numbers), 500):  # MLflow takes 1000 at a time
            client.log_batch(run, metrics=numbers[start : start + 500])
        client.log_batch(run, params=[Param(name, text) for name, text in settings(record).items()][:100])
        for file in (result.path, result.gallery):
            if file:
                client.log_artifact(run, str(file))
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run)
    return f"{place}, {board}, run {run}"

