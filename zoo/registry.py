"""The folder is the registry: name -> file -> the one class in it. Listing a folder imports nothing."""

import ast
import dataclasses
import importlib
import inspect
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ZooError, unknown

if TYPE_CHECKING:
    from zoo.types import Explainer, ExplanationMetric, Method, PredictionMetric

_PACKAGE = Path(__file__).parent


def names(folder: str) -> list[str]:
    """Names of the plug-ins in a folder of zoo ("methods", "metrics/explanation" ...), sorted."""
    return sorted(file.stem for file in (_PACKAGE / folder).glob("*.py") if file.stem != "__init__")


def summary(folder: str, name: str) -> str:
    """First line of the plug-in's module docstring, read without importing it."""
    text = ast.get_docstring(ast.parse((_PACKAGE / folder / f"{name}.py").read_text("utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def plugin(folder: str, name: str) -> type:
    """The one class that the plug-in's module defines."""
    if name not in names(folder):
        kind = folder.split("/")[-1].removesuffix("s")
        raise unknown(kind, name, names(folder), f"zoo list {folder.split('/')[0]}")
    module = importlib.import_module(f"zoo.{folder.replace('/', '.')}.{name}")
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")
        and not issubclass(value, tuple)
    ]
    if len(classes) != 1:
        raise ZooError(f"{module.__name__} must define exactly one public class, it has {len(classes)}")
    return classes[0]


def build(folder: str, name: str, settings: Mapping[str, str] | None = None) -> Any:
    """An instance with `--set key=value` texts turned into the types of its fields."""
    cls = plugin(folder, name)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    types = typing.get_type_hints(cls)
    given = {}
    for key, text in (settings or {}).items():
        if key not in fields:
            raise unknown(f"setting of {name}", key, fields, f"zoo list {folder} {name}")
        given[key] = _parse(name, key, text, types[key])
    return cls(**given)


def method(name: str, settings: Mapping[str, str] | None = None) -> "Method":
    return build("methods", name, settings)


def explainer(name: str, settings: Mapping[str, str] | None = None) -> "Explainer":
    return build("explainers", name, settings)


def explanation_metric(name: str) -> "ExplanationMetric":
    return build("metrics/explanation", name)


def prediction_metric(name: str) -> "PredictionMetric":
    return build("metrics/prediction", name)


def _parse(name: str, key: str, text: str, kind: Any) -> Any:
    """The value of one `--set` text; says what would have been accepted."""
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if text not in choices:
            raise ZooError(f"{name}: {key}={text} is not one of {', '.join(map(str, choices))}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ZooError(f"{name}: {key}={text} is neither true nor false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ZooError(f"{name}: {key}={text} is not a {kind.__name__}") from None
