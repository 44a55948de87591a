"""The folder is the registry: name -> file -> the one class in it. Listing a folder imports nothing."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ZooError, unknown

if TYPE_CHECKING:
    from zoo.reducers import PredictionMetric
    from zoo.types import Backbone, Explainer, ExplanationMetric, Method

_PACKAGE = Path(__file__).parent
_EXPLANATION = "metrics/explanation"


def names(folder: str) -> list[str]:
    """Names of the plug-ins in a folder of zoo ("methods", "metrics/explanation" ...), sorted."""
    return sorted(file.stem for file in (_PACKAGE / folder).glob("*.py") if file.stem != "__init__")


def summary(folder: str, name: str) -> str:
    """First line of the plug-in's module docstring, read without importing it."""
    text = ast.get_docstring(ast.parse((_PACKAGE / folder / f"{name}.py").read_text("utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def declared(folder: str, name: str, attribute: str) -> Any:
    """An annotated constant of the plug-in's class body (`floor: ClassVar[bool] = True`), read without importing it."""
    if name not in names(folder):
        raise unknown(folder.split("/")[-1].removesuffix("s"), name, names(folder), f"zoo list {folder.split('/')[0]}")
    tree = ast.parse((_PACKAGE / folder / f"{name}.py").read_text("utf-8"))
    for line in (line for node in tree.body if isinstance(node, ast.ClassDef) for line in node.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id == attribute:
            return ast.literal_eval(line.value) if line.value else None
    raise ZooError(f"zoo.{folder.replace('/', '.')}.{name} does not declare {attribute}")


def meanings(cls: type) -> dict[str, str]:
    """Field -> the docstring under it, in one line, own and inherited; fields without one are left out."""
    found = {}
    for owner in reversed(cls.__mro__):
        if owner.__module__.split(".")[0] != __package__:
            continue
        tree = ast.parse(Path(inspect.getfile(owner)).read_text("utf-8"))
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
        for line, text in itertools.pairwise(body):
            match line, text:
                case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(doc))):
                    found[field] = " ".join(doc.split())
    return found


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
        given[key] = _parse(name, key, text, types[key], zero=fields[key].default == 0)
    return cls(**given)


def method(name: str, settings: Mapping[str, str] | None = None) -> "Method":
    return build("methods", name, settings)


def explainer(name: str, settings: Mapping[str, str] | None = None) -> "Explainer":
    return build("explainers", name, settings)


def explanation_metric(name: str, steps: int | None = None) -> "ExplanationMetric":
    """A metric; `steps` goes to those that perturb in steps, None keeps their own default."""
    stepped = steps is not None and "steps" in {field.name for field in dataclasses.fields(plugin(_EXPLANATION, name))}
    return build(_EXPLANATION, name, {"steps": str(steps)} if stepped else None)


def prediction_metric(name: str) -> "PredictionMetric":
    return build("metrics/prediction", name)


def backbone(name: str, weights: Path | None = None, pretrained: bool = True, seed: int = 0) -> "Backbone":
    """The backbone of that name: a file of the folder, or any name that one of its classes knows.

    weights: a safetensors file. pretrained: without a file, take published weights where there are any.
    """
    known: list[str] = []
    for file in sorted(names("backbones"), key=lambda file: file != name):
        cls: Any = plugin("backbones", file)
        if name in (own := cls.known()):
            return cls.create(name, weights, pretrained, seed)
        known += own
    raise unknown("backbone", name, known, "zoo list backbones")


def _parse(name: str, key: str, text: str, kind: Any, zero: bool) -> Any:
    """The value of one `--set` text; says what would have been accepted.

    Numbers are finite and never negative. Whole ones count something, so that 0 is refused as well, unless it is
    the field's default (`zero`).
    """
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if text not in choices:
            raise ZooError(f"{name}: {key}={text} is not one of {', '.join(map(str, choices))}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ZooError(f"{name}: {key}={text} is neither true nor false")
        return text.lower() == "true"
    if kind not in (int, float):
        return kind(text)
    least = 1 if kind is int and not zero else 0
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not least <= value < math.inf:
        raise ZooError(f"{name}: {key}={text}: give a {'whole ' if kind is int else ''}number, {least} or more")
    return value
