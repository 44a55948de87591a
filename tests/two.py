"""What the processes of `test_ddp` run: importable by name, as a new process asks."""

from typing import Any

from lightning_fabric import Fabric

from zoo.pipeline import parallel


def lessons(fabric: Fabric, given: list[dict[str, Any]]) -> list[str]:
    """Train them one after the other: starting processes takes far longer than any of them."""
    return [parallel._one(fabric, "tiny", 1, lesson) for lesson in given]
