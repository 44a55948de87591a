"""Logging to MLflow: what is logged, where, and that it is never in the way."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from records import record

import zoo
from zoo import cli
from zoo.board import store
from zoo.errors import ZooError
from zoo.pipeline import tracking
from zoo.pipeline.run import Result
from zoo.record import Record


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of runs of its own, and the client that reads it."""
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("MLflow is not installed; it is the extra `mlflow`")
    for name, value in tracking._QUIET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())


def left(tmp_path: Path, made: Record, gallery: bool = True) -> Result:
    """What a run leaves behind."""
    path = store.write(made, tmp_path / "runs")
    picture = path.with_suffix(".png")
    picture.write_bytes(b"png")
    return Result(made, path, picture if gallery else None, reused=False)


def runs(client) -> list:  # type: ignore[no-untyped-def]
    found = client.get_experiment_by_name("zoo")
    return client.search_runs([found.experiment_id]) if found else []


def test_settings_figures_and_files_are_logged_once(tmp_path: Path, mlflow) -> None:
    made = record()
    result = left(tmp_path, made)
    said = tracking.log(result)
    assert said is not None
    [run] = runs(mlflow)
    assert run.info.run_id in said
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "stn+siamcam on toy_2way_5shot"
    assert run.data.params["method.margin"] == "1.0"
    assert run.data.params["bank.shot"] == str(made.bank.shot)
    assert run.data.params["labels_seen"] == "250"
    accuracy = made.figures["accuracy"]
    for name, value in (
        ("accuracy", accuracy.value),
        ("accuracy.low", accuracy.low),
        ("accuracy.high", accuracy.high),
        ("class_accuracy.platelet", made.class_accuracy["platelet"].value),
        ("siamcam.deletion", made.explanations.rows["siamcam"].figures["deletion"].value),  # type: ignore[union-attr]
        ("siamcam.against_random.insertion.low", 0.2),
        ("seconds.train", 90),
    ):
        assert run.data.metrics[name] == pytest.approx(value), name
    assert run.data.tags["zoo.key"] == made.key
    files = {file.path for file in mlflow.list_artifacts(run.info.run_id)}
    assert files == {result.path.name, result.path.with_suffix(".png").name}
    stored = Path(unquote(urlparse(run.info.artifact_uri).path)) / result.path.name
    assert stored.read_bytes() == result.path.read_bytes()

    assert "there already" in (tracking.log(result) or "")
    assert len(runs(mlflow)) == 1
    assert tracking.log(left(tmp_path, record(seed=1, explainer=None), gallery=False))
    assert len(runs(mlflow)) == 2


def test_any_class_name_and_many_figures(tmp_path: Path, mlflow, capsys: pytest.CaptureFixture[str]) -> None:
    made = record(classes=["a/b:<c>|ä", "platelet"], explainer=None)
    figures = {f"metric{number}": made.figures["accuracy"] for number in range(400)}
    assert tracking.log(left(tmp_path, made.model_copy(update={"figures": figures})))
    [run] = runs(mlflow)
    assert len(run.data.metrics) > 1200
    assert run.data.metrics["class_accuracy.a_b__c__ä"] == made.class_accuracy["a/b:<c>|ä"].value
    assert capsys.readouterr().err.count("zoo:") == 0


@pytest.mark.parametrize("place", ["http://127.0.0.1:9", "nonsense://x", "{tmp}/file"])
@pytest.mark.usefixtures("mlflow")
def test_a_failing_server_never_loses_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.format(tmp=tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = left(tmp_path, record(explainer=None))
    monkeypatch.setattr(zoo, "run", lambda *_, **__: result)
    monkeypatch.setattr(sys, "argv", ["zoo", "run", "--method", "stn", "--mlflow", "--json"])
    with pytest.raises(SystemExit) as code:
        cli.main()
    out, err = capsys.readouterr()
    assert code.value.code in (0, None)
    assert Record.model_validate_json(out) == result.record
    [line] = [line for line in err.splitlines() if line.startswith("zoo:")]
    assert line.startswith(f"zoo: not logged to MLflow at {place.format(tmp=tmp_path)} (")
    assert line.endswith(f"the record is safe at {result.path}")
    assert store.read(result.path) == result.record


def test_without_mlflow_one_line_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ZooError, match=r"pip install 'hemazoo\[mlflow\]'"):
        tracking.require()
    monkeypatch.setattr(zoo, "run", lambda *_, **__: pytest.fail("it ran"))
    monkeypatch.setattr(sys, "argv", ["zoo", "run", "--method", "stn", "--mlflow"])
    with pytest.raises(SystemExit) as code:
        cli.main()
    err = capsys.readouterr().err
    assert code.value.code == 2
    assert err.startswith("error: --mlflow: MLflow is not installed; ")
    assert err.count("\n") == 1


def test_mlflow_is_imported_only_when_asked_for() -> None:
    code = "import sys, zoo.cli, zoo.pipeline.tracking; assert not {'mlflow', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
