"""Boards of cells: rows and their seeds, paired tests and equivalence, pages, and the commands that show them."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from cell_records import PROTOCOL, record
from markdown_it import MarkdownIt
from rich.console import Console
from statsmodels.stats.weightstats import ttost_paired

from zoo import cli, paths
from zoo.board import published, tables
from zoo.board.cells import columns, compare, figures, page, paired, rows, store, terminal
from zoo.board.cells import tables as cell_tables
from zoo.board.published import Published
from zoo.cell_record import CellRecord
from zoo.errors import ZooError
from zoo.record import Figure

OURS = [record(seed, 0.06) for seed in (0, 1)]
PAPER = record(0, 0.3, draw=7, model="hemax", backbone="resnet50", model_settings={"epochs": 200})
REAL = published.load(paths.published())
PAPERS = Published(
    tuple(
        one.model_copy(update={"benchmarks": ("toy_fields",)}) if one.dataset == "leukox" else one
        for one in REAL.papers
    )
)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return tables.leaderboard([], PAPERS, cells=[*OURS, PAPER])


def parts(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    lines = text.split(f"{heading}\n", 1)[1].lstrip("\n").split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    end = next(number for number, line in enumerate([*lines, ""]) if number > start and not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end] if "---" not in line]


def test_hemax_s_row_is_that_of_the_paper() -> None:
    (row,) = REAL.for_benchmark("leukox")
    assert row.row.figures == {"field_accuracy": 0.8108, "cell_jaccard": 0.8916, "nc_nmse": 0.0317}
    assert {"bccd_fields", "segmentation_wbc_cells", "smear_fields"} <= set(row.paper.benchmarks)
    assert all(name in figures.metrics() for name in row.row.figures)


def test_seeds_are_one_row_and_other_settings_are_another() -> None:
    other = record(0, 0.06, model_settings={"epochs": 31})
    (board,) = rows.boards([*OURS, PAPER, other])
    found = rows.rows(board)
    assert sorted(len(one.seeds) for one in found) == [1, 1, 2]
    assert page.names(found).count("`cellnet` epochs=30") == 1
    assert page.names(found).count("`cellnet` epochs=31") == 1
    accuracy = [np.mean(list(one.values("cell_accuracy").values())) for one in found]
    assert accuracy == sorted(accuracy, reverse=True)


def test_other_folds_and_other_fields_are_other_boards() -> None:
    made = [OURS[0], record(0, 0.06, folds=4), record(0, 0.06, item_set_sha256="2" * 64)]
    assert len(rows.boards(made)) == 3
    assert not rows.boards(made)[0].stale({"toy_fields": PROTOCOL})
    assert rows.boards(made)[0].stale({"toy_fields": "c" * 64})


def test_a_row_of_two_seeds_is_their_mean_with_a_wider_interval() -> None:
    row = rows.row(OURS)
    both = row.figure("cell_accuracy")
    each = [one.figures["cell_accuracy"] for one in OURS]
    assert both is not None
    assert both.value == pytest.approx(np.mean([one.value for one in each]))
    assert both.high - both.low > max(one.high - one.low for one in each)
    assert 0 <= both.low <= both.high <= 1
    assert rows.row(OURS[:1]).figure("cell_accuracy") == each[0]
    assert row.figure("cell_jaccard", "granularity") is None


def test_what_a_model_did_not_learn_to_say_is_neither_shown_nor_ranked() -> None:
    silent = record(0, 0.02, draw=3, model_settings={"explains": False})
    assert "nc_nmse" in silent.figures
    row = rows.row([silent])
    assert row.figure("cell_accuracy") == silent.figures["cell_accuracy"]
    assert row.figure("cell_jaccard") is None
    assert row.figure("attribute_accuracy", "granularity") is None
    assert paired.ranks([row, rows.row([PAPER])], "nc_nmse") == ["-", "1"]
    written = tables.leaderboard([], PAPERS, cells=[silent, PAPER])["toy_fields.md"]
    line = next(one for one in parts(written, "### Masks and N:C") if "cellnet" in one[1])
    assert line == ["-", "`cellnet`", *["-"] * (len(line) - 3), "measured"]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal.show(silent, PAPERS))
    said = console.export_text()
    assert "box Jaccard" in said
    assert "cell Jaccard" not in said
    assert "granularity" not in said


def test_paired_differences_are_of_the_same_resamples() -> None:
    found = {part.metric: part for part in paired.compare([OURS[0]], [PAPER])}
    for name in ("cell_accuracy", "nc_nmse", "average_precision"):
        part = found[name]
        a, b = OURS[0].figures[name].value, PAPER.figures[name].value
        assert part.difference.figure.value == pytest.approx(a - b)
        drawn = figures.draws(OURS[0], name) - figures.draws(PAPER, name)
        assert part.difference.figure.low == pytest.approx(np.quantile(drawn, 0.025))
    assert found["cell_accuracy"].better == "a"
    same = paired.compare([PAPER], [PAPER])
    assert {(part.difference.figure.value, part.difference.p, part.better) for part in same} == {(0, 1, "")}


def test_lower_is_better_of_errors() -> None:
    good, bad = record(0, 0.02, draw=3), record(0, 0.5, draw=4)
    part = next(part for part in paired.compare([good], [bad]) if part.metric == "nc_nmse")
    assert part.difference.figure.value < 0
    assert part.better == "a"
    assert paired.ranks([rows.row([bad]), rows.row([good])], "nc_nmse") == ["2", "1"]


def test_equivalence_is_statsmodels_with_one_value_a_field() -> None:
    """Field accuracy is one right or wrong a field: the bootstrap's standard error is that of the paired t test."""
    one, other = (record(0, 0.2, fields=300, draw=draw) for draw in (1, 2))
    tables = [figures.table(made) for made in (one, other)]
    right = []
    for made in tables:
        value = figures.metrics()["field_accuracy"]
        right.append([value.value(made.of_fields(np.arange(300) == field)) for field in range(300)])
    for margin in (0.02, 0.05, 0.1, 0.2):
        wanted, lower, upper = ttost_paired(np.array(right[0]), np.array(right[1]), -margin, margin)
        found = paired.equivalence([one], [other], "field_accuracy", margin)
        assert found.p_lower == pytest.approx(lower[1], abs=0.02)
        assert found.p_upper == pytest.approx(upper[1], abs=0.02)
        assert found.p == pytest.approx(wanted, abs=0.02)
        inside = -margin < found.difference.low and found.difference.high < margin
        assert found.equivalent == inside or abs(found.p - 0.05) < 0.02
    assert paired.equivalence([one], [one], "field_accuracy", 0.001).equivalent


