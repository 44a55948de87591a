"""The folder is the registry: name -> file -> the one class in it; other packages add to it through entry points.

Listing a folder imports nothing.
"""

import ast
import contextlib
import dataclasses
import importlib
import inspect
import itertools
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zoo import entry_points
from zoo.errors import ZooError, unknown

if TYPE_CHECKING:
    from zoo.explaining import Explainer, ExplanationMetric
    from zoo.reducers import PredictionMetric
    from zoo.types import Backbone, Method

_PACKAGE = Path(__file__).parent
_EXPLANATION = "metrics/explanation"
_CONTRACTS = {
    "methods": "zoo.types:Method",
    "explainers": "zoo.explaining:Explainer",
    "backbones": "zoo.types:Backbone",
    "metrics/explanation": "zoo.explaining:ExplanationMetric",
    "metrics/prediction": "zoo.reducers:PredictionMetric",
    "cell_models": "zoo.cell_model:CellModel",
    "metrics/cell": "zoo.cell_metric:CellMetric",
}


def names(folder: str) -> list[str]:
    """Names of the plug-ins of a folder ("methods", "metrics/explanation" ...), other packages' among them, sorted."""
    return sorted({*own(folder), *entry_points.find(folder)})


def own(folder: str) -> list[str]:
    """Names of the plug-ins that zoo itself ships, sorted."""
    return sorted(file.stem for file in (_PACKAGE / folder).glob("*.py") if file.stem != "__init__")


def usable(folder: str) -> list[str]:
    """Names of the plug-ins that load. Another package's that does not is left out, and said on standard error."""
    found = []
    for name in names(folder):
        try:
            plugin(folder, name)
        except ZooError as error:
            if name in own(folder):
                raise
            entry_points.warn(f"left out: {error}")
        else:
            found.append(name)
    return found


def package(folder: str, name: str) -> tuple[str, str] | None:
    """Name and version of the package that adds this plug-in; None for one of zoo's own."""
    added = _added(folder, name)
    return (added.package, added.version) if added else None


def summary(folder: str, name: str) -> str:
    """First line of the plug-in's module docstring, read without importing it; of a broken one, what is wrong."""
    try:
        text, added = ast.get_docstring(_tree(folder, name)) or "", _added(folder, name)
    except ZooError as error:
        return str(error)
    first = text.splitlines()[0] if text else ""
    return f"{first} (package {added.package})".strip() if added else first


def declared(folder: str, name: str, attribute: str) -> Any:
    """An annotated constant of the plug-in's class body (`floor: ClassVar[bool] = True`), read without importing it."""
    tree = _tree(folder, name)
    for line in (line for node in tree.body if isinstance(node, ast.ClassDef) for line in node.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id == attribute:
            return ast.literal_eval(line.value) if line.value else None
    added = _added(folder, name)
    module = added.entry.module if added else f"zoo.{folder.replace('/', '.')}.{name}"
    raise ZooError(f"{module} does not declare {attribute}")


def _added(folder: str, name: str) -> entry_points.Plugin | None:
    """The entry point of that name; None for zoo's own. ZooError where there is no such name, or more than one."""
    found = entry_points.find(folder).get(name, ())
    own_file = name in own(folder)
    kind = folder.split("/")[-1].removesuffix("s")
    if not found and not own_file:
        raise unknown(kind, name, names(folder), f"zoo list {folder.split('/')[0]}")
    if len(found) + own_file > 1:
        others = " and ".join(f"package {plugin.package}" for plugin in found)
        both = f"{others} adds" if own_file else f"{others} both add"
        raise ZooError(f"{both} {kind} '{name}'{', which zoo has itself' if own_file else ''}; rename or uninstall one")
    return found[0] if found else None


def _tree(folder: str, name: str) -> ast.Module:
    added = _added(folder, name)
    if added is None:
        return ast.parse((_PACKAGE / folder / f"{name}.py").read_text("utf-8"))
    text = added.text()
    with added.blamed():
        return ast.parse(text)


def meanings(cls: type) -> dict[str, str]:
    """Field -> the docstring under it, in one line, own and inherited; fields without one are left out."""
    found = {}
    for owner in reversed(cls.__mro__):
        if owner.__module__.split(".")[0] not in (__package__, cls.__module__.split(".")[0]):
            continue
        tree = ast.parse(Path(inspect.getfile(owner)).read_text("utf-8"))
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__)
        for line, text in itertools.pairwise(body):
            match line, text:
                case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(doc))):
                    found[field] = " ".join(doc.split())
    return found


