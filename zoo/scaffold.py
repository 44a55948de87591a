"""`zoo new`: a working plug-in to start from, in the source tree or as a package of its own.

Each template keeps the whole contract as it stands, so that from the first minute a failing test is about the change.
"""

import ast
import keyword
import re
from pathlib import Path
from typing import Literal, NamedTuple

from zoo import atomic, paths, registry
from zoo.errors import ZooError

Kind = Literal["method", "explainer", "metric"]

_METHOD = '''"""NAME: say in one line what it does; `zoo list methods` prints this line."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from zoo.ops import class_means, squared_distances, unit
from zoo.types import Method, Support


class _Params(NamedTuple):
    prototypes: Tensor


@dataclass(frozen=True)
class CLASS(Method):
    """Say whose idea it is, which equations, and what was left open and chosen here. Until then it is the nearest
    class mean: score = -squared distance of the query to the mean of each class's supports."""

    paper: ClassVar[str] = "none yet: authors, title, venue, year, identifier"
    normalise: bool = True
    """Whether embeddings are brought to unit length first. A field is a setting: `--set normalise=false`."""

    def compared(self, features: Tensor) -> Tensor:
        return unit(features) if self.normalise else features

    def fit(self, state: nn.Module | None, support: Support) -> _Params:
        features = self.compared(support.features)  # (k, d), one row a support image
        return _Params(class_means(features, support.labels, len(support.classes)))

    def scores(self, params: _Params, features: Tensor) -> Tensor:
        return -squared_distances(self.compared(features), params.prototypes)  # (n, way), the highest wins
'''
_EXPLAINER = '''"""NAME: say in one line what it shows; `zoo list explainers` prints this line."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.explaining import Classifier, Explainer, Explanation


@dataclass(frozen=True)
class CLASS(Explainer):
    """Say whose idea it is, which equations, and what was left open and chosen here. Until then it is the map times
    the gradient of the target's score over the mean score, place by place, summed over channels, negatives cut."""

    paper: ClassVar[str] = "none yet: authors, title, venue, year, identifier"
    needs: ClassVar[Literal["gradient"]] = "gradient"

    @torch.no_grad()
    def explain(self, classifier: Classifier, images: Tensor, target: Tensor, seed: int) -> Explanation:
        hidden = classifier.backbone.hidden(images).detach().requires_grad_()
        with torch.enable_grad():
            scores = classifier.from_hidden(hidden)  # (n, way)
            explained = scores.gather(1, target.unsqueeze(1)).sum() - scores.mean(1).sum()
            (gradient,) = torch.autograd.grad(explained, hidden)
        grid = classifier.backbone.grid  # (n, c, h, w), whatever the backbone's own layout
        return Explanation((grid(gradient) * grid(hidden.detach())).float().sum(1).relu())
'''
_METRIC = '''"""NAME: say in one line what it measures and which way is better; `zoo list metrics` prints this line."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zoo.explaining import Explained, ExplanationMetric


@dataclass(frozen=True)
class CLASS(ExplanationMetric):
    """Say whose idea it is, which equations, and what was left open and chosen here. Until then it is the share of
    the saliency that lies in the most salient tenth of the pixels, 0..1."""

    about: ClassVar[Literal["complexity"]] = "complexity"
    higher_is_better: ClassVar[bool] = True

    def measure(self, explained: Explained) -> Tensor:
        values = explained.saliency.flatten(1).abs().sort(dim=1, descending=True).values  # (n, H * W)
        top = values[:, : max(1, values.shape[1] // 10)]
        return top.sum(1) / values.sum(1).clamp_min(1e-12)
'''
_PACKAGE = """[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "PROJECT"
version = "0.1.0"
dependencies = ["hemazoo"]

[project.entry-points."GROUP"]
NAME = "MODULE:CLASS"

[tool.setuptools]
py-modules = ["MODULE"]
"""


class _Form(NamedTuple):
    folder: str
    text: str
    contract: str
    run: str


_FORMS: dict[Kind, _Form] = {
    "method": _Form("methods", _METHOD, "tests/test_method_contracts.py", "zoo run --method NAME"),
    "explainer": _Form(
        "explainers", _EXPLAINER, "tests/test_explainer_contracts.py", "zoo run --method prototypical --explainer NAME"
    ),
    "metric": _Form(
        "metrics/explanation", _METRIC, "tests/test_explanation_metrics.py",
        "add NAME to explanation_metrics of a protocol in benchmarks/protocols",
    ),
}  # fmt: skip


class Made(NamedTuple):
    """What was written, and what to type next."""

    files: list[Path]
    steps: list[str]


def new(kind: Kind, name: str, package: bool = False) -> Made:
    """Write a plug-in: into the source tree zoo runs from, else (or with `package`) as a package in this folder.

    Raises ZooError for a name that is taken or cannot be one.
    """
    form = _FORMS[kind]
    _check(kind, name, form)
    words = {"NAME": name, "CLASS": class_name(name), "MODULE": f"zoo_{name}"}
    root = paths.checkout()
    if root and not package:
        file = root / "zoo" / form.folder / f"{name}.py"
        _write(file, form.text, words)
        return Made([file], [f"pytest {form.contract} -k {name}", _filled(form.run, words)])
    project = f"zoo-{name.replace('_', '-')}"
    words |= {"PROJECT": project, "GROUP": "zoo." + form.folder.replace("/", ".")}
    folder = Path(project)
    if folder.exists():
        raise ZooError(f"{folder}: is there already; choose another name, or move it away")
    files = [folder / "pyproject.toml", folder / f"zoo_{name}.py"]
    for file, text in zip(files, (_PACKAGE, form.text), strict=True):
        _write(file, text, words)
    return Made(files, [f"pip install -e {folder}", _filled(form.run, words)])


def class_name(name: str) -> str:
    """`my_method` -> `MyMethod`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _check(kind: Kind, name: str, form: _Form) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 40:
        plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")[:40]
        offer = plain.rstrip("_") if re.match("[a-z]", plain) else f"my_{kind}"
        shown = "".join(char if char.isprintable() else "?" for char in name)[:60]
        raise ZooError(f"'{shown}' is no name: a-z, 0-9 and single _, a letter first, at most 40; try {offer}")
    kinds = form.folder.split("/")[0]
    folders = ("metrics/prediction", form.folder) if kind == "metric" else (form.folder,)
    if any(name in registry.names(folder) for folder in folders):
        raise ZooError(f"{kind} '{name}' is there already; choose another name, `zoo list {kinds}` lists them")
    # a file of these names cannot be checked out on Windows
    devices = name in ("con", "prn", "aux", "nul") or re.fullmatch(r"(com|lpt)\d", name)
    tree = ast.walk(ast.parse(form.text))
    used = {getattr(node, "id", getattr(node, "name", "")) for node in tree if isinstance(node, ast.Name | ast.alias)}
    if keyword.iskeyword(name) or keyword.iskeyword(class_name(name)) or devices or class_name(name) in used:
        raise ZooError(f"'{name}' is a reserved word; try my_{name}")


def _write(file: Path, text: str, words: dict[str, str]) -> None:
    atomic.write(file, _filled(text, words).encode(), "choose a folder that can be written, or --package")


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(words)})\b", lambda found: words[found[0]], text)
