"""Commands for datasets: list, get, verify, audit."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli import plugins
from zoo.errors import ZooError


def list_() -> None:
    """Datasets, whether they are here, and where here is."""
    plugins.list_("datasets")


def get(
    name: Annotated[str, typer.Argument(help="Name from `zoo data list`.")],
    source: Annotated[Path | None, typer.Option("--from", help="A file or folder you already have.")] = None,
) -> None:
    """Download a dataset, or take a copy you already have."""
    from zoo.data import fetch

    print(fetch.get(name, source))


def verify(name: Annotated[str, typer.Argument(help="Name from `zoo data list`.")]) -> None:
    """Compare what is here with the dataset's card."""
    from zoo.data import fetch

    problems = fetch.verify(name)
    for problem in problems:
        print(problem)
    if problems:
        raise ZooError(f"{name}: {len(problems)} differences from its card; `zoo data get {name}` fetches it anew")
    print(f"{name}: as its card says")


def audit_(
    name: Annotated[str, typer.Argument(help="A dataset's name, or your own class folders or CSV.")],
) -> None:
    """Duplicates, label conflicts, broken and odd files, colour shift, class balance."""
    from rich.console import Console

    from zoo import listing
    from zoo.data import audit

    Console().print(listing.report(audit.audit(name)))
