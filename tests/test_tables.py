"""The boards: what is merged, what is never ranked together, what stands beside the paper, and what is escaped."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from records import drawn, record
from rich.console import Console

from zoo import paths
from zoo.board import index, markdown, published, rows, store, tables, terminal
from zoo.errors import ZooError
from zoo.record import Figure, Record

CLASSES = ["basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet"]
NOBODY = published.Published(())
PAPERS = published.load(paths.published())


def pbc(share: float = 0.97, seed: int = 0, **changes: Any) -> Record:
    found = drawn(seed, share, 8, 160, 6)
    settings: dict[str, Any] = {"benchmark": "pbc_8way_5shot", "dataset": "pbc", "backbone": "tf_efficientnet_b3"}
    return record(seed, **({"classes": CLASSES, "predictions": found} | settings | changes))


def part(text: str, heading: str) -> list[list[str]]:
    """Rows of the first table below a heading, as cells."""
    lines = text[text.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    found = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found[:1] + found[2:]


def test_numbers_are_per_cent_with_their_interval() -> None:
    figure = Figure(value=0.98314, low=0.97949, high=0.98551)
    assert markdown.percent(figure) == "98.31 (97.9-98.6)"
    assert markdown.difference(Figure(value=-0.0123, low=-0.03, high=0.005)) == "-1.23 (-3.0 to +0.5)"
    assert markdown.percent(Figure(value=-0.0356, low=-0.039, high=-0.032)) == "-3.56 (-3.9 to -3.2)"
    assert markdown.difference(Figure(value=-1e-9, low=-1e-9, high=0)) == "+0.00 (+0.0 to +0.0)"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("[x](http://y)", r"\[x\](http&#58;//y)"),
        ("*a* `b` _c_ d_e", r"\*a\* \`b\` \_c\_ d_e"),
        ("one\n\n# two\x1b[2J\u202e", r"one \# two \[2J"),
        ("www.x.org me@x.org", "&#119;ww.x.org me&#64;x.org"),
        ("it's &amp;", "it's &amp;amp;"),
    ],
)
def test_no_name_breaks_out_of_its_cell(text: str, escaped: str) -> None:
    assert markdown.escape(text) == escaped


def test_a_crafted_record_shows_as_text() -> None:
    evil = "<img src=x onerror=alert(1)>|\n# [owned](http://evil)"
    made = record(classes=[evil, "platelet"], dataset=evil, subset=evil, method_settings={"margin": evil})
    other = record(classes=[evil, "platelet"], dataset=evil, subset=evil, method_settings={"margin": 1.0})
    files = tables.leaderboard([made, other], NOBODY)
    assert json.loads(files["toy_2way_5shot.json"])["rows"][0]["dataset"] == evil  # data, not markup
    assert all("\n# " not in files[name] for name in files if name.endswith(".csv"))
    for text in (files[name] for name in files if name.endswith(".md")):
        assert "<img" not in text
        assert "](http:" not in text
        assert "\n# \\[owned" not in text
        for heading in ("### Accuracy\n", "### Accuracy of each class", "### Explanations"):
            if heading in text:
                assert len({len(row) for row in part(text, heading)}) == 1


def test_rows_are_ranked_by_mean_class_accuracy() -> None:
    made = [pbc(0.9, method="matching"), pbc(0.995, method="knn"), pbc(0.95, method="simpleshot")]
    text = tables.leaderboard(made, NOBODY)["pbc_8way_5shot.md"]
    header, *lines = part(text, "### Accuracy")
    assert [line[:2] for line in lines] == [["1", "`knn`"], ["2", "`simpleshot`"], ["3", "`matching`"]]
    assert lines[0][header.index("mean class accuracy")] == markdown.percent(made[1].figures["mean_class_accuracy"])
    assert lines[0][header.index("labels seen")] == "250"
    costs, first, *_ = part(text, "### Cost")
    shown = [first[costs.index(name)] for name in ("train, s", "embed, s", "explain, s", "peak memory, MB")]
    assert shown == ["90.0", "2.5", "-", "512"]
    assert lines[0][header.index("records")] == f"[1](records/{made[1].key})"


def test_seeds_share_a_row_and_explainers_do_not_count_twice() -> None:
    made = [pbc(0.96, 0), pbc(0.98, 1), pbc(0.97, 2), pbc(0.96, 0, explainer="grad_cam")]
    (board,) = rows.boards(made)
    (row,) = rows.rows(board)
    assert [one.seed for one in row.seeds] == [0, 1, 2]
    assert len(row.records) == 4
    mean = sum(one.figures["accuracy"].value for one in made[:3]) / 3
    figure = row.figure("accuracy")
    assert figure is not None
    assert figure.value == pytest.approx(mean)
    # At least as wide as Student's interval of the seeds alone.
    values = [one.figures["accuracy"].value for one in made[:3]]
    assert figure.value - figure.low > 4.3 * np.std(values, ddof=1) / np.sqrt(3)
    header, line = part(tables.leaderboard(made, NOBODY)["pbc_8way_5shot.md"], "### Accuracy")
    values = " ".join(f"{100 * one.figures['mean_class_accuracy'].value:.2f}" for one in made[:3])
    assert line[header.index("training seeds")] == f"3: {values}"


@pytest.mark.parametrize(
    "change",
    [
        {"method_settings": {"margin": 2.0}}, {"weights_sha256": "9" * 64}, {"image_size": 160}, {"labels_seen": 80},
        {"backbone": "conv4"}, {"method": "matching"},
    ],
)  # fmt: skip
def test_whatever_else_differs_is_another_row(change: dict) -> None:
    (board,) = rows.boards([pbc(), pbc(**change)])
    assert len(rows.rows(board)) == 2


def test_settings_that_differ_are_named() -> None:
    made = [pbc(method_settings={"margin": 1.0, "pairs": kind}) for kind in ("paper", "batch")]
    _, *lines = part(tables.leaderboard(made, NOBODY)["pbc_8way_5shot.md"], "### Accuracy")
    assert sorted(line[1] for line in lines) == ["`stn` pairs=batch", "`stn` pairs=paper"]


@pytest.mark.parametrize("what", ["item_set_sha256", "bank_sha256", "benchmark_sha256"])
def test_other_images_or_episodes_are_never_ranked_together(what: str) -> None:
    change: dict[str, Any] = {what: "8" * 64}
    assert len(rows.boards([pbc(), pbc(**change)])) == 2
    text = tables.leaderboard([pbc(), pbc(**change)], NOBODY)["pbc_8way_5shot.md"]
    assert text.count("### Accuracy\n") == 2
    assert [row[0] for row in part(text, "### Accuracy")[1:]] == ["1"]
    assert [row[0] for row in part(text[text.rindex("### Accuracy\n") :], "### Accuracy")[1:]] == ["1"]


def test_subset_and_synthetic_stand_in_the_heading() -> None:
    made = [pbc(subset="pbc6000"), record(synthetic=True)]
    files = tables.leaderboard(made, NOBODY)
    assert "\n## pbc, subset pbc6000: 8-way 5-shot, bank `all`\n" in files["pbc_8way_5shot.md"]
    assert "\n## toy, whole, synthetic images: 2-way 5-shot, bank `all`\n" in files["toy_2way_5shot.md"]
    assert "pbc, subset pbc6000" in files["README.md"]
    assert "toy, whole, synthetic images" in files["README.md"]


@pytest.mark.parametrize(
    ("share", "change", "source", "beside"),
    [
        (1.0, {}, "reproduced", "above"),
        (0.97, {}, "reproduced", "within"),
        (0.8, {}, "not reproduced", "below"),
        (1.0, {"subset": "pbc6000"}, "measured", "above (another set-up)"),
        (1.0, {"backbone": "conv4"}, "measured", "above (another set-up)"),
        (1.0, {"method": "matching"}, "measured", "above (another set-up)"),
        (0.8, {"synthetic": True}, "measured", "below (another set-up)"),
        (1.0, {"benchmark": "pbc_8way_1shot"}, "measured", "-"),
    ],
)
def test_standing_beside_the_paper(share: float, change: dict, source: str, beside: str) -> None:
    made = pbc(share, **change)
    header, line, *others = part(tables.leaderboard([made], PAPERS)[f"{made.benchmark}.md"], "### Accuracy")
    assert [line[header.index("source")], line[header.index("beside the paper")]] == [source, beside]
    assert [other[header.index("source")] for other in others] == (["*reported*"] if beside != "-" else [])
    assert all(other[0] == "-" for other in others)


def test_each_class_stands_beside_the_paper_s() -> None:
    made = pbc(0.8)
    header, ours, theirs = part(tables.leaderboard([made], PAPERS)["pbc_8way_5shot.md"], "### Accuracy of each class")
    assert header[2:] == CLASSES
    assert ours[2] == f"{markdown.percent(made.class_accuracy['basophil'])} below"
    # Wilson's intervals of 968, 2867 ... images, by hand for the first: 0.97 of 968.
    assert [cell[:5] for cell in theirs[2:]] == ["97.00", "98.78", "95.70", "94.59", "98.86", "97.09", "96.30", "99.71"]
    n, p, z = 968, 0.97, 1.959964
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2) / (1 + z**2 / n)
    assert theirs[2] == f"97.00 ({100 * (middle - half):.1f}-{100 * (middle + half):.1f})"


def test_explainers_of_one_classifier_share_a_block_with_the_floors_once() -> None:
    made = [pbc(), pbc(explainer="grad_cam"), pbc(seed=1)]
    page = tables.leaderboard(made, NOBODY)["pbc_8way_5shot.md"]
    first, second = page[page.index("### Explanations") : page.index("### Cost")].split("#### ")[1:]
    assert first.splitlines()[0].endswith("seed 0")
    assert second.splitlines()[0].endswith("seed 1")
    assert first.splitlines()[2] == "6 queries explained, 6 of them classified right."
    header, *lines = part(first, "**deletion**")
    place = header.index("explainer")
    assert [line[place] for line in lines] == ["grad_cam", "siamcam", "random (*floor*)"]
    assert [line[header.index("beside `random`")] for line in lines] == ["**+20.00 (+20.0 to +20.0)**"] * 2 + ["-"]
    header, *lines = part(second, "**deletion**")
    assert [line[place] for line in lines] == ["siamcam", "random (*floor*)"]


def test_build_check_and_rebuild(tmp_path: Path) -> None:
    root, out = tmp_path / "records", tmp_path
    for made in (pbc(), pbc(seed=1), record()):
        store.write(made, root)
    written = tables.build(root, out, PAPERS)
    ends = (".md", ".csv", ".explanations.csv", ".json")
    tables_of = [f"{name}{end}" for name in ("pbc_8way_5shot", "toy_2way_5shot") for end in ends]
    assert [path.name for path in written] == ["README.md", *tables_of]
    links = re.findall(r"\]\((records/[^)]*)\)", (out / "pbc_8way_5shot.md").read_text())
    assert len(links) == 2
    assert all((out / link).is_file() for link in links)
    before = [path.read_bytes() for path in written]
    tables.build(root, out, PAPERS)
    assert [path.read_bytes() for path in written] == before
    assert tables.check(root, out, PAPERS) == []


def test_check_says_what_differs(tmp_path: Path) -> None:
    root, out = tmp_path / "records", tmp_path
    place = store.write(record(), root)
    tables.build(root, out, NOBODY)
    (out / "README.md").write_text((out / "README.md").read_text().replace("Leaderboard", "Leader"))
    (out / "toy_2way_5shot.md").unlink()
    (out / "gone.md").write_text(f"{index.MARK}\nold")
    (out / "gone.csv").write_text("old")
    (out / "mine.md").write_text("kept")
    place.rename(place.with_name("other.json"))
    found = "\n".join(tables.check(root, out, NOBODY))
    assert "README.md: line 3 differs (1 in all)" in found
    assert "toy_2way_5shot.md: is missing" in found
    assert "gone.md: no record has this benchmark any more" in found
    assert f"other.json: should stand at {place}" in found
    tables.build(root, out, NOBODY)
    assert not (out / "gone.md").exists()
    assert not (out / "gone.csv").exists()
    assert (out / "mine.md").read_text() == "kept"


def test_an_empty_leaderboard_is_an_index() -> None:
    files = tables.leaderboard([], PAPERS)
    assert list(files) == ["README.md"]
    assert "There is no record yet" in files["README.md"]
    assert "HemaX" in files["README.md"]


def test_rows_that_no_test_tells_apart_share_their_ranks() -> None:
    same = pbc(0.9)
    made = [
        pbc(0.995, method="knn"), same, same.model_copy(update={"method": "matching"}), pbc(0.6, method="chance"),
    ]  # fmt: skip
    _, *lines = part(tables.leaderboard(made, NOBODY)["pbc_8way_5shot.md"], "### Accuracy")
    assert [line[:2] for line in lines] == [["1", "`knn`"], ["2-3", "`matching`"], ["2-3", "`stn`"], ["4", "`chance`"]]


def test_transductive_rows_are_ranked_apart() -> None:
    made = [pbc(0.9), pbc(0.99, method="tim", transductive=True), pbc(0.95, method="knn")]
    text = tables.leaderboard(made, NOBODY)["pbc_8way_5shot.md"]
    assert [line[1] for line in part(text, "### Accuracy\n")[1:]] == ["`knn`", "`stn`"]
    assert [line[:2] for line in part(text, "### Accuracy, transductive methods")[1:]] == [["1", "`tim`"]]


def test_boards_of_another_protocol_are_marked_as_stale() -> None:
    made = pbc()
    for today, marked in (("b" * 64, False), ("c" * 64, True)):
        files = tables.leaderboard([made], NOBODY, protocols={"pbc_8way_5shot": today})
        assert ("**Stale: the protocol file has changed" in files["pbc_8way_5shot.md"]) is marked
        assert ("](pbc_8way_5shot.md) (stale)" in files["README.md"]) is marked
        assert json.loads(files["pbc_8way_5shot.json"])["rows"][0]["stale"] is marked
    assert "Stale" not in tables.leaderboard([made], NOBODY, protocols={})["pbc_8way_5shot.md"]


def test_shots_stand_side_by_side() -> None:
    one = pbc(0.7, benchmark="pbc_8way_1shot", bank_sha256="5" * 64)
    one = one.model_copy(update={"bank": one.bank.model_copy(update={"shot": 1})})
    five, other = pbc(0.97), pbc(0.9, method="knn")
    header, *lines = part(tables.leaderboard([one, five, other], NOBODY)["README.md"], "## Accuracy by shot")
    assert header[-2:] == ["1-shot ([board](pbc_8way_1shot.md))", "5-shot ([board](pbc_8way_5shot.md))"]
    found = {line[0]: line[-2:] for line in lines}
    mean = [markdown.percent(made.figures["mean_class_accuracy"]) for made in (one, five, other)]
    assert found == {"`stn`": mean[:2], "`knn`": ["-", mean[2]]}
    assert "Accuracy by shot" not in tables.leaderboard([five, other], NOBODY)["README.md"]
    few = drawn(0, 0.9, len(five.classes), 20, len(five.predictions.lengths) - 1)
    fewer = pbc(benchmark="pbc_8way_5shot_explained", bank_sha256="6" * 64, predictions=few)
    assert part(tables.leaderboard([one, five, fewer], NOBODY)["README.md"], "## Accuracy by shot")[0] == header


def test_label_budgets_stand_side_by_side() -> None:
    def trained(share: float, labels: int, **more: Any) -> Record:
        return pbc(share, labels_seen=8 * labels, method_settings={"margin": 1.0, "labels_per_class": labels}, **more)

    made = [trained(0.9, 12), trained(0.97, 50), trained(0.8, 12, method="baseline"), pbc(0.6, method="knn")]
    header, *lines = part(tables.leaderboard(made, NOBODY)["README.md"], "## Accuracy by labels")
    assert header[-2:] == ["96 labels", "400 labels"]
    (line,) = lines  # a single budget is no curve
    assert line[0] == "`stn`"
    assert line[-2:] == [markdown.percent(one.figures["mean_class_accuracy"]) for one in made[:2]]
    unlike = [trained(0.9, 12), trained(0.97, 50, backbone="resnet18")]
    assert "Accuracy by labels" not in tables.leaderboard(unlike, NOBODY)["README.md"]


def test_every_table_says_what_its_intervals_cover() -> None:
    files = tables.leaderboard([pbc(), pbc(seed=1), pbc(0.9, method="knn")], NOBODY)
    sections = re.split(r"(?m)^#{2,3} ", files["pbc_8way_5shot.md"])[1:]
    for section in sections[1:]:
        assert "patient" in section or section.startswith("Cost")
    assert "they are covered too; rows of one seed say nothing of others" in files["pbc_8way_5shot.md"]
    assert "patient" in files["README.md"]


def test_the_index_shows_how_much_too_short_episode_intervals_are() -> None:
    # 30 draws of the same 160 images: over draws alone the images' part is missing.
    made = pbc(predictions=drawn(0, 0.9, 8, 160, 30))
    _, line = part(tables.leaderboard([made], NOBODY)["README.md"], "## Why intervals here are wider")
    accuracies = rows.rows(rows.boards([made])[0])[0].episode_accuracy[0]
    both = made.figures["accuracy"]
    half = 1.96 * accuracies.std() / np.sqrt(30)
    assert float(line[-1]) == pytest.approx((both.high - both.low) / (2 * half), rel=0.15)
    assert line[-2] == markdown.percent(both)


def test_the_tables_hold_what_the_board_shows() -> None:
    made = [pbc(0.96, 0), pbc(0.98, 1)]
    files = tables.leaderboard(made, NOBODY)
    (found,) = json.loads(files["pbc_8way_5shot.json"])["rows"]
    frame = pd.read_csv(io.StringIO(files["pbc_8way_5shot.csv"]))
    (row,) = rows.rows(rows.boards(made)[0])
    figure, of_class = row.figure("mean_class_accuracy"), row.class_figure("ig")
    assert figure is not None
    assert of_class is not None
    for one in (found, frame.iloc[0]):
        assert one["mean_class_accuracy"] == pytest.approx(figure.value, abs=1e-6)
        assert one["mean_class_accuracy_high"] == pytest.approx(figure.high, abs=1e-6)
        assert one["class ig_low"] == pytest.approx(of_class.low, abs=1e-6)
        assert (one["rank_first"], one["rank_last"], one["training_seeds"]) == (1, 1, "0 1")
    explained = pd.read_csv(io.StringIO(files["pbc_8way_5shot.explanations.csv"]))
    assert explained["explainer"].tolist() == ["siamcam", "random"] * 2
    assert explained["deletion_rank_first"].tolist() == [1, 2, 1, 2]


def test_no_cell_of_a_table_is_a_formula() -> None:
    made = pbc(subset="=cmd()", classes=["=A1", *CLASSES[1:]])
    lines = tables.leaderboard([made], NOBODY)["pbc_8way_5shot.csv"].splitlines()
    assert "'=cmd()" in lines[1]
    assert not [cell for line in lines for cell in line.split(",") if cell[:1] in ("=", "+", "@")]


def test_papers_are_as_in_the_facts() -> None:
    (reported,) = PAPERS.for_benchmark("pbc_8way_5shot")
    shares = reported.row.class_accuracy
    sizes = [968, 2867, 1301, 2645, 964, 1170, 3079, 2098]
    assert list(shares) == CLASSES
    assert sum(shares.values()) / 8 == pytest.approx(reported.row.figures["mean_class_accuracy"], abs=5e-5)
    weighted = sum(share * size for share, size in zip(shares.values(), sizes, strict=True)) / sum(sizes)
    assert weighted == pytest.approx(reported.row.figures["accuracy"], abs=5e-5)
    assert PAPERS.for_benchmark("smear_8way_5shot") == []


@pytest.mark.parametrize(("text", "says"), [("authors = 1", "authors"), ("x", "TOML"), ("other = 1", "Field required")])
def test_a_broken_paper_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "broken.toml").write_text(text)
    with pytest.raises(ZooError, match=r"broken.toml.*" + says):
        published.load(tmp_path)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_at_the_end_of_a_run_fits_the_terminal(width: int) -> None:
    made = pbc(0.9, subset="pbc6000")
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(terminal.show(made, PAPERS))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= width
    for name in CLASSES:
        line = next(line for line in text.splitlines() if name in line)
        assert markdown.percent(made.class_accuracy[name]) in line
    assert "97.25" in text
    assert "siamcam" in text
    assert "+20.00 (+20.0 to +20.0)" in text
    assert "250 labels seen" in " ".join(text.split())
    assert "train 90.0 s" in text
    assert "512 MB" in text


def test_the_terminal_shows_markup_in_names_as_text() -> None:
    made = record(classes=["[red]x[/red]", "[/]\x1b[2J"], dataset="[bold]d[/]\x1b]0;t\x07")
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(terminal.show(made, NOBODY))
    text = captured.get()
    assert all(name in text for name in ("[red]x[/red]", "[/]", "[bold]d[/]"))
    assert "paper" not in text
    assert "\x1b" not in text
