"""Plug-ins that other installed packages add, found without importing any of them.

A package names them in its metadata, in a group that is called like our folder:

    [project.entry-points."zoo.methods"]
    my_method = "my_package.my_method:MyMethod"

Groups: zoo.methods, zoo.explainers, zoo.backbones, zoo.cell_models, zoo.metrics.explanation, zoo.metrics.prediction,
zoo.metrics.cell.
"""

import functools
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import NamedTuple

from zoo.errors import ZooError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


class Plugin(NamedTuple):
    """One entry point."""

    package: str
    version: str
    entry: EntryPoint

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Whatever goes wrong inside becomes one line that names the package."""
        try:
            yield
        except ZooError:
            raise
        except (Exception, SystemExit) as error:
            raise self.wrong(f"{type(error).__name__}: {_line(error)}") from error

    def wrong(self, what: str) -> ZooError:
        """The error for a plug-in that cannot be used."""
        group, name = self.entry.group, self.entry.name
        return ZooError(f"package {self.package}: its '{name}' in {group} cannot be used ({what}); update or remove it")

    def text(self) -> str:
        """Source of the module. Raises ZooError where there is none to read."""
        file = _source(self.entry.module)
        if file is None:
            raise self.wrong(f"there is no module {self.entry.module}")
        with self.blamed():
            return file.read_text("utf-8")


def find(folder: str) -> Mapping[str, tuple[Plugin, ...]]:
    """name -> the plug-ins of that name in the folder's group; more than one where packages clash."""
    return _find("zoo." + folder.replace("/", "."), tuple(sys.path))


@functools.cache
def warn(text: str) -> None:
    """Say a line on standard error, once."""
    print(f"zoo: {text}", file=sys.stderr)


@functools.cache
def _find(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[Plugin, ...]]:
    found: dict[str, dict[str, Plugin]] = {}
    for distribution in importlib.metadata.distributions(path=list(path)):
        for entry in _entries(distribution):
            if entry.group != group:
                continue
            package = _line(distribution.name)
            if not _NAME.fullmatch(entry.name):
                warn(f"package {package}: {_line(entry.name)!r} in {group} is no name: letters, digits and _ alone")
                continue
            # the first on the path wins, as it does for an import
            found.setdefault(entry.name, {}).setdefault(package.lower(), Plugin(package, distribution.version, entry))
    return {name: tuple(plugins.values()) for name, plugins in found.items()}


def _entries(distribution: Distribution) -> list[EntryPoint]:
    """Its entry points; none where the file is damaged, which must not hide those of other packages."""
    try:
        return list(distribution.entry_points)
    except Exception as error:
        warn(f"package {_line(distribution.name)}: its entry points cannot be read ({_line(error)})")
        return []


def _source(module: str) -> Path | None:
    """The file of a module. Only a top-level name can be looked up without importing, so the rest is walked."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.has_location else None
    for folder in map(Path, spec.submodule_search_locations or ()):
        place = folder.joinpath(*rest)
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


def _line(text: object, longest: int = 200) -> str:
    plain = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
