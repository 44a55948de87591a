"""Records as files: written whole or not at all, and never trusted when read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from zoo import atomic
from zoo.cell_record import FOLDER
from zoo.errors import ZooError
from zoo.record import Record, migrate

LARGEST = 20_000_000
"""Bytes of a record file; a bank of 100 x 15,000 predictions takes about 4,000,000."""


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


_Kept = TypeVar("_Kept", bound=_Keyed)


def write(record: Record, root: Path) -> Path:
    """Write a record below `root` at its key, replacing the one that is there. Returns where it is."""
    path = root / record.key
    write_text(path, dumps(record))
    return path


def dumps(record: BaseModel) -> str:
    """A record as JSON with one line a field, so that two records can be compared line by line."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for name, value in record.model_dump(mode="json").items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read(path: Path) -> Record:
    """The record in a file, one of an older schema as one of today's.

    Raises ZooError, one line with the file and the first problem, for anything else.
    """
    return parsed(path, lambda content: Record.model_validate(migrate(content), strict=True))


def parsed(path: Path, check: Callable[[Any], _Kept]) -> _Kept:
    """What `check` makes of the JSON in a file. Raises ZooError, one line, for what it refuses, or what is no JSON."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device would never end
            raise ZooError(f"{path}: cannot be read (not a file); give the path of a record's .json file")
        if path.stat().st_size > LARGEST:
            raise ZooError(f"{path}: larger than {LARGEST // 1_000_000} MB, so it is not a record")
        found = check(from_json(path.read_bytes(), allow_inf_nan=False))
        assert found.key  # settings that JSON cannot write, such as 1e999, have no hash
        return found
    except OSError as error:
        raise ZooError(f"{path}: cannot be read ({error.strerror}); give the path of a record's .json file") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "record"
        raise ZooError(f"{path}: not a valid record: {one_line(place)}: {one_line(first['msg'])}") from None
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{path}: not valid JSON ({one_line(str(error))}); run again to make the record anew") from None


def find(root: Path) -> list[Record]:
    """Every record below `root`, in the order of their paths. A broken one raises ZooError naming it."""
    return [read(path) for path in files(root)]


def files(root: Path) -> list[Path]:
    """Every JSON file in a folder below `root`; those in `root` itself are tables made from records, those in `cells`
    are records of another kind (see `zoo.board.cells.store`)."""
    return sorted(file for file in root.glob("*/**/*.json") if file.relative_to(root).parts[0] != FOLDER)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    atomic.write(path, text.encode())


def one_line(text: str, longest: int = 160) -> str:
    """Text from a stranger's file, shortened and without line breaks or control characters."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
