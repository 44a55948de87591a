"""Commands for records that are there: leaderboard, compare, submit."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zoo.errors import ZooError


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
    from zoo.board import compare_tables, published

    Console().print(compare_tables.show(comparing.compare(a, b, metric, published.load(paths.published()))))


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
