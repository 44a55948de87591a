"""The leaderboard as Markdown: an index and one file a benchmark, the same bytes for the same records."""

import os
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path, PurePath

from zoo import paths
from zoo.board import accuracy, explained, published, rows, store
from zoo.board.markdown import escape, percent, table
from zoo.board.published import Published, Reported
from zoo.board.rows import Board, Row
from zoo.record import Record

Ranked = list[tuple[Board, list[Row]]]

MARK = "<!-- Written by `zoo leaderboard`; edit the records, not this file. -->"
_NOTES = """\
*Mean class accuracy* is the unweighted mean of the classes' accuracies over all predictions of the bank, *accuracy* \
the mean over its draws. Intervals are 95 %, of resampling support draws and images; an interval of no width says \
that no resample differed, not that the figure is certain. Where several training seeds stand in one row, figures and \
interval ends are their means. *Labels seen* counts labelled training images, supports not included. Papers' figures \
are *reported* and never ranked among ours, which are *measured*; *above*, *within* and *below* say where our interval \
lies beside the paper's figure. *Reproduced* needs the paper's method, backbone, images and protocol."""


def build(root: Path, out: Path, papers: Published | None = None) -> list[Path]:
    """Write the boards of all records below `root` into `out`; boards that no record has any more are removed."""
    files = _files(root, out, papers)
    for name, text in files.items():
        store.write_text(out / name, text)
    for stale in _stale(out, files):
        stale.unlink()
    return [out / name for name in files]


def check(root: Path, out: Path, papers: Published | None = None) -> list[str]:
    """What differs between the boards in `out` and what `build` would write there, one line each."""
    files = _files(root, out, papers)
    lines = [f"{stale}: no record has this benchmark any more" for stale in _stale(out, files)]
    for name, text in files.items():
        if not (out / name).is_file():
            lines.append(f"{out / name}: is missing")
            continue
        pairs = zip_longest((out / name).read_text("utf-8").splitlines(), text.splitlines())
        differing = [number for number, (found, wanted) in enumerate(pairs, start=1) if found != wanted]
        if differing:
            lines.append(f"{out / name}: line {differing[0]} differs ({len(differing)} in all)")
    for file in sorted(root.rglob("*.json")):
        place = root / store.read(file).key
        if file != place:
            lines.append(f"{file}: should stand at {place}")
    return lines


def leaderboard(records: Iterable[Record], papers: Published, records_at: str = "records") -> dict[str, str]:
    """File name -> Markdown. `records_at` is the path of the records seen from the boards."""
    ranked = [(board, rows.rows(board)) for board in rows.boards(records)]
    files = {"README.md": _index(ranked, papers)}
    for name in dict.fromkeys(board.benchmark for board, _ in ranked):
        own = [(board, found) for board, found in ranked if board.benchmark == name]
        files[f"{name}.md"] = _page(name, own, papers.for_benchmark(name), records_at)
    return files


def _files(root: Path, out: Path, papers: Published | None) -> dict[str, str]:
    papers = published.load(paths.published()) if papers is None else papers
    return leaderboard(store.find(root), papers, PurePath(os.path.relpath(root, out)).as_posix())


def _stale(out: Path, files: dict[str, str]) -> list[Path]:
    """Boards of ours (they carry the mark) that are not among the files."""
    return [
        file for file in sorted(out.glob("*.md"))
        if file.name not in files and file.read_text("utf-8", errors="replace").startswith(MARK)
    ]


def _page(name: str, ranked: Ranked, reported: Sequence[Reported], records_at: str) -> str:
    lines = [MARK, "", f"# {escape(name)}", "", "[All benchmarks](README.md)", "", _NOTES, ""]
    for board, found in ranked:
        lines += [f"## {_title(board)}", "", *_provenance(board), ""]
        lines += ["### Accuracy", "", *accuracy.ranking(found, reported, records_at), ""]
        lines += ["### Accuracy of each class", "", *accuracy.by_class(board, found, reported), ""]
        lines += explained.section(board)
    return "\n".join(lines).rstrip() + "\n"


def _title(board: Board) -> str:
    record = board.first
    images = f"{escape(record.dataset)}, " + (f"subset {escape(record.subset)}" if record.subset else "whole")
    bank = f"{record.bank.way}-way {record.bank.shot}-shot, bank `{record.bank.kind}`"
    return f"{images}{', synthetic images' if record.synthetic else ''}: {bank}"


def _provenance(board: Board) -> list[str]:
    made, predictions = board.first.provenance, board.first.predictions
    hashes = {"images": made.item_set_sha256, "bank": made.bank_sha256, "benchmark": made.benchmark_sha256}
    named = ", ".join(f"{what} `{escape(digest[:12])}`" for what, digest in hashes.items())
    count = f"{len(predictions.lengths)} draws, {sum(predictions.lengths)} predictions"
    lines = [f"{count} of {len(predictions.items)} images; {named}."]
    if board.first.synthetic:
        lines.append("**The images are drawn by a program; nothing here says how a method does on real cells.**")
    if board.first.subset:
        lines.append(f"**Only the subset {escape(board.first.subset)} of the dataset's images was there.**")
    return lines


def _index(ranked: Ranked, papers: Published) -> str:
    header = ["benchmark", "images", "rows", "best method", "backbone", "mean class accuracy", "reported by a paper"]
    lines = [MARK, "", "# Leaderboard", ""]
    if ranked:
        lines += table(header, (_index_row(board, found, papers) for board, found in ranked))
    else:
        lines += ["There is no record yet: `zoo run`, then `zoo submit RECORD`."]
    lines += ["", "Benchmarks and banks are not comparable with one another; each board says how it is measured.", ""]
    lines += ["## Reported by papers", "", "Copied from the papers, measured by nobody here. Figures in per cent.", ""]
    named = ["paper", "method", "backbone", "way / shot", "labels seen", "figures", "images", "stands beside", "note"]
    lines += table(named, (_paper_row(paper, row) for paper in papers.papers for row in paper.rows))
    return "\n".join(lines) + "\n"


def _index_row(board: Board, found: Sequence[Row], papers: Published) -> list[str]:
    record, best = board.first, found[0]
    reported = published.main_row(papers.for_benchmark(board.benchmark), record.classes)
    paper = reported.row.figures.get("mean_class_accuracy") if reported else None
    images = escape(record.dataset) + (f", subset {escape(record.subset)}" if record.subset else "")
    return [
        f"[{escape(board.benchmark)}]({board.benchmark}.md)",
        images + (", synthetic" if record.synthetic else ""),
        str(len(found)),
        accuracy.method_cell(best, found),
        accuracy.backbone_cell(best.first),
        percent(best.figure("mean_class_accuracy")),
        "-" if paper is None else f"{100 * paper:.2f}",
    ]


def _paper_row(paper: published.Paper, row: published.Row) -> list[str]:
    figures = [f"{name.replace('_', ' ')} {100 * value:.2f}" for name, value in row.figures.items()]
    return [
        escape(f"{paper.authors} {paper.year}, {paper.identifier}"),
        escape(row.title),
        escape(row.backbone_title),
        f"{row.way} / {row.shot}" if row.way else "-",
        "-" if row.labels_seen is None else str(row.labels_seen),
        escape(", ".join(figures)),
        escape(paper.images),
        ", ".join(f"`{name}`" for name in paper.benchmarks) or "-",
        escape(row.note) or "-",
    ]
