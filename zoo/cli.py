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
Kind = Literal["methods", "explainers", "backbones", "datasets", "benchmarks", "metrics"]


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
    print("error:", " ".join(text.split("\n")), file=sys.stderr)
    return 2


@app.command()
def run(
    method: Annotated[str, typer.Option(help="Name from `zoo list methods`.")],
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
) -> None:
    """Run a method, and an explainer, on a benchmark: one record, a table, a picture."""
    import zoo

    result = zoo.run(
        method, explainer, benchmark=benchmark, dataset=dataset, way=way, shot=shot, bank=bank, episodes=episodes,
        backbone=backbone, weights=weights, settings=_settings(set_), seed=seed, device=device, precision=precision,
        out=out,
    )  # fmt: skip
    if as_json:
        print(result.record.model_dump_json())
        return
    from rich.console import Console

    from zoo import paths
    from zoo.board import published, terminal

    console = Console()
    console.print(terminal.show(result.record, published.load(paths.published())))
    if result.reused:
        console.print("[dim]this record was there already; nothing was computed again[/dim]")
    console.print(f"record   {result.path}", markup=False, highlight=False, soft_wrap=True)
    if result.gallery:
        console.print(f"gallery  {result.gallery}", markup=False, highlight=False, soft_wrap=True)


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
def leaderboard(
    action: Annotated[Literal["build", "check"], typer.Argument(help="Write the boards, or compare them.")] = "build",
    records: Annotated[Path | None, typer.Option(help="Folder of records: `runs` for your own.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the Markdown goes.")] = None,
) -> None:
    """Render the boards as Markdown from records."""
    from zoo import paths
    from zoo.board import tables

    root = records or paths.leaderboard() / "records"
    target = out or (paths.leaderboard() if records is None else root)
    if action == "check":
        differences = tables.check(root, target)
        if differences:
            raise ZooError(f"{target}: {differences[0]} ({len(differences)} differences); run `zoo leaderboard build`")
        print(f"{target}: the boards are what the records give")
        return
    for path in tables.build(root, target):
        print(path)


@app.command()
def submit(records: Annotated[list[Path], typer.Argument(help="Records that `zoo run` wrote.")]) -> None:
    """Check records and put them into the leaderboard's folder."""
    from zoo import paths
    from zoo.board import submit as submission
    from zoo.data import benchmark

    current = {name: benchmark.benchmark(name).sha256 for name in benchmark.names()}
    for path in submission.submit(records, paths.leaderboard() / "records", current):
        print(path)


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


def _settings(given: list[str] | None) -> dict[str, str]:
    settings = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ZooError(f"--set {text}: write key=value")
        settings[key] = value
    return settings
