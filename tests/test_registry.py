"""Plug-ins: found by their file, one class each, settings parsed by the types of their fields."""

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from zoo import registry
from zoo.cell_metric import CellMetric
from zoo.cell_model import CellModel
from zoo.errors import ZooError
from zoo.explaining import Explainer, ExplanationMetric
from zoo.reducers import PredictionMetric
from zoo.types import Backbone, Learned, Method

KINDS = {
    "methods": Method,
    "explainers": Explainer,
    "backbones": Backbone,
    "metrics/prediction": PredictionMetric,
    "metrics/explanation": ExplanationMetric,
    "cell_models": CellModel,
    "metrics/cell": CellMetric,
}
PLUGINS = [(folder, name) for folder in KINDS for name in registry.own(folder)]
ROOT = Path(registry.__file__).parent


@dataclass(frozen=True)
class Every:
    """A setting of every type that `--set` takes."""

    count: int = 3
    """How many;
    at least one."""
    budget: int = 0
    share: float = 0.5
    """How much."""
    fast: bool = False
    rule: Literal["mean", "min"] = "mean"
    word: str = "a"
    constant: ClassVar[int] = 1
    """Not a setting."""


@dataclass(frozen=True)
class Child(Every):
    share: float = 0.1
    """How much of the child."""
    own: int = 1


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "plugin", lambda folder, name: Every)
    monkeypatch.setattr(registry, "_added", lambda folder, name: None)


@pytest.mark.parametrize("folder", KINDS)
def test_names_are_the_files_sorted(folder: str):
    found = registry.own(folder)
    assert found == sorted(found)
    assert set(registry.names(folder)) >= set(found)
    assert set(found) == {file.stem for file in (ROOT / folder).iterdir() if file.suffix == ".py"} - {"__init__"}
    assert found


@pytest.mark.parametrize(("folder", "name"), PLUGINS)
def test_each_file_holds_one_class_of_its_kind_and_says_what_it_is(folder: str, name: str):
    cls = registry.plugin(folder, name)
    assert issubclass(cls, KINDS[folder])
    assert Path(inspect.getfile(cls)) == ROOT / folder / f"{name}.py"
    assert registry.summary(folder, name).endswith(".")


@pytest.mark.parametrize("text", ["", "class A: pass\nclass B: pass\n"])
def test_a_file_with_no_class_or_two_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import zoo.methods

    file = tmp_path / f"strange{len(text)}.py"
    file.write_text(text)
    monkeypatch.setattr(zoo.methods, "__path__", [*zoo.methods.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "own", lambda folder: [file.stem])
    with pytest.raises(ZooError, match=f"exactly one public class, it has {text.count('class')}"):
        registry.plugin("methods", file.stem)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: registry.method("protypical"), "unknown method 'protypical': did you mean 'prototypical'? `zoo "),
        (lambda: registry.explainer("siam_cam"), "unknown explainer 'siam_cam': did you mean 'siamcam'? `zoo "),
        (lambda: registry.prediction_metric("f1"), "unknown prediction 'f1': "),
        (lambda: registry.explanation_metric("delete"), "unknown explanation 'delete': did you mean 'deletion'? `zoo "),
        (lambda: registry.method("zzz"), "unknown method 'zzz': `zoo list methods` lists what there is"),
        (lambda: registry.declared("explainers", "otzu", "floor"), "unknown explainer 'otzu': did you mean 'otsu'? "),
    ],
)
def test_an_unknown_name_gets_the_nearest(call, line: str):
    with pytest.raises(ZooError) as raised:
        call()
    assert str(raised.value).startswith(line)


def test_defaults_are_the_fields_own():
    assert registry.method("knn") == registry.plugin("methods", "knn")()
    assert registry.method("knn", {"k": "7"}) == registry.plugin("methods", "knn")(k=7)