def test_training_seeds_widen_the_test_of_equivalence() -> None:
    """Seed by seed with two degrees of freedom: Student's t of the differences is added to the fields' own spread."""
    a, b = ([record(seed, 0.1, draw=10 * side + seed) for seed in range(3)] for side in (1, 2))
    together, alone = (paired.equivalence(*pair, "cell_accuracy", 0.05) for pair in ((a, b), (a[:1], b[:1])))
    apart = np.array(
        [x.figures["cell_accuracy"].value - y.figures["cell_accuracy"].value for x, y in zip(a, b, strict=True)]
    )
    assert together.difference.value == pytest.approx(apart.mean())
    from scipy import stats

    seeds_alone = stats.t.sf((0.05 - abs(apart.mean())) / (apart.std(ddof=1) / np.sqrt(3)), 2)
    assert together.p > seeds_alone - 1e-3
    assert alone.difference.value == pytest.approx(apart[0])


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ZooError, match="not of the same fields and folds"):
        paired.compare([OURS[0]], [record(0, folds=4)])
    with pytest.raises(ZooError, match="two benchmarks"):
        paired.compare([OURS[0]], [record(0, benchmark="other_fields")])
    with pytest.raises(ZooError, match="unknown metric 'acuracy'"):
        paired.equivalence([OURS[0]], [PAPER], "acuracy")
    with pytest.raises(ZooError, match="give a number above 0"):
        paired.equivalence([OURS[0]], [PAPER], margin=0)
    with pytest.raises(ZooError, match="at least one record"):
        paired.compare([], [PAPER])


