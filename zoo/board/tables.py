"""The leaderboard as Markdown, CSV and JSON: an index and the files of each benchmark, the same bytes for the same
records."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path, PurePath

from zoo import paths
from zoo.board import accuracy, attribute_tables, explained, exports, index, published, reliability, rows, store
from zoo.board.cells import store as cell_store
from zoo.board.cells import tables as cell_tables
from zoo.board.explained_tables import section as explanations
from zoo.board.exports import Sheet
from zoo.board.index import MARK, title
from zoo.board.markdown import escape
from zoo.board.published import Published, Reported
from zoo.cell_record import CellRecord
from zoo.data import benchmark
from zoo.errors import ZooError
from zoo.record import Record

_NOTES = """\
*Mean class accuracy* is the unweighted mean of the classes' accuracies over all predictions of the bank, *accuracy* \
the mean over its draws. *Labels seen* counts labelled training images, supports not included. Papers' figures are \
*reported* and never ranked among ours, which are *measured*; their intervals are binomial, of the number of images \
they tested, as they say nothing of their support draws. *Above*, *within* and *below* say where our interval lies \
beside the paper's figure. *Reproduced* needs the paper's method, backbone, images and protocol. All figures are in \
per cent."""
_COVERS = """\
Intervals are 95 % and cover support draws and images, duplicates drawn together; an interval of no width says that no \
resample differed, not that the figure is certain. {seeds} **Variation between patients is not covered: the images \
carry no patient ids.**"""
_RANKS = """\
*Rank* 1-3: no paired test over the same draws and images, corrected after Holm for all pairs of this table, tells the \
row from the first, the second and the third."""

_COST = """\
The largest of each row's records, stage by stage: a run that finds an earlier one's training, embeddings or saliency \
in the cache spends nothing on them (0.0), - says that no record of the row has that stage, and \
"before" that its weights were trained in another run, whose time is not in the record. One measurement each, \
without an interval."""


def build(root: Path, out: Path, papers: Published | None = None) -> list[Path]:
    """Write the boards of all records below `root` into `out`; boards that no record has any more are removed."""
    files = _files(root, out, papers)
    for name, text in files.items():
        store.write_text(out / name, text)
    for left in _left(out, files):
        left.unlink()
    return [out / name for name in files]


def check(root: Path, out: Path, papers: Published | None = None) -> list[str]:
    """What differs between the boards in `out` and what `build` would write there, one line each."""
    files = _files(root, out, papers)
    lines = [f"{left}: no record has this benchmark any more" for left in _left(out, files)]
    for name, text in files.items():
        if not (out / name).is_file():
            lines.append(f"{out / name}: is missing")
            continue
        pairs = zip_longest((out / name).read_text("utf-8").splitlines(), text.splitlines())
        differing = [number for number, (found, wanted) in enumerate(pairs, start=1) if found != wanted]
        if differing:
            lines.append(f"{out / name}: line {differing[0]} differs ({len(differing)} in all)")
    kept = [(file, store.read(file).key) for file in store.files(root)]
    for file, key in (*kept, *((file, cell_store.read(file).key) for file in cell_store.files(root))):
        if file != (place := root / key):
            lines.append(f"{file}: should stand at {place}")
    return lines


def leaderboard(
    records: Iterable[Record],
    papers: Published,
    records_at: str = "records",
    protocols: Mapping[str, str] | None = None,
    cells: Sequence[CellRecord] = (),
) -> dict[str, str]:
    """File name -> content.

    records_at: the path of the records seen from the boards. protocols: name of each benchmark -> SHA-256 of its
    protocol file as it is today; boards of another one are marked as stale. cells: the records of cells.
    """
    sheets = [sheet(board, protocols or {}) for board in rows.boards(records)]
    files = {"README.md": index.page(sheets, papers, cell_tables.index(cells, papers))}
    for name in dict.fromkeys(one.board.benchmark for one in sheets):
        own = [one for one in sheets if one.board.benchmark == name]
        same = exports.files(name, own)
        files[f"{name}.md"] = _page(name, own, papers.for_benchmark(name), records_at, list(same))
        files |= same
    of_cells = cell_tables.files(cells, papers, MARK, records_at, protocols or {})
    if both := files.keys() & of_cells.keys():
        raise ZooError(f"{min(both)}: a benchmark of cells and one of episodes have this name; rename one of them")
    return files | of_cells


def sheet(board: rows.Board, protocols: Mapping[str, str]) -> Sheet:
    """A board with all that its tables show."""
    found = rows.rows(board)
    return Sheet(board, found, accuracy.rankings(found), explained.blocks(board), board.stale(protocols))


def protocols() -> dict[str, str]:
    """Name of each benchmark that has a file -> its SHA-256; those of cells are among them."""
    return {name: benchmark.benchmark(name).sha256 for name in benchmark.names()} | cell_store.protocols()


def _files(root: Path, out: Path, papers: Published | None) -> dict[str, str]:
    papers = published.load(paths.published()) if papers is None else papers
    at = PurePath(os.path.relpath(root, out)).as_posix()
    return leaderboard(store.find(root), papers, at, protocols(), cell_store.find(root))


def _left(out: Path, files: Mapping[str, str]) -> list[Path]:
    """Boards of ours (they carry the mark), and their tables, that are not among the files."""
    boards = [
        file for file in sorted(out.glob("*.md"))
        if file.name not in files and file.read_text("utf-8", errors="replace").startswith(MARK)
    ]  # fmt: skip
    tables = [out / name for file in boards for name in exports.names(file.stem)]
    return [*boards, *(file for file in tables if file.is_file())]


def _page(
    name: str, sheets: Sequence[Sheet], reported: Sequence[Reported], records_at: str, files: Sequence[str]
) -> str:
    linked = ", ".join(f"[{file}]({file})" for file in files)
    lines = [MARK, "", f"# {escape(name)}", "", f"[All benchmarks](README.md). The same as tables: {linked}."]
    lines += ["", _NOTES, ""]
    for one in sheets:
        lines += [f"## {title(one)}", "", *_provenance(one), ""]
        for ranked in one.rankings:
            heading = "### Accuracy" + (", transductive methods" if ranked.kind == "transductive" else "")
            lines += [heading, "", *accuracy.ranking(ranked, reported, records_at), "", *_covers(ranked), ""]
        lines += ["### Accuracy of each class", "", *accuracy.by_class(one.board, one.rows, reported), ""]
        lines += [_covered(one.rows), ""]
        lines += explanations(one.blocks, one.board)
        lines += reliability.section(one.blocks, one.board)
        lines += attribute_tables.section(one.board)
        lines += ["### Cost", "", *accuracy.cost(one.rows), "", _COST, ""]
    return "\n".join(lines).rstrip() + "\n"


def _covers(ranked: accuracy.Ranking) -> list[str]:
    lines = [_covered(ranked.rows)]
    if ranked.ties and (typical := ranked.ties.typical) is not None:
        shown = "Between neighbouring rows a single test shows a true difference of "
        lines += ["", f"{_RANKS} {shown}{100 * typical:.2f} points in 80 % of all cases (median)."]
    return lines


def _covered(found: Sequence[rows.Row]) -> str:
    several, single = (any((len(row.seeds) > 1) is flag for row in found) for flag in (True, False))
    seeds = "Where a row has several training seeds they are covered too; " if several else ""
    alone = "rows of one seed say nothing of others." if several else "No row has more than one training seed."
    return _COVERS.format(seeds=seeds + alone if single else seeds.removesuffix("; ") + ".")


def _provenance(one: Sheet) -> list[str]:
    record, made, predictions = one.board.first, one.board.first.provenance, one.board.first.predictions
    hashes = {"images": made.item_set_sha256, "bank": made.bank_sha256, "benchmark": made.benchmark_sha256}
    named = ", ".join(f"{what} `{escape(digest[:12])}`" for what, digest in hashes.items())
    count = f"{len(predictions.lengths)} draws, {sum(predictions.lengths)} predictions"
    lines = [f"{count} of {len(predictions.items)} images; {named}."]
    if one.stale:
        lines.append("**Stale: the protocol file has changed since; these rows are not ranked with today's.**")
    if record.synthetic:
        lines.append("**The images are drawn by a program; nothing here says how a method does on real cells.**")
    if record.subset:
        lines.append(f"**Only the subset {escape(record.subset)} of the dataset's images was there.**")
    if all(record.method != "supervised" for record in one.board.records):
        lines.append("**The control `supervised` is missing: nothing here says what the training labels alone give.**")
    return lines
