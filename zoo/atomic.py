"""Files written whole or not at all: to a temporary sibling, then moved into place. The only place that does it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zoo.errors import ZooError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to fill, put in place when the block ends well and removed when it does not. Makes the folder.

    The sibling ends in `.part`, so that nobody who looks for files of the path's kind ever finds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o644)  # mkstemp's own 0o600 would hide a record from everybody else
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes, mend: str = "choose another folder with --out") -> None:
    """Write what the user asked for. Raises ZooError, one line with the path and how to mend it, where that fails."""
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise ZooError(f"{path}: cannot be written ({error.strerror}); {mend}") from None
