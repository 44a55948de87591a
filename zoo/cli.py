"""The command line: a thin skin over the Python API. Heavy imports wait until a command needs them."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoo.errors import ZooError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Few-shot blood-cell classification that explains itself, measured honestly.")  # fmt: skip
data_app = typer.Typer(help="Datasets: list, get, verify, audit.", rich_markup_mode=None)
app.add_typer(data_app, name="data")

Backbone = Annotated[str | None, typer.Option(help="conv4 or any timm name; else the benchmark's own.")]
Weights = Annotated[str | None, typer.Option(help="FILE.safetensors, or none for random; else timm's own.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value of a plug-in; repeatable.")]
Seed = Annotated[int, typer.Option(help="Seed of training.")]
DeviceName = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Dataset = Annotated[str, typer.Argument(help="A dataset's name, or your own class folders or CSV.")]
Misuse: Any = typer.BadParameter.__bases__[0]
"""What typer raises for an unknown option, a missing value and the like; its public name changes with versions."""
Kind = Literal["methods", "explainers", "cell_models", "backbones", "datasets", "benchmarks", "metrics", "matrix"]


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, Ctrl-C one line and exit code 130."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except ZooError as mistake:
        code = _mistake(str(mistake))
    except typer.Abort:  # what older versions of typer make of Ctrl-C
        code = 130
    except Misuse as misuse:
        where, said = misuse.ctx.command_path if misuse.ctx else "zoo", " ".join(misuse.format_message().split())
        code = _mistake(f"{said.rstrip('.')}; `{where} --help` says what there is")
    if code == 130:
        print("interrupted: what was finished is kept, the same command goes on from there", file=sys.stderr)
    sys.exit(code)


def _mistake(text: str) -> int:
    # a file's name may hold what a terminal would obey
    print("error:", "".join(char if char.isprintable() else " " for char in text), file=sys.stderr)
    return 2


@app.command()
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
        "benchmark": benchmark, "backbone": backbone, "weights": weights, "settings": _settings(set_), "seed": seed,
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


@app.command()
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

    fit.check_trains(method, registry.method(method, _settings(set_)), out)  # before any picture is read
    made = setup(
        method, benchmark=benchmark, dataset=dataset, backbone=backbone, weights=weights, settings=_settings(set_),
        seed=seed, device=device, precision=precision,
    )  # fmt: skip
    for what, path in fit.train_only(made, processes, out).items():
        print(f"{what:<12}{path}")


@app.command()
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


@app.command()
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
        images, support, method, benchmark=benchmark, backbone=backbone, weights=weights, settings=_settings(set_),
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


@app.command()
def explain(
    images: Annotated[list[Path] | None, typer.Argument(help="Your images.")] = None,
    support: Annotated[Path | None, typer.Option(help="A folder with one sub-folder of images a class.")] = None,
    method: Annotated[str, typer.Option(help="Name from `zoo list methods`.")] = "prototypical",
    explainer: Annotated[list[str] | None, typer.Option(help="From `zoo list explainers`; --rate takes many.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The PNG; for ratings a folder.")] = None,
    arrays: Annotated[bool, typer.Option("--arrays", help="Also write the numbers, .npz and .json.")] = False,
    rate: Annotated[int | None, typer.Option(help="Write a blinded rating sheet of so many test queries.")] = None,
    ratings: Annotated[list[Path] | None, typer.Option(help="Read filled-in sheets, a file a rater; repeat.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Whose training split and images; else the first here.")] = None,
    backbone: Backbone = None,
    weights: Weights = None,
    set_: Settings = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
) -> None:
    """Explain your own images; or have experts rate explanations (--rate), and read what they said (--ratings)."""
    from zoo.pipeline import explanation_of, rating

    if sum((bool(images), rate is not None, bool(ratings))) != 1:
        raise ZooError("give images, or --rate N, or --ratings FILE: one of the three; see `zoo explain --help`")
    if ratings:
        from rich.console import Console

        Console().print(rating.table(rating.read(ratings, (out or Path("rating")) / "key.json")))
        return
    choices: dict[str, Any] = {"benchmark": benchmark, "backbone": backbone, "weights": weights, "seed": seed,
                               "device": device, "settings": _settings(set_)}  # fmt: skip
    chosen = explainer or ["siamcam"]
    if rate is not None:
        written = rating.sheet(rate, method, chosen, out or Path("rating"), **choices)
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


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    name: Annotated[str | None, typer.Argument(help="One of them: its settings and their defaults.")] = None,
) -> None:
    """What there is, or the settings of one."""
    from rich.console import Console

    from zoo import listing

    Console().print(listing.details(kind, name) if name else listing.table(kind))


@app.command()
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


@app.command()
def leaderboard(
    action: Annotated[
        Literal["build", "check", "upgrade", "serve"],
        typer.Argument(help="Write the boards, compare them, bring old records up to date, or show the site."),
    ] = "build",
    records: Annotated[Path | None, typer.Option(help="Folder of records: `runs` for your own.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the Markdown goes.")] = None,
    site: Annotated[Path | None, typer.Option(help="Write the site into this folder, beside the rest.")] = None,
    port: Annotated[int, typer.Option(help="Where `serve` listens; 0 takes a free port.", min=0, max=65535)] = 8000,
) -> None:
    """Render the boards as Markdown, CSV and JSON from records, and as a site."""
    from zoo import paths
    from zoo.board import tables, upgrade

    root = records or paths.leaderboard() / "records"
    if action == "serve":
        _serve(root, site, port)
        return
    target = out or (paths.leaderboard() if records is None else root)
    if action == "upgrade":
        for path in upgrade.upgrade(root):
            print(path)
        return
    if action == "check":
        differences = tables.check(root, target)
        if differences:
            raise ZooError(f"{target}: {differences[0]} ({len(differences)} differences); run `zoo leaderboard build`")
        print(f"{target}: the boards are what the records give")
        return
    for path in tables.build(root, target):
        print(path)
    if site:
        from zoo.board.site import build

        print(build.build(root, site))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A record, a folder of one row's seeds, or published:stn.")],
    b: Annotated[str, typer.Argument(help="The other.")],
    metric: Annotated[str, typer.Option(help="A prediction or explanation metric.")] = "mean_class_accuracy",
    margin: Annotated[float, typer.Option(help="Of records of cells: points up to which two rows are the same.")] = 1.0,
) -> None:
    """Two rows on the same bank: paired difference with interval and p, per class, and where they differ most.

    Of two records of cells every metric, and whether their accuracies are equivalent.
    """
    from rich.console import Console

    from zoo.board.cells import compare as of_cells

    if of_cells.are_cells(a, b):
        Console().print(of_cells.show(a, b, margin / 100))
        return
    from zoo import paths
    from zoo.board import compare as comparing
    from zoo.board import published

    Console().print(comparing.show(comparing.compare(a, b, metric, published.load(paths.published()))))


@app.command()
def submit(records: Annotated[list[Path], typer.Argument(help="Records that `zoo run` wrote.")]) -> None:
    """Check records and put them into the leaderboard's folder."""
    from zoo import paths
    from zoo.board import submit as submission
    from zoo.board.cells import store, submit
    from zoo.data import benchmark

    root, cells = paths.leaderboard() / "records", [path for path in records if store.is_cells(path)]
    accepted = submit.accept(cells, root, store.protocols())  # all that is given is checked before anything is written
    current = {name: benchmark.benchmark(name) for name in benchmark.names()}
    for path in submission.submit([path for path in records if path not in cells], root, current):
        print(path)
    for record in accepted:
        print(store.write(record, root))