def test_the_page_shows_rows_floors_and_the_paper(pages: dict[str, str]) -> None:
    text = pages["toy_fields.md"]
    assert text.startswith(tables.MARK)
    head, ours, hemax, majority, paper = parts(text, "### Classes and places")
    assert head[:4] == ["rank", "model", "backbone", "training seeds"]
    assert ours[1] == "`cellnet`"
    assert ours[3].startswith("2: ")
    assert ours[4] == columns.shown("field_accuracy", rows.row(OURS).figure("field_accuracy"))
    assert "records/cells/toy_fields/conv4/cellnet/" in ours[-1]
    assert (hemax[1], hemax[8]) == ("`hemax`", columns.shown("cell_jaccard", PAPER.figures["cell_jaccard"]))
    assert majority[1] == "`majority`"
    assert majority[5] == columns.shown("cell_accuracy", PAPER.floors["majority"]["cell_accuracy"])
    assert (paper[1], paper[4], paper[8], paper[9]) == ("HemaX", "81.08", "89.16", "*reported*")
    assert "another set-up" in hemax[10]
    masks = parts(text, "### Masks and N:C")
    assert [line[1] for line in masks] == ["model", "`cellnet`", "`hemax`", "`majority`", "`class`", "HemaX"]
    assert masks[-1][masks[0].index("N:C NMSE")] == "0.0317"
    assert len(parts(text, "### Each fold")) == 1 + 3 * 4
    assert len(parts(text, "### Cost and origin")) == 1 + 3
    within = parts(text, "### Each attribute: within-class accuracy")
    assert within[0] == ["model", "nucleus\\_shape", "source"] or within[0] == ["model", "nucleus_shape", "source"]
    (_, difference) = parts(text, "### Differences")
    assert difference[0] == "`hemax`"


def test_the_front_page_links_it(pages: dict[str, str]) -> None:
    front = pages["README.md"]
    head, line = parts(front, "## Cells in fields")
    assert line[0] == "[toy_fields](toy_fields.md)"
    assert line[-1] == "field accuracy 81.08, cell Jaccard 89.16, N:C NMSE 0.0317"
    assert len(head) == len(line)
    assert "field accuracy 81.08, cell Jaccard 89.16, N:C NMSE 0.0317" in front.split("## Reported by papers")[1]


def test_the_csv_has_a_line_for_each_row_and_floor(pages: dict[str, str]) -> None:
    lines = list(csv.DictReader(io.StringIO(pages["toy_fields.csv"])))
    assert [(line["kind"], line["model"]) for line in lines] == [
        ("measured", "cellnet"), ("measured", "hemax"), ("floor", "majority"), ("floor", "class"),
    ]  # fmt: skip
    assert float(lines[1]["cell_jaccard"]) == pytest.approx(PAPER.figures["cell_jaccard"].value, abs=1e-6)
    assert (lines[0]["rank_first"], lines[0]["training_seeds"]) == ("1", "0 1")
    assert lines[0]["granularity attribute_accuracy"]


def test_a_record_of_the_paper_s_set_up_is_not_called_another() -> None:
    same = record(0, model="hemax", backbone="resnet50", dataset="leukox", benchmark="leukox")
    assert page.same_setting(same, REAL.for_benchmark("leukox")[0])
    for change in ({"subset": "half"}, {"synthetic": True}, {"backbone": "resnet18"}):
        assert not page.same_setting(same.model_copy(update=change), REAL.for_benchmark("leukox")[0])


def test_standing_beside_the_paper() -> None:
    figure = Figure(value=0.5, low=0.4, high=0.6)
    assert columns.standing("cell_accuracy", figure, 0.55) == "within"
    assert columns.standing("cell_accuracy", figure, 0.3) == "better"
    assert columns.standing("cell_accuracy", figure, 0.7) == "worse"
    assert columns.standing("nc_nmse", figure, 0.3) == "worse"
    assert columns.standing("nc_nmse", figure, 0.7) == "better"


def test_figures_are_shown_in_per_cent_or_as_numbers() -> None:
    figure = Figure(value=0.03171, low=0.02, high=0.04)
    assert columns.shown("nc_nmse", figure) == "0.0317 (0.0200-0.0400)"
    assert columns.shown("cell_jaccard", figure) == "3.17 (2.0-4.0)"
    assert columns.apart("nc_nmse", figure) == "+0.0317 (+0.0200 to +0.0400)"
    assert columns.apart("cell_jaccard", figure) == "+3.17 (+2.0 to +4.0)"
    assert (columns.shown("nc_nmse", None), columns.alone("nc_nmse", None)) == ("-", "-")


def test_the_terminal_shows_floors_and_the_paper() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(terminal.show(PAPER, PAPERS))
    text = console.export_text()
    for said in ("hemax on toy_fields", "81.08", "89.16", "0.0317", "majority", "told the", "nucleus_shape",
                 "another set-up", "321.5 s"):  # fmt: skip
        assert said in text
    console.print(terminal.show(PAPER, Published(())))
    assert "paper" not in console.export_text()


HOSTILE = "<script>alert(1)</script>[x](https://evil.example) `a` | \n# b\x1b[31m \u202e[bold]m[/bold]"


