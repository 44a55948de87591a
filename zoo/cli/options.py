"""Options that several commands have."""

from typing import Annotated

import typer

from zoo.errors import ZooError

Backbone = Annotated[
    str | None, typer.Option(help="conv4 or any timm name; NAME@8: its maps of eight views; else the benchmark's own.")
]
Weights = Annotated[str | None, typer.Option(help="FILE.safetensors, or none for random; else timm's own.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value of a plug-in; repeatable.")]
Seed = Annotated[int, typer.Option(help="Seed of training.")]
DeviceName = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def pairs(given: list[str] | None) -> dict[str, str]:
    """What `--set key=value` says. ZooError where it is written otherwise."""
    settings = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ZooError(f"--set {text}: write key=value")
        settings[key] = value
    return settings