def plugin(folder: str, name: str) -> type:
    """The one class that the plug-in's module defines, or the one that the entry point names."""
    added = _added(folder, name)
    if added is None:
        return _only_class(importlib.import_module(f"zoo.{folder.replace('/', '.')}.{name}"))
    with added.blamed():
        found = added.entry.load()
        cls = _only_class(found) if inspect.ismodule(found) else found
        module, _, contract = _CONTRACTS[folder].partition(":")
        if problem := _breach(cls, getattr(importlib.import_module(module), contract)):
            raise added.wrong(problem)
    return cls


def _only_class(module: ModuleType) -> type:
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")
        and not issubclass(value, tuple)
    ]
    if len(classes) != 1:
        raise ZooError(f"{module.__name__} must define exactly one public class, it has {len(classes)}")
    return classes[0]


def _breach(cls: Any, contract: type) -> str | None:
    """What keeps a stranger's class from being used as this kind of plug-in."""
    if not (inspect.isclass(cls) and issubclass(cls, contract)):
        return f"it is no {contract.__name__}"
    if missing := [key for key in dir(cls) if getattr(getattr(cls, key, None), "__isabstractmethod__", False)]:
        return f"it lacks {', '.join(missing)}"
    constants = [key for key, kind in contract.__annotations__.items() if typing.get_origin(kind) is typing.ClassVar]
    wanted = constants + (["known", "create"] if contract.__name__ == "Backbone" else [])
    lacking = [key for key in wanted if not hasattr(cls, key)]
    return f"it does not declare {', '.join(lacking)}" if lacking else None


def build(folder: str, name: str, settings: Mapping[str, str] | None = None) -> Any:
    """An instance with `--set key=value` texts turned into the types of its fields."""
    cls, added = plugin(folder, name), _added(folder, name)
    with added.blamed() if added else contextlib.nullcontext():
        fields = {field.name: field for field in dataclasses.fields(cls)}
        types = typing.get_type_hints(cls)
        given = {}
        for key, text in (settings or {}).items():
            if key not in fields:
                raise unknown(f"setting of {name}", key, fields, f"zoo list {folder} {name}")
            zero = fields[key].default == 0 or "0 = " in meanings(cls).get(key, "")
            given[key] = _parse(name, key, text, types[key], zero)
        return cls(**given)


def method(name: str, settings: Mapping[str, str] | None = None) -> "Method":
    return build("methods", name, settings)


def explainer(name: str, settings: Mapping[str, str] | None = None) -> "Explainer":
    return build("explainers", name, settings)


def explanation_metric(name: str, steps: int | None = None) -> "ExplanationMetric":
    """A metric; `steps` goes to those that perturb in steps, None keeps their own default."""
    stepped = steps is not None and "steps" in {field.name for field in dataclasses.fields(plugin(_EXPLANATION, name))}
    return build(_EXPLANATION, name, {"steps": str(steps)} if stepped else None)


def refusal(method: "type[Method]", explainer: "type[Explainer]") -> str | None:
    """Why an explainer cannot explain a method, or None where it can. Backbones refuse on their own account: see
    `Explainer.refuses`."""
    if explainer.needs in ("gradient", "pixels") and not method.differentiable:
        return "its scores have no gradient"
    if explainer.needs == "support" and not method.uses_support:
        return "it does not compare with supports"
    if explainer.needs == "support" and method.input != "embedding":
        return "it compares maps, not embeddings"
    return None


def prediction_metric(name: str) -> "PredictionMetric":
    return build("metrics/prediction", name)


def backbone(name: str, weights: Path | None = None, pretrained: bool = True, seed: int = 0) -> "Backbone":
    """The backbone of that name: a file of the folder, or any name that one of its classes knows.

    weights: a safetensors file. pretrained: without a file, take published weights where there are any.
    """
    known: list[str] = []
    for file in sorted(usable("backbones"), key=lambda file: file != name):
        cls: Any = plugin("backbones", file)
        if name in (own := cls.known()):
            return cls.create(name, weights, pretrained, seed)
        known += own
    raise unknown("backbone", name, known, "zoo list backbones")


def _parse(name: str, key: str, text: str, kind: Any, zero: bool) -> Any:
    """The value of one `--set` text; says what would have been accepted.

    Numbers are finite and never negative. Whole ones count something, so that 0 is refused as well, unless it is
    the field's default or its docstring says what it means (`zero`).
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