def hostile() -> CellRecord:
    made = record(0, classes=[HOSTILE, "b", "c"], dataset=HOSTILE, subset=HOSTILE, model_settings={HOSTILE: HOSTILE})
    content = made.model_dump()
    content["attributes"][0]["name"] = HOSTILE
    content["attribute_figures"][HOSTILE] = content["attribute_figures"].pop("granularity")
    content["attribute_floors"]["class"][HOSTILE] = content["attribute_floors"]["class"].pop("granularity")
    content["provenance"] |= {"device": HOSTILE, "command": HOSTILE, "created": HOSTILE, "item_set_sha256": HOSTILE}
    content["provenance"]["seconds"][HOSTILE] = 1.0
    return CellRecord.model_validate(content)


def test_names_from_a_stranger_s_record_are_plain_text() -> None:
    other = hostile().model_copy(update={"model_settings": {HOSTILE: "x"}})
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal.show(hostile(), PAPERS))
    assert "\x1b[31m" not in console.export_text(styles=False)
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    made = tables.leaderboard([], PAPERS, cells=[hostile(), other])
    for text in (text for name, text in made.items() if name.endswith(".md")):
        assert all(char.isprintable() or char == "\n" for char in text)
        tokens = [inner for token in markdown.parse(text) for inner in (token, *(token.children or ()))]
        html = [token.content.strip() for token in tokens if token.type in ("html_block", "html_inline")]
        assert html == [tables.MARK]
        links = [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]
        assert all(link.startswith(("records/", "README.md", "toy_fields.")) for link in links)


def zoo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["zoo", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out + err


def test_submit_build_and_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "leaderboard", lambda: tmp_path / "leaderboard")
    monkeypatch.setattr(store, "protocols", lambda: {"toy_fields": PROTOCOL})
    given = [str(store.write(made, tmp_path / "runs")) for made in (*OURS, PAPER)]
    assert zoo(monkeypatch, capsys, "submit", *given)[0] == 0
    kept = store.files(tmp_path / "leaderboard" / "records")
    assert len(kept) == 3
    code, said = zoo(monkeypatch, capsys, "leaderboard")
    assert (code, "toy_fields.md" in said) == (0, True)
    assert zoo(monkeypatch, capsys, "leaderboard", "check")[0] == 0
    shelf = tmp_path / "leaderboard"
    kept[0].rename(kept[0].with_name("other.json"))
    (shelf / "toy_fields.csv").write_text("x")
    found = tables.check(shelf / "records", shelf)
    assert any("should stand at" in line for line in found)
    assert any("toy_fields.csv: line 1 differs" in line for line in found)
    for file in store.files(shelf / "records"):
        file.unlink()
    tables.build(shelf / "records", shelf)
    assert not (shelf / "toy_fields.md").exists()
    assert not (shelf / "toy_fields.csv").exists()


def test_submit_writes_nothing_where_one_record_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "leaderboard", lambda: tmp_path / "leaderboard")
    monkeypatch.setattr(store, "protocols", lambda: {"toy_fields": PROTOCOL})
    good = store.write(OURS[0], tmp_path / "runs")
    (tmp_path / "bad.json").write_text("{}")
    code, said = zoo(monkeypatch, capsys, "submit", str(good), str(tmp_path / "bad.json"))
    assert (code, said.startswith("error: "), said.count("\n")) == (2, True, 1)
    assert not (tmp_path / "leaderboard").exists()


def test_a_benchmark_of_episodes_of_the_same_name_is_an_error() -> None:
    from records import record as episodes

    with pytest.raises(ZooError, match="rename one of them"):
        tables.leaderboard([episodes()], Published(()), cells=[record(0, benchmark="toy_2way_5shot")])


def test_compare_shows_every_metric_and_the_equivalence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    for made in OURS:
        store.write(made, tmp_path)
    paper = store.write(PAPER, tmp_path)
    ours = tmp_path / "cells" / "toy_fields" / "conv4" / "cellnet"
    code, said = zoo(monkeypatch, capsys, "compare", str(ours), str(paper), "--margin", "2")
    assert code == 0
    assert "seeds 0, 1" in said
    assert "N:C NMSE" in said
    assert "within 2 points (TOST p " in said
    code, said = zoo(monkeypatch, capsys, "compare", str(tmp_path / "cells"), str(paper))
    assert (code, "records of 2 rows" in said) == (2, True)
    assert not compare.are_cells(str(tmp_path / "none"), str(paper))


def test_without_a_record_there_is_no_section() -> None:
    assert cell_tables.index([], PAPERS) == []
    assert cell_tables.files([], PAPERS, "", "records", {}) == {}
