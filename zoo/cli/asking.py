"""Commands for your own images: predict, explain."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.options import Backbone, DeviceName, Seed, Settings, Weights, pairs
from zoo.errors import ZooError


def predict(
    images: Annotated[list[Path], typer.Argument(help="Your images.")],
    support: Annotated[Path, typer.Option(help="A folder with one sub-folder of images a class.")],
    method: Annotated[str, typer.Option(help="Name from `zoo list methods`.")],
    benchmark: Annotated[str | None, typer.Option(help="Whose training split a learned method trains on.")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    set_: Settings = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")] = False,
) -> None:
    """Classify your own images by your own support set."""
    import zoo

    found = zoo.predict(
        images, support, method, benchmark=benchmark, backbone=backbone, weights=weights, settings=pairs(set_),
        seed=seed, device=device,
    )  # fmt: skip
    if as_json:
        print(json.dumps([prediction._asdict() | {"image": str(prediction.image)} for prediction in found]))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("image", "class", "probability", "next")
    for prediction in found:
        first, second, *_ = sorted(prediction.probability.items(), key=lambda pair: -pair[1])
        table.add_row(
            escape(str(prediction.image)), escape(first[0]), f"{first[1]:.3f}", escape(f"{second[0]} {second[1]:.3f}")
        )
    Console().print(table)


def explain(
    images: Annotated[list[Path] | None, typer.Argument(help="Your images.")] = None,
    support: Annotated[Path | None, typer.Option(help="A folder with one sub-folder of images a class.")] = None,
    method: Annotated[str, typer.Option(help="Name from `zoo list methods`.")] = "prototypical",
    explainer: Annotated[list[str] | None, typer.Option(help="From `zoo list explainers`; --rate takes many.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The PNG; a folder for --rate, --supports.")] = None,
    arrays: Annotated[bool, typer.Option("--arrays", help="Also write the numbers, .npz and .json.")] = False,
    rate: Annotated[int | None, typer.Option(help="Write a blinded rating sheet of so many test queries.")] = None,
    supports: Annotated[int | None, typer.Option(help="Which supports decided so many test queries.")] = None,
    ratings: Annotated[list[Path] | None, typer.Option(help="Read filled-in sheets, a file a rater; repeat.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Whose training split and images; else the first here.")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    set_: Settings = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
) -> None:
    """Explain your own images; or see what hangs on single supports (--supports); or have experts rate explanations
    (--rate), and read what they said (--ratings)."""
    from rich.console import Console

    from zoo.pipeline import explanation_of, rating, support_report

    if sum((bool(images), rate is not None, supports is not None, bool(ratings))) != 1:
        ways = "images, or --rate N, or --supports N, or --ratings FILE"
        raise ZooError(f"give {ways}: one of the four; see `zoo explain --help`")
    if ratings:
        Console().print(rating.table(rating.read(ratings, (out or Path("rating")) / "key.json")))
        return
    choices: dict[str, Any] = {"benchmark": benchmark, "backbone": backbone, "weights": weights, "seed": seed,
                               "device": device, "settings": pairs(set_)}  # fmt: skip
    chosen = explainer or ["siamcam"]
    if rate is not None:
        written = rating.sheet(rate, method, chosen, out or Path("rating"), **choices)
    elif supports is not None:
        if support is not None or arrays:
            raise ZooError("--support and --arrays are for your own images; --supports N takes the benchmark's")
        found = support_report.report(supports, method, chosen, out or Path("supports"), **choices)
        Console().print(support_report.table(found))
        written = found.written
    elif support is None:
        raise ZooError("--support: name a folder with one sub-folder of images a class")
    elif len(chosen) > 1:
        raise ZooError(f"--explainer: one at a time for your own images, not {' and '.join(chosen)}")
    else:
        written = explanation_of.explain(
            images or [], support, method, chosen[0], out or Path("explanation.png"), arrays, **choices
        )
    for path in written:
        print(path)
