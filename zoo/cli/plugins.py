"""Commands for what there is, and for what is to come: list, new."""

from typing import Annotated, Literal

import typer

Kind = Literal["methods", "explainers", "cell_models", "backbones", "datasets", "benchmarks", "metrics", "matrix"]


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    name: Annotated[str | None, typer.Argument(help="One of them: its settings and their defaults.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The whole matrix as Markdown.")] = False,
) -> None:
    """What there is, or the settings of one."""
    from rich.console import Console

    from zoo import listing
    from zoo.errors import ZooError

    if markdown:
        if kind != "matrix" or name:
            raise ZooError("--markdown: it writes the whole matrix; type zoo list matrix --markdown")
        print(listing.markdown_matrix())
        return
    Console().print(listing.details(kind, name) if name else listing.table(kind))


def new(
    kind: Annotated[Literal["method", "explainer", "metric"], typer.Argument(help="What it is.")],
    name: Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and _.")],
    package: Annotated[bool, typer.Option("--package", help="As a package of its own in this folder.")] = False,
) -> None:
    """Write a working method, explainer or metric to start from."""
    from zoo import scaffold

    made = scaffold.new(kind, name, package)
    for path in made.files:
        print(path)
    for step in made.steps:
        print(f"next: {step}")