@pytest.mark.usefixtures("every")
@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("count", "12", 12),
        ("budget", "0", 0),
        ("share", "0", 0.0),
        ("share", "1e-3", 0.001),
        ("fast", "True", True),
        ("fast", "false", False),
        ("rule", "min", "min"),
        ("word", "a b", "a b"),
    ],
)
def test_texts_become_the_types_of_the_fields(key: str, text: str, value: object):
    built = getattr(registry.build("methods", "every", {key: text}), key)
    assert built == value
    assert type(built) is type(value)


@pytest.mark.usefixtures("every")
@pytest.mark.parametrize(
    ("key", "text", "line"),
    [
        ("count", "0", "every: count=0: give a whole number, 1 or more"),
        ("count", "-1", "every: count=-1: give a whole number, 1 or more"),
        ("count", "2.5", "every: count=2.5: give a whole number, 1 or more"),
        ("count", "", "every: count=: give a whole number, 1 or more"),
        ("budget", "-1", "every: budget=-1: give a whole number, 0 or more"),
        ("share", "-0.1", "every: share=-0.1: give a number, 0 or more"),
        ("share", "nan", "every: share=nan: give a number, 0 or more"),
        ("share", "inf", "every: share=inf: give a number, 0 or more"),
        ("share", "half", "every: share=half: give a number, 0 or more"),
        ("fast", "1", "every: fast=1 is neither true nor false"),
        ("rule", "max", "every: rule=max is not one of mean, min"),
        ("ruel", "min", "unknown setting of every 'ruel': did you mean 'rule'? `zoo list methods every` lists what"),
        ("constant", "2", "unknown setting of every 'constant': "),
    ],
)
def test_a_wrong_text_is_refused(key: str, text: str, line: str):
    with pytest.raises(ZooError) as raised:
        registry.build("methods", "every", {key: text})
    assert str(raised.value).startswith(line)


def test_steps_go_to_the_metrics_that_have_them():
    for name in registry.names("metrics/explanation"):
        metric, plain = registry.explanation_metric(name, 4), registry.explanation_metric(name)
        assert plain == registry.plugin("metrics/explanation", name)()
        assert getattr(metric, "steps", None) == (4 if hasattr(plain, "steps") else None)
    assert registry.explanation_metric("deletion", 4).steps == 4  # type: ignore[attr-defined]
    assert not hasattr(registry.explanation_metric("pointing_game", 4), "steps")


@pytest.mark.parametrize("name", registry.names("metrics/explanation"))
def test_declared_says_what_the_class_says(name: str):
    cls = registry.plugin("metrics/explanation", name)
    assert registry.declared("metrics/explanation", name, "higher_is_better") is cls.higher_is_better  # type: ignore[attr-defined]


def test_declared_of_a_missing_constant():
    with pytest.raises(ZooError, match=r"zoo\.explainers\.grad_cam does not declare floor"):
        registry.declared("explainers", "grad_cam", "floor")


def test_meanings_are_the_docstrings_under_the_fields(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "__package__", __name__.split(".")[0])
    assert registry.meanings(Every) == {
        "count": "How many; at least one.", "share": "How much.", "constant": "Not a setting.",
    }  # fmt: skip
    assert registry.meanings(Child) == registry.meanings(Every) | {"share": "How much of the child."}


def test_meanings_of_a_learned_method_hold_the_inherited_ones():
    found = registry.meanings(registry.plugin("methods", "stn"))
    assert {field.name for field in fields(Learned)} <= found.keys()
    assert found["pairs"].startswith("batch: all pairs")


def test_timm_names_are_backbones():
    backbone = registry.backbone("resnet18", pretrained=False)
    assert (type(backbone).__name__, backbone.name) == ("TimmCNN", "resnet18")
    assert type(registry.backbone("vit_tiny_patch16_224", pretrained=False)).__name__ == "TimmViT"


@pytest.mark.parametrize("name", ["hf-hub:someone/net", "../conv4", "a\\b", ""])
def test_a_backbone_name_is_never_a_path_or_a_hub(name: str):
    with pytest.raises(ZooError, match="unknown backbone"):
        registry.backbone(name)
