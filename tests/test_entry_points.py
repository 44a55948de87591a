"""Plug-ins of other packages: a made-up package on the path is listed, built and blamed like a real one."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from zoo import listing, registry
from zoo.errors import ZooError
from zoo.pipeline import cache
from zoo.reducers import Tallies
from zoo.types import Support

METHOD = '''"""Nearest class maximum, from outside."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zoo.types import Method


@dataclass(frozen=True)
class Outside(Method):
    """A method that another package adds."""

    paper: ClassVar[str] = "none"
    power: int = 2
    """Power of the distance."""

    def fit(self, state, support) -> tuple[Tensor, ...]:
        return (support.features,)

    def scores(self, params: tuple[Tensor, ...], features: Tensor) -> Tensor:
        return -(features[:, None] - params[0]).abs().pow(self.power).sum(-1)
'''
METRIC = '''"""Share of queries, always one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zoo.reducers import PredictionMetric


@dataclass(frozen=True)
class One(PredictionMetric):
    """One."""

    higher_is_better: ClassVar[bool] = True

    def reduce(self, tallies):
        return np.ones(tallies.confusion.shape[:-2])
'''
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with these files and this entry_points.txt on the path."""

    def call(package: str, entry_points: str, **files: str) -> Path:
        place = tmp_path / package
        info = place / f"{package.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entry_points)
        for module, text in files.items():
            file = place / f"{module.replace('__', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            monkeypatch.delitem(sys.modules, module.split("__")[0], raising=False)
        monkeypatch.syspath_prepend(str(place))
        return place

    modules = set(sys.modules)
    yield call
    for name in set(sys.modules) - modules:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def shown(kind: str, name: str | None = None) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(listing.details(kind, name) if name else listing.table(kind))
    return capture.get()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ZooError) as raised:
        call()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("value", ["outer.inner:Outside", "outer.inner"])
def test_a_method_of_another_package_is_as_one_of_ours(install: Install, value: str):
    place = install("zoo-outer", f"[zoo.methods]\noutside = {value}\n", outer__inner=METHOD)
    (place / "outer" / "__init__.py").touch()
    assert "outside" in registry.names("methods")
    assert "outside" not in registry.own("methods")
    assert registry.summary("methods", "outside") == "Nearest class maximum, from outside. (package zoo-outer)"
    assert not [name for name in sys.modules if name.startswith("outer")], "listing imported it"
    method = registry.method("outside", {"power": "1"})
    support = Support(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.arange(2), torch.arange(2))
    found = method.scores(method.fit(None, support), torch.tensor([[0.0, 0.25]]))
    assert found.tolist() == [[-0.25, -1.75]]
    assert dataclasses.asdict(method) == {"power": 1}
    assert registry.package("methods", "outside") == ("zoo-outer", "1.2")
    assert registry.package("methods", "knn") is None
    assert "Nearest class maximum" in shown("methods")
    details = shown("methods", "outside")
    assert "power" in details
    assert "Power of the distance." in details
    assert "power=0: give a whole number, 1 or more" in refused(lambda: registry.method("outside", {"power": "0"}))
    assert refused(lambda: registry.method("outsid")).startswith("unknown method 'outsid': did you mean 'outside'?")
    before = cache.all_code.__wrapped__(type(method))
    assert before != cache.all_code.__wrapped__()
    (place / "outer" / "inner.py").write_text(METHOD + "\n# changed\n")
    assert cache.all_code.__wrapped__(type(method)) != before
    assert cache.all_code.__wrapped__(registry.plugin("methods", "knn")) == cache.all_code.__wrapped__()


def test_metrics_of_another_package(install: Install):
    install("zoo-one", "[zoo.metrics.prediction]\none = one_metric\n", one_metric=METRIC)
    assert "one" in registry.usable("metrics/prediction")
    assert registry.declared("metrics/prediction", "one", "higher_is_better") is True
    assert registry.prediction_metric("one").reduce(Tallies(np.ones((3, 2, 2)), np.ones(3))).tolist() == [1, 1, 1]
    assert "Share of queries, always one." in shown("metrics")


