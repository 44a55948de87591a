"""What the user sees while waiting: bars and one-line notes, on standard error only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)


class Advance(Protocol):
    def __call__(self, steps: int = 1, note: str = "", total: int | None = None) -> None: ...


def say(text: str) -> None:
    """One line of news."""
    console.print(escape(text), soft_wrap=True)


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """A progress bar with the time left; call what it yields after each step. It leaves no trace."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        console=console, transient=True, refresh_per_second=4, disable=not console.is_terminal,
    )  # fmt: skip
    with progress:
        row = progress.add_task(escape(label), total=total, note="")

        def advance(steps: int = 1, note: str = "", total: int | None = None) -> None:
            progress.update(row, advance=steps, note=escape(note), total=total)

        yield advance