@data_app.command("list")
def data_list() -> None:
    """Datasets, whether they are here, and where here is."""
    list_("datasets")


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="Name from `zoo data list`.")],
    source: Annotated[Path | None, typer.Option("--from", help="A file or folder you already have.")] = None,
) -> None:
    """Download a dataset, or take a copy you already have."""
    from zoo.data import fetch

    print(fetch.get(name, source))


@data_app.command("verify")
def data_verify(name: Annotated[str, typer.Argument(help="Name from `zoo data list`.")]) -> None:
    """Compare what is here with the dataset's card."""
    from zoo.data import fetch

    problems = fetch.verify(name)
    for problem in problems:
        print(problem)
    if problems:
        raise ZooError(f"{name}: {len(problems)} differences from its card; `zoo data get {name}` fetches it anew")
    print(f"{name}: as its card says")


@data_app.command("audit")
def data_audit(name: Dataset) -> None:
    """Duplicates, label conflicts, broken and odd files, colour shift, class balance."""
    from rich.console import Console

    from zoo import listing
    from zoo.data import audit

    Console().print(listing.report(audit.audit(name)))


def _serve(root: Path, site: Path | None, port: int) -> None:
    """Build the site, into a folder of its own where none is named, and show it until Ctrl-C."""
    import tempfile

    from zoo.board.site import build, serve

    with tempfile.TemporaryDirectory(prefix="zoo-site-") as folder:
        place = site or Path(folder)
        build.build(root, place)
        with serve.server(place, port) as running:
            print(f"{serve.url(running)}  (Ctrl-C ends it)", flush=True)
            running.serve_forever()


def _settings(given: list[str] | None) -> dict[str, str]:
    settings = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ZooError(f"--set {text}: write key=value")
        settings[key] = value
    return settings
