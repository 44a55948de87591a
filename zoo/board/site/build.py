"""The site: one folder of static pages that needs no network and reads without JavaScript."""

import shutil
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib import resources
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoo import atomic, paths, registry
from zoo.board import explained, floors, published, store
from zoo.board.cells import store as cell_store
from zoo.board.published import Published
from zoo.board.site import cells, figures, plugins, svg
from zoo.board.site.naming import slug
from zoo.board.site.view import Entry, Sheet, View, view
from zoo.cell_record import CellRecord
from zoo.data import benchmark
from zoo.errors import ZooError
from zoo.record import Record

_PACKAGE = "zoo.board.site"
_LIST = ".pages"
"""What the last build wrote, so that the next one removes no file of anybody else's."""
_STATIC = ("style.css", "site.js")


def build(root: Path, out: Path, papers: Published | None = None, protocols: Mapping[str, str] | None = None) -> Path:
    """Write the site of all records below `root` into `out`, with copies of the records and of the galleries beside
    them. Returns the path of its first page. ZooError where `out` holds something else."""
    papers = published.load(paths.published()) if papers is None else papers
    if protocols is None:
        protocols = {name: benchmark.benchmark(name).sha256 for name in benchmark.names()}
    _ours(out)
    pictures = partial(_gallery, root)
    of_cells = cells.sheets(cell_store.find(root), papers, cell_store.protocols(), pictures)
    found = view(store.find(root), of_cells, papers, protocols, pictures)
    written = []
    for name, text in _pages(found):
        store.write_text(out / name, text)
        written.append(name)
    for name in _STATIC:
        store.write_text(out / name, (resources.files(_PACKAGE) / "static" / name).read_text("utf-8"))
        written.append(name)
    for record in chain(*(entry.row.records for entry in found.entries), *(one.board.records for one in found.cells)):
        _copy_record(root, record, out)
        written.append(f"records/{record.key}")
    for picture in chain(*(entry.pictures for entry in found.entries), *(one.pictures for one in found.cells)):
        _copy(picture.file, out / picture.page)
        written.append(picture.page)
    _sweep(out, written)
    return out / "index.html"


def _pages(found: View) -> Iterator[tuple[str, str]]:
    """(path, HTML) of every page."""
    shared: dict[str, Any] = {"site": found}
    for name in ("index", "methods", "explainers", "gallery", "reported", "about"):
        yield f"{name}.html", _render(name, "", shared | _lists(found))
    families = found.families()
    for sheet in found.sheets:
        yield sheet.page, _render("board", "../", {"sheet": sheet, "family": families[sheet.family]})
        for entry in sheet.entries:
            yield entry.page, _render("row", "../", {"entry": entry})
    for sheet in found.cells:
        yield sheet.page, _render("cells", "../", {"sheet": sheet})
    methods = found.methods()
    for name in sorted({*registry.names("methods"), *methods}):
        rows = methods.get(name, [])
        own = {"plugin": plugins.read("methods", name), "entries": rows, "by_sheet": _by_sheet(rows)}
        lines = [(sheets, name) for sheets in families.values() if len(sheets) > 1] if rows else []
        yield f"methods/{slug(name)}.html", _render("method", "../", own | {"families": lines})
    explainers = found.explainers()
    for name in sorted({*registry.names("explainers"), *explainers}):
        rows = explainers.get(name, [])
        pictures = [p for p in _all_pictures(found) if p.record.explainer == name]
        own = {"plugin": plugins.read("explainers", name), "found": rows, "pictures": pictures}
        yield f"explainers/{slug(name)}.html", _render("explainer", "../", own)


def _lists(found: View) -> dict[str, Any]:
    methods, explainers = found.methods(), found.explainers()
    return {
        "methods": [
            (plugins.read("methods", name), methods.get(name, []))
            for name in sorted({*registry.names("methods"), *methods})
        ],
        "explainers": [
            (plugins.read("explainers", name), explainers.get(name, []))
            for name in sorted({*registry.names("explainers"), *explainers})
        ],
        "kinds": sorted({entry.kind for entry in found.entries}),
        "pictures": _all_pictures(found),
    }


def _all_pictures(found: View) -> list[Any]:
    return [picture for sheet in found.sheets for picture in sheet.pictures]


def _by_sheet(entries: list[Entry]) -> list[tuple[Sheet, list[Entry]]]:
    groups: dict[Sheet, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.sheet, []).append(entry)
    return list(groups.items())


def _render(name: str, root: str, values: dict[str, Any]) -> str:
    return _templates().get_template(f"{name}.html").render(root=root, page=name, **values)


@cache
def _templates() -> Environment:
    """Everything a record says is escaped and kept to one line; only our own SVG is Markup."""
    made = Environment(
        loader=PackageLoader(_PACKAGE, "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=svg.plain, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters |= {
        "slug": slug, "duration": svg.duration, "percent": _percent, "interval": _interval,
        "prose": svg.prose, "ranked": lambda rank: rank.replace("-", "\u2013"),
    }  # fmt: skip
    made.globals |= {
        "figures": figures, "meaning": explained.meaning, "beaten": floors.BEATEN, "floors": explained.FLOORS,
        "safe_command": safe_command, "uncertain": published.uncertain,
    }  # fmt: skip
    return made


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _interval(figure: Any, signed: bool = False) -> str:
    low, high = 100 * figure.low, 100 * figure.high
    if signed:
        return f"{low:+.1f} to {high:+.1f}"
    return f"{low:.1f} to {high:.1f}" if low < 0 else f"{low:.1f}\u2013{high:.1f}"


def safe_command(command: str) -> bool:
    """Whether a stored command is a `zoo` command and nothing more, so that it may be pasted into a shell."""
    return command.startswith("zoo ") and not set(command) & set(";|&$`<>\\\n\r!(){}")


def _gallery(root: Path, record: Record | CellRecord) -> Path | None:
    """The picture that the run drew beside its record."""
    beside = (root / record.key).with_suffix(".png")
    return beside if beside.is_file() else None


def _copy_record(root: Path, record: Record | CellRecord, out: Path) -> None:
    source = root / record.key
    if source.is_file():
        _copy(source, out / "records" / record.key)
    elif isinstance(record, CellRecord):
        cell_store.write(record, out / "records")
    else:
        store.write(record, out / "records")


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as content, atomic.replacing(target) as file:
            shutil.copyfileobj(content, file)
    except OSError as error:
        raise ZooError(f"{target}: cannot be written ({error.strerror}); choose another folder with --site") from None


def _ours(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / _LIST).is_file():
        raise ZooError(f"--site {out}: holds something else; give an empty or a new folder")
    if out.exists() and not out.is_dir():
        raise ZooError(f"--site {out}: is a file; give a folder")


def _sweep(out: Path, written: list[str]) -> None:
    """Remove what an earlier build wrote and this one did not."""
    listed = out / _LIST
    before = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    for name in set(before) - set(written):
        place = PurePosixPath(name)
        if not place.is_absolute() and ".." not in place.parts:
            (out / place).unlink(missing_ok=True)
    store.write_text(listed, "\n".join(sorted(written)) + "\n")
