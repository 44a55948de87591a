"""What a cached thing is kept by."""

import importlib.util
from pathlib import Path
from types import ModuleType

from zoo import ops
from zoo.pipeline import cache


def module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_code_below_a_decorator_is_that_of_the_function() -> None:
    """`torch.no_grad()` would otherwise stand for every function that it decorates."""
    assert hasattr(ops.pair_maps, "__wrapped__")
    assert cache.code(ops.pair_maps) == cache.code(ops)


def test_code_is_the_same_wherever_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("OTHER = 1\n")
    hashes = []
    for place in ("a", "z"):  # before and behind the other module
        (tmp_path / place).mkdir()
        (tmp_path / place / "own.py").write_text("OWN = 1\n")
        hashes.append(cache.code(module(tmp_path / place / "own.py"), module(tmp_path / "other.py")))
    assert hashes[0] == hashes[1]
    (tmp_path / "z" / "own.py").write_text("OWN = 2\n")
    assert cache.code(module(tmp_path / "z" / "own.py"), module(tmp_path / "other.py")) != hashes[0]