@pytest.mark.parametrize(
    ("value", "text", "says"),
    [
        ("broken", "import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("broken", "raise SystemExit(3)\n", "SystemExit: 3"),
        ("broken", "def half(:\n", "SyntaxError: "),
        ("broken:Missing", METHOD, "AttributeError: "),
        ("broken:Outside", METHOD.replace("Outside(Method)", "Outside"), "it is no Method"),
        ("broken:dataclass", METHOD, "it is no Method"),
        ("broken:Outside", METHOD.replace("def scores", "def score"), "it lacks scores"),
        ("broken:Outside", METHOD.replace("paper: ", "source: "), "it does not declare paper"),
        ("broken:Outside", METHOD.replace("power: int", "power: 'Int'"), "NameError: "),
        ("broken:Outside", METHOD + "\n    def __post_init__(self):\n        raise OSError('a\\nb')\n", "OSError: a b"),
        ("nowhere:Outside", METHOD, "No module named 'nowhere'"),
    ],
)
def test_a_broken_one_is_blamed_on_its_package_and_hides_nobody(install: Install, value: str, text: str, says: str):
    install("zoo-broken", f"[zoo.methods]\nshaky = {value}\n", broken=text)
    said = refused(lambda: registry.method("shaky"))
    assert said.startswith("package zoo-broken: its 'shaky' in zoo.methods cannot be used (")
    assert says in said
    listed = shown("methods")
    assert "shaky" in listed
    assert all(f"│ {name} " in listed for name in registry.own("methods"))
    assert registry.method("knn")


def test_what_cannot_be_loaded_is_left_out_of_runs_and_said(install: Install, capsys: pytest.CaptureFixture[str]):
    install("zoo-bad", "[zoo.metrics.prediction]\nbad = bad_metric\n", bad_metric="import no_such_library\n")
    own = registry.own("metrics/prediction")
    assert registry.usable("metrics/prediction") == own
    assert registry.usable("metrics/prediction") == own
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("zoo: left out: package zoo-bad: its 'bad' in zoo.metrics.prediction cannot be used (")


def test_a_missing_module_is_said_in_the_list(install: Install):
    install("zoo-gone", "[zoo.explainers]\ngone = gone_package.module:Gone\n")
    assert "package zoo-gone: its 'gone' in zoo.explainers" in shown("explainers")
    assert "there is no module gone_package.module" in registry.summary("explainers", "gone")


def test_a_name_of_ours_is_not_taken_over(install: Install):
    install("zoo-thief", "[zoo.methods]\nknn = thief:Outside\n", thief=METHOD)
    line = "package zoo-thief adds method 'knn', which zoo has itself; rename or uninstall one"
    assert refused(lambda: registry.method("knn")) == line
    assert registry.summary("methods", "knn") == line
    assert registry.names("methods").count("knn") == 1
    assert registry.method("prototypical")
    # what every run needs is never left out in silence
    assert refused(lambda: registry.usable("methods")) == line


def test_two_packages_of_one_name(install: Install):
    for package in ("zoo-first", "zoo-second"):
        module = package.replace("-", "_")
        install(package, f"[zoo.methods]\ntwice = {module}:Outside\n", **{module: METHOD})
    said = refused(lambda: registry.method("twice"))
    assert said == "package zoo-second and package zoo-first both add method 'twice'; rename or uninstall one"
    assert said in shown("methods")


def test_the_same_package_twice_on_the_path_is_no_clash(install: Install, tmp_path: Path):
    place = install("zoo-same", "[zoo.methods]\nsame = same_module:Outside\n", same_module=METHOD)
    (place / "zoo_same-1.2.dist-info").rename(place / "zoo_same-1.3.dist-info")
    install("zoo-Same", "[zoo.methods]\nsame = same_module:Outside\n")
    assert registry.method("same")


@pytest.mark.parametrize("name", ["../climb", "a.b", "two words", "[red]x", "é", "_x"])
def test_odd_names_are_left_out_and_said(install: Install, capsys: pytest.CaptureFixture[str], name: str):
    install(f"zoo-odd{abs(hash(name))}", f"[zoo.methods]\n{name} = odd:Outside\n", odd=METHOD)
    assert registry.names("methods") == registry.own("methods")
    assert "is no name: letters, digits and _ alone" in capsys.readouterr().err


def test_damaged_metadata_hides_nobody(install: Install, capsys: pytest.CaptureFixture[str]):
    install("zoo-damaged", "[zoo.methods]\nno equals sign\n")
    install("zoo-fine", "[zoo.methods]\nfine = fine_module:Outside\n", fine_module=METHOD)
    assert "fine" in registry.names("methods")
    assert "package zoo-damaged: its entry points cannot be read" in capsys.readouterr().err
