"""The command line: a thin skin over the Python API. Heavy imports wait until a command needs them."""

import sys
from typing import Any

import typer

from zoo.cli import asking, boards, data, plugins, running
from zoo.errors import ZooError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Few-shot blood-cell classification that explains itself, measured honestly.")  # fmt: skip
for command in (running.run, running.train, running.sweep, asking.predict, asking.explain):
    app.command()(command)
app.command("list")(plugins.list_)
for command in (plugins.new, boards.leaderboard, boards.compare, boards.submit):
    app.command()(command)
_data = typer.Typer(help="Datasets: list, get, verify, audit.", rich_markup_mode=None)
for name, command in (("list", data.list_), ("get", data.get), ("verify", data.verify), ("audit", data.audit_)):
    _data.command(name)(command)
app.add_typer(_data, name="data")
Misuse: Any = typer.BadParameter.__bases__[0]
"""What typer raises for an unknown option, a missing value and the like; its public name changes with versions."""


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, Ctrl-C one line and exit code 130."""
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="zoo", standalone_mode=False)
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
