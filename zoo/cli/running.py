"""Commands that make records: run, train, sweep."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.options import Backbone, DeviceName, Seed, Settings, Weights, pairs
from zoo.errors import ZooError


def run(
    method: Annotated[str, typer.Option(help="Name from `zoo list methods` or `zoo list cell_models`.")],
    explainer: Annotated[str | None, typer.Option(help="Name from `zoo list explainers`; else no explaining.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Name from `zoo list benchmarks`.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset's name, or your own class folders or CSV.")] = None,
    way: Annotated[int | None, typer.Option(help="Classes an episode.")] = None,
    shot: Annotated[int | None, typer.Option(help="Support images a class.")] = None,
    bank: Annotated[str | None, typer.Option(help="standard, disjoint, dirichlet or all.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Episodes in the bank.")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    set_: Settings = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    out: Annotated[Path, typer.Option(help="Where records and pictures go.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the record alone to standard output.")] = False,
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Log it to MLFLOW_TRACKING_URI, else ./mlruns.")] = False,
) -> None:
    """Run a method, and an explainer, on a benchmark: one record, a table, a picture."""
    import zoo
    from zoo import registry
    from zoo.pipeline import tracking

    if mlflow:
        tracking.require()
    choices: dict[str, Any] = {
        "benchmark": benchmark, "backbone": backbone, "weights": weights, "settings": pairs(set_), "seed": seed,
        "device": device, "precision": precision,
    }  # fmt: skip
    episodes_of = {"dataset": dataset, "way": way, "shot": shot, "bank": bank, "episodes": episodes}
    result: Any
    if method in registry.names("cell_models"):
        result = zoo.run_cells(method, out=out, **choices, **_alone(method, explainer=explainer, **episodes_of))
    else:
        result = zoo.run(method, explainer, out=out, **choices, **episodes_of)
    logged = tracking.log(result) if mlflow else None
    if as_json:
        print(result.record.model_dump_json())
        return
    from rich.console import Console

    console = Console()
    console.print(_shown(result.record))
    if result.reused:
        console.print("[dim]this record was there already; nothing was computed again[/dim]")
    console.print(f"record   {result.path}", markup=False, highlight=False, soft_wrap=True)
    if result.gallery:
        console.print(f"gallery  {result.gallery}", markup=False, highlight=False, soft_wrap=True)
    if logged:
        console.print(f"mlflow   {logged}", markup=False, highlight=False, soft_wrap=True)


def _alone(model: str, **choices: Any) -> dict[str, Any]:
    """No choices; ZooError where one was made that means nothing to a cell model."""
    if given := [name for name, value in choices.items() if value is not None]:
        raise ZooError(
            f"--{given[0]}: {model} finds cells in whole fields and has no such choice; give --benchmark, one of those "
            "that `zoo list benchmarks` calls `cell models`"
        )
    return {}


def _shown(record: Any) -> Any:
    """The table of one record, beside the paper's row."""
    from zoo import paths
    from zoo.board import published, terminal
    from zoo.board.cells import terminal as of_cells
    from zoo.cell_record import CellRecord

    show: Any = of_cells.show if isinstance(record, CellRecord) else terminal.show
    return show(record, published.load(paths.published()))


def train(
    method: Annotated[str, typer.Option(help="Name from `zoo list methods`.")],
    benchmark: Annotated[str | None, typer.Option(help="Whose training split it trains on.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset's name, or your own class folders or CSV.")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    set_: Settings = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    processes: Annotated[int, typer.Option(help="Processes that share every batch; GPUs where there are.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="Write the backbone there: .safetensors for --weights.")] = None,
) -> None:
    """Train a method and keep the checkpoint, which `zoo run` with the same choices then takes."""
    from zoo import registry
    from zoo.pipeline import fit
    from zoo.pipeline.setup import setup

    fit.check_trains(method, registry.method(method, pairs(set_)), out)  # before any picture is read
    made = setup(
        method, benchmark=benchmark, dataset=dataset, backbone=backbone, weights=weights, settings=pairs(set_),
        seed=seed, device=device, precision=precision,
    )  # fmt: skip
    for what, path in fit.train_only(made, processes, out).items():
        print(f"{what:<12}{path}")


def sweep(
    grid: Annotated[Path, typer.Argument(help="A TOML file of benchmarks, methods, backbones, explainers and seeds.")],
    weights_folder: Annotated[Path, typer.Option(help="Where the grid's weights files are.")] = Path("."),
    device: DeviceName = "auto",
    out: Annotated[Path, typer.Option(help="Where records and pictures go.")] = Path("runs"),
) -> None:
    """Run every row of a grid that has no record yet, in one process."""
    from zoo.pipeline import sweep as sweeping

    done, failed = sweeping.sweep(grid, weights_folder, out, {"device": device})
    for path in done:
        print(path)
    if failed:
        raise ZooError(f"{len(failed)} of {len(done) + len(failed)} rows could not be run: {'; '.join(failed)}")
