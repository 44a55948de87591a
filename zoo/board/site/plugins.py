"""What a plug-in says of itself, read from its source: nothing is imported, so a page costs no torch."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from zoo import registry

_ROOT = Path(registry.__file__).parent
_KINDS = {
    "Transductive": "transductive",
    "Adapting": "adapts backbone",
    "Learned": "trained backbone",
    "Method": "frozen backbone",
    "Explainer": "explainer",
}
_NEEDS = {
    "gradient": "a differentiable method",
    "pixels": "a differentiable method",
    "maps": "any method",
    "attention": "a vision transformer",
    "scores": "any method",
    "masks": "real masks",
    "attributes": "a dataset whose attributes are known",
    "support": "a method that compares with supports",
    "nothing": "nothing",
}


class Setting(NamedTuple):
    """A field of the plug-in, as `--set` takes it."""

    name: str
    kind: str
    default: str
    meaning: str


class Plugin(NamedTuple):
    """A method or an explainer; all but the name is empty for one that this copy of zoo does not have."""

    name: str
    summary: str = ""
    doc: str = ""
    paper: str = ""
    kind: str = ""
    needs: str = ""
    settings: tuple[Setting, ...] = ()
    known: bool = False


@cache
def read(folder: str, name: str) -> Plugin:
    """The plug-in of that name in `methods` or `explainers`."""
    if name not in registry.own(folder):  # another package's would make the page depend on what is installed
        return Plugin(name)
    chain = list(_ancestry(f"zoo.{folder}.{name}", None))
    constants: dict[str, object] = {}
    settings: dict[str, Setting] = {}
    for body in reversed(chain):
        constants |= _constants(body)
        settings |= _settings(body)
    own = chain[0]
    return Plugin(
        name=name,
        summary=registry.summary(folder, name),
        doc=" ".join((ast.get_docstring(own) or "").split()),
        paper=str(constants.get("paper", "")),
        kind=_kind(chain, constants),
        needs=_NEEDS.get(str(constants.get("needs", "")), ""),
        settings=tuple(settings.values()),
        known=True,
    )


def _kind(chain: list[ast.ClassDef], constants: dict[str, object]) -> str:
    if constants.get("floor"):
        return "floor"
    if constants.get("uses_support") is False:
        return "control"
    if constants.get("transductive"):
        return _KINDS["Transductive"]
    return next((_KINDS[body.name] for body in chain if body.name in _KINDS), "")


def _ancestry(module: str, name: str | None) -> Iterator[ast.ClassDef]:
    """The class `name` of a module (its one public class for None), then the classes it inherits from."""
    tree = _tree(module)
    if tree is None:
        return
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name is None:
        public = [node for node in classes.values() if not node.name.startswith("_") and not _is_tuple(node)]
        found = public[0] if public else None
    else:
        found = classes.get(name)
    if found is None:
        return
    yield found
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    for parent in (base.id for base in found.bases if isinstance(base, ast.Name)):
        yield from _ancestry(*imported.get(parent, (module, parent)))


@cache
def _tree(module: str) -> ast.Module | None:
    top, *rest = module.split(".")
    file = _ROOT.joinpath(*rest).with_suffix(".py")
    return ast.parse(file.read_text("utf-8")) if top == "zoo" and rest and file.is_file() else None


def _is_tuple(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases)


def _constants(body: ast.ClassDef) -> dict[str, object]:
    found = {}
    for line in body.body:
        match line:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value)):
                found[name] = value
    return found


def _settings(body: ast.ClassDef) -> dict[str, Setting]:
    found = {}
    for number, line in enumerate(body.body):
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
            continue
        kind = ast.unparse(line.annotation)
        if kind.startswith("ClassVar"):
            continue
        after = body.body[number + 1] if number + 1 < len(body.body) else None
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        name = line.target.id
        found[name] = Setting(name, _values(line.annotation), _default(line.value), " ".join(str(text).split()))
    return found


def _values(annotation: ast.expr) -> str:
    """`a | b` for a Literal, else the annotation as it is written."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return " | ".join(str(part.value) if isinstance(part, ast.Constant) else ast.unparse(part) for part in parts)
    return {"int": "whole number", "float": "number", "bool": "true | false"}.get(
        ast.unparse(annotation), ast.unparse(annotation)
    )


def _default(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.Call) and (keyword := next((k for k in value.keywords if k.arg == "default"), None)):
        return _default(keyword.value)
    return ast.unparse(value)
