"""What the user sees while waiting: bars and one-line notes, on standard error only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)
_shown = False
"""Whether a bar is on the terminal."""


class Advance(Protocol):
    def __call__(self, steps: int = 1, note: str = "", total: int | None = None) -> None: ...


def say(text: str) -> None:
    """One line of news."""
    console.print(escape(text), soft_wrap=True)


@contextmanager
def bar(label: str, total: int) -> Iterator[Advance]:
    """A progress bar with the time left; call what it yields after each step. It leaves no trace. Inside another
    nothing is shown: a terminal has room for one."""
    global _shown
    outermost, _shown = not _shown, True
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        console=console, transient=True, refresh_per_second=4, disable=not (outermost and console.is_terminal),
    )  # fmt: skip
    try:
        with progress:
            row = progress.add_task(escape(label), total=total, note="")

            def advance(steps: int = 1, note: str = "", total: int | None = None) -> None:
                progress.update(row, advance=steps, note=escape(note), total=total)

            yield advance
    finally:
        _shown = not outermost


@contextmanager
def training(label: str, images: int) -> Iterator[Callable[[int, int, float, float, float | None], None]]:
    """A bar for `zoo.pipeline.train`: loss, validation accuracy where it is measured, time left. A line says early on
    how long it will take."""
    said, before = False, 0
    with bar(f"training {label}", 1) as advance:

        def progress(done: int, total: int, loss: float, left: float, accuracy: float | None) -> None:
            nonlocal said, before
            if not said and (done >= 3 or done == total):
                said = True
                say(f"training {label} on {images} images will take about {_span(left)}")
            note = f"loss {loss:.4f}" + (f", validation {100 * accuracy:.1f} %" if accuracy is not None else "")
            advance(done - before, note, total)
            before = done

        yield progress


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
