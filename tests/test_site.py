"""The site: what its pages hold, that every link leads somewhere, and that no record can put anything into them."""

import dataclasses
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import sites
from markupsafe import Markup
from typer.testing import CliRunner

from zoo import cli, registry
from zoo.board import tables
from zoo.board.cells import columns, rows
from zoo.board.site import build, forest, matrix, naming, plots, plugins, serve, svg
from zoo.errors import ZooError
from zoo.record import Figure


class Page(HTMLParser):
    """A page as its elements and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def every(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    root = sites.write(folder / "records", *sites.records())
    return build.build(sites.write_cells(root, *sites.of_cells()), folder / "out").parent


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crafted")
    root = sites.write(folder / "records", sites.hostile())
    return build.build(sites.write_cells(root, sites.hostile_cells()), folder / "out").parent


def pages(folder: Path) -> dict[Path, Page]:
    return {file: Page(file.read_text("utf-8")) for file in sorted(folder.rglob("*.html"))}


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_there_is_a_page_of_every_kind(site: Path) -> None:
    counts = Counter(file.parent.relative_to(site).as_posix() for file in site.rglob("*.html"))
    assert counts["."] == 6
    assert counts["boards"] == 5
    assert counts["rows"] == 3 * 3 + 2 + 2 + 1
    assert counts["cells"] == 1
    assert {file.stem for file in (site / "methods").glob("*.html")} >= {*registry.own("methods"), "tim"}
    assert {file.stem for file in (site / "explainers").glob("*.html")} >= {*registry.own("explainers")}


def test_every_link_leads_somewhere_inside(site: Path) -> None:
    found = pages(site)
    for file, page in found.items():
        for attributes in page.every("a", "link", "script", "img"):
            target = attributes.get("href") or attributes.get("src") or ""
            if target == "data:,":
                continue
            parts = urlsplit(target)
            assert not parts.scheme, f"{file}: {target}"
            assert not parts.netloc, f"{file}: {target}"
            place = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert place.is_file(), f"{file}: {target}"
            assert place.is_relative_to(site.resolve()), f"{file}: {target}"
            if parts.fragment:
                assert any(one.get("id") == parts.fragment for _, one in found[file].elements), f"{file}: {target}"


def test_pages_say_what_they_are_to_those_who_listen(site: Path) -> None:
    for file, page in pages(site).items():
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids)), file
        assert page.every("html")[0]["lang"] == "en"
        assert len(page.every("h1")) == len(page.every("main")) == 1
        assert "· hemazoo" in page.text
        assert len(page.every("caption")) == len(page.every("table"))
        assert all(attributes.get("scope") for attributes in page.every("th")), file
        assert all(attributes.get("alt") for attributes in page.every("img")), file
        drawings = [one for one in page.every("svg") if one.get("aria-hidden") != "true"]
        assert all(one.get("aria-label") and one.get("role") in ("img", "group") for one in drawings), file
        assert len(page.every("desc")) == len(drawings), file
        assert not any("style" in attributes for _, attributes in page.elements), file


def test_a_board_shows_ranks_intervals_and_the_paper_apart(site: Path) -> None:
    text = one(site, "boards/pbc_8way_5shot-*.html").read_text("utf-8")
    measured, _, reported = text.partition('<tbody class="reported">')
    assert "subset pbc6000" in measured
    assert "Siamese twin network" not in measured.partition("<table")[2]
    assert "97.25" in reported
    assert ">reported</span>" in reported
    page = Page(text)
    assert "1\u20132" in page.text  # both rows made the same predictions, so nothing tells them apart
    labels = [attributes.get("aria-label") or "" for attributes in page.every("svg")]
    for wanted in ("Critical-difference", "Error of each class", "Confusion matrix", "against compute"):
        assert any(wanted in label for label in labels), wanted
    assert "97.00 (95.7 to 97.9) reported" in page.text  # Wilson's interval of 968 images
    assert "px, weights 33333333" in one(site, "boards/pbc_8way_5shot-*.html").read_text("utf-8")  # as Markdown says it


def test_explanations_are_plotted_by_what_can_be_good_in_them(tmp_path: Path) -> None:
    """Not by metrics of shuffled weights: by those no explanation is better than a random map."""
    row = next(record for record in sites.records() if record.explanations is not None)
    assert row.explanations is not None
    named = {"deletion": "mprt", "insertion": "insertion"}
    rows = {
        name: found.model_copy(update={
            part: {new: getattr(found, part)[old] for old, new in named.items() if old in getattr(found, part)}
            for part in ("values", "figures", "against_random")
        })
        for name, found in row.explanations.rows.items()
    }  # fmt: skip
    explanations = row.explanations.model_copy(update={"rows": rows})
    root = sites.write(tmp_path / "records", row.model_copy(update={"explanations": explanations}))
    build.build(root, tmp_path / "site")
    source = one(tmp_path / "site", "boards/toy_3way_5shot-*.html").read_text("utf-8")
    labels = [attributes.get("aria-label") or "" for attributes in Page(source).every("svg")]
    plotted = [label for label in labels if "better than random" in label]
    assert len(plotted) == 1
    assert plotted[0].startswith("insertion: better than random")
    [svg] = re.findall(r'<svg role="group" aria-label="insertion: better.*?</svg>', source, re.S)
    for name, found in rows.items():  # a mark with its figure for each, hollow where it is a floor
        figure = found.against_random.get("insertion")
        said = f"<title>{name}: {100 * figure.value:.2f} (" if figure else f"<title>{name}: "
        assert (said in svg) == (figure is not None), name
    assert svg.count('class="floor"') == sum(row.floor and "insertion" in row.against_random for row in rows.values())


def test_explainers_stand_in_the_order_of_the_best_classifier_in_a_column_for_each() -> None:
    def figure(value: float) -> Figure:
        return Figure(value=value, low=value - 0.05, high=value + 0.05)

    def column(name: str, accuracy: float, **found: float) -> forest.Column:
        marks = [forest.Mark(explainer, figure(value), explainer == "centre") for explainer, value in found.items()]
        return forest.Column(name, f"{name}.html", figure(accuracy), marks)

    best = column("stn", 0.9, low=0.1, high=0.3, centre=0.2)
    others = [column(f"other{n}", 0.5, high=0.1, only_here=0.4) for n in range(forest.COLUMNS)]
    drawn = forest.explanations([best, *others], "road")
    places = {words: float(y) for y, words in re.findall(r'y="([\d.]+)" class="label[^>]*>([^<]*)<', drawn)}
    assert sorted(places, key=places.__getitem__)[-4:] == ["high", "centre", "low", "only_here"]
    dots = re.findall(r"<title>(\w+): [^<]*</title>.*?cx=\"([\d.]+)\" cy=\"([\d.]+)\"", drawn)
    assert {name: {y for other, _, y in dots if other == name} for name, _, _ in dots}.keys() == {
        "low", "high", "centre", "only_here"
    }  # fmt: skip
    for name in ("low", "high", "centre", "only_here"):  # one line an explainer, beside its name
        [y] = {float(y) for other, _, y in dots if other == name}
        assert abs(y - places[name]) < 6
    assert [x for name, x, _ in dots if name == "high"] == sorted(
        {x for name, x, _ in dots if name == "high"}, key=float
    )
    assert "The best 3 of 4 classifiers." in drawn
    assert "other2" not in drawn
    assert drawn.count('class="floor"') == 1


def test_a_board_of_cells_has_its_figures_floors_pictures_and_commands(site: Path) -> None:
    text = one(site, "cells/toy_fields-*.html").read_text("utf-8")
    page = Page(text)
    for wanted in ("Classes and places", "Masks and N:C", "Attributes", "Each attribute: accuracy", "Origin"):
        assert wanted in page.text, wanted
    assert "40 fields tested, 2 folds" in page.text
    assert "conv4, 2 training seeds" in page.text
    assert page.text.index("cellnet") < page.text.index("watershed")  # the better one first
    assert page.text.count("majority") > 3
    assert "zoo run --method cellnet --benchmark toy_fields" in page.text
    assert len(page.every("img")) == 3
    records = [link.get("href") or "" for link in page.every("a") if (link.get("href") or "").endswith(".json")]
    assert len(records) == 3
    front = (site / "index.html").read_text("utf-8")
    assert f'href="cells/{one(site, "cells/toy_fields-*.html").name}"' in front
    row = rows.rows(rows.boards(sites.of_cells())[0])[0]
    value, _, interval = columns.shown("cell_accuracy", row.figure("cell_accuracy")).partition(" ")
    assert f'<b>{value}</b> <span class="range">{interval[1:-1].replace("-", chr(0x2013))}</span>' in text


def test_transductive_rows_are_ranked_apart(site: Path) -> None:
    text = one(site, "boards/toy_3way_5shot-*.html").read_text("utf-8")
    assert text.index("Inductive rows, measured") < text.index("Transductive rows, which see")
    inductive, _, transductive = text.partition("Transductive rows, which see")
    assert "rows/tim-" not in inductive.partition("<table")[2]
    assert "rows/tim-" in transductive


def test_boards_of_several_shots_show_the_curve_and_others_do_not(site: Path) -> None:
    assert 'aria-label="Accuracy by shot"' in one(site, "boards/toy_3way_1shot-*.html").read_text("utf-8")
    assert 'aria-label="Accuracy by shot"' in (site / "methods/stn.html").read_text("utf-8")
    assert 'aria-label="Accuracy by shot"' not in one(site, "boards/pbc_8way_5shot-*.html").read_text("utf-8")


def test_synthetic_and_stale_boards_say_so(site: Path, tmp_path: Path) -> None:
    assert "A program has drawn them" in one(site, "boards/smear_2way_5shot-*.html").read_text("utf-8")
    assert "synthetic images" in (site / "index.html").read_text("utf-8")
    root = sites.write(tmp_path / "records", sites.toy(5, "knn", 0.8))
    for protocol, stale in (("b" * 64, False), ("c" * 64, True)):
        out = build.build(root, tmp_path / "out", protocols={"toy_3way_5shot": protocol}).parent
        assert ("protocol changed since" in (out / "index.html").read_text("utf-8")) == stale
        assert ("Stale." in one(out, "boards/*.html").read_text("utf-8")) == stale


def test_records_and_galleries_are_copied_as_they_are(site: Path) -> None:
    root = site.parent / "records"
    originals = [file for file in root.rglob("*.json")]
    assert len(originals) == 20
    for file in originals:
        assert (site / "records" / file.relative_to(root)).read_bytes() == file.read_bytes()
    assert {file.read_bytes() for file in (site / "pictures").iterdir()} == {sites.png()}
    assert len(list((site / "pictures").iterdir())) == 6
    gallery = Page((site / "gallery.html").read_text("utf-8"))
    assert [one["width"] for one in gallery.every("img")] == ["3"] * 3


def test_a_picture_that_is_none_is_left_out(tmp_path: Path) -> None:
    root = sites.write(tmp_path / "records", sites.hostile())
    (picture,) = root.rglob("*.png")
    picture.write_bytes(b"<html><script>alert(1)</script>")
    out = build.build(root, tmp_path / "out").parent
    assert not (out / "pictures").exists()


def test_no_record_puts_anything_into_a_page(crafted: Path) -> None:
    plain = {"html", "head", "meta", "title", "link", "script", "body", "header", "nav", "main", "footer", "section"}
    plain |= {"a", "div", "p", "h1", "h2", "h3", "b", "i", "code", "span", "br", "strong", "button", "form", "label"}
    plain |= {"select", "option", "output", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    plain |= {"figure", "figcaption", "img", "article", "svg", "desc", "g", "line", "circle", "rect", "path", "text"}
    plain |= {"polygon"}
    shown = 0
    for file, page in pages(crafted).items():
        assert {tag for tag, _ in page.elements} <= plain, file
        assert [one for one in page.every("script")] == [{"src": ("../" * (file.parent != crafted)) + "site.js"}], file
        for tag, attributes in page.elements:
            assert not any(name.startswith("on") or name == "style" for name in attributes), file
            assert (attributes.get("href") or "").partition(":")[0] != "javascript", file
            assert tag != "img" or (attributes["src"] or "").lstrip("./").startswith("pictures/"), file
        assert "\u202e" not in page.text
        assert page.text.count("{{7*7}}") >= page.text.count("</title><script>alert(2)</script>")
        shown += "<script>alert(2)</script>" in page.text
    assert shown > 5  # it is there to be read, as text
    assert {file.name for file in crafted.parent.iterdir()} == {"records", "out"}


def test_a_command_that_is_more_than_a_command_is_marked(crafted: Path, site: Path) -> None:
    assert "read it before you type it" in one(crafted, "rows/*.html").read_text("utf-8")
    assert not any("read it before you type it" in file.read_text("utf-8") for file in site.rglob("*.html"))
    assert build.safe_command("zoo run --method stn --weights 'my folder/b.safetensors' --set margin=1.0")
    for bad in ("zoo run; rm x", "zoo run $(x)", "zoo run `x`", "zoo run | sh", "zoo run\nx", "rm x", "zoo run > x"):
        assert not build.safe_command(bad)


def test_the_same_records_give_the_same_bytes(site: Path, tmp_path: Path) -> None:
    again = build.build(site.parent / "records", tmp_path / "again").parent
    for file in site.rglob("*"):
        if file.is_file():
            assert (again / file.relative_to(site)).read_bytes() == file.read_bytes(), file


def test_code_in_docstrings_is_shown_as_code(site: Path) -> None:
    pages = [page.read_text() for page in (site / "methods").glob("*.html")]
    docs = [page.partition('<p class="doc">')[2].partition("</p>")[0] for page in pages]
    assert any("<code>" in doc for doc in docs)
    assert not any("`" in page for page in pages)


def test_an_empty_leaderboard_has_its_pages(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    first = build.build(tmp_path / "records", tmp_path / "out")
    assert "There is no record yet" in first.read_text("utf-8")
    assert (tmp_path / "out/methods/stn.html").is_file()


def test_building_again_removes_what_is_no_longer_there_and_nothing_else(tmp_path: Path) -> None:
    a, b = sites.toy(5, "knn", 0.8), sites.toy(5, "prototypical", 0.8)
    root = sites.write(tmp_path / "records", a, b)
    out = build.build(root, tmp_path / "out").parent
    (out / "mine.txt").write_text("mine")
    assert len(list((out / "rows").iterdir())) == 2
    (root / a.key).unlink()
    build.build(root, out)
    assert len(list((out / "rows").iterdir())) == 1
    assert not (out / "records" / a.key).exists()
    assert (out / "mine.txt").is_file()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ZooError, match="holds something else; give an empty or a new folder"):
        build.build(tmp_path / "none", tmp_path)
    with pytest.raises(ZooError, match="is a file; give a folder"):
        build.build(tmp_path / "none", tmp_path / "mine.txt")


def test_building_knows_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from zoo.board.site import build, serve;"
        f"build.build(Path({str(tmp_path / 'none')!r}), Path({str(tmp_path / 'out')!r}));"
        "assert not {'torch', 'timm', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_of_many_rows_has_a_page(tmp_path: Path) -> None:
    made = [sites.toy(5, "stn", 0.8, seed) for seed in range(4)]
    many = [
        base.model_copy(update={"method_settings": {"margin": float(number)}, "benchmark": f"toy_{number % 5}"})
        for number in range(50)
        for base in made
    ]
    root = sites.write(tmp_path / "records", *many)
    tables.build(root, tmp_path / "board")
    build.build(root, tmp_path / "out")
    assert len(list((tmp_path / "out/rows").iterdir())) == 50


@pytest.mark.parametrize("folder", ["methods", "explainers"])
def test_sources_say_the_same_as_the_classes(folder: str) -> None:
    for name in registry.own(folder):
        cls, read = registry.plugin(folder, name), plugins.read(folder, name)
        assert read.paper == cls.paper
        assert read.summary == registry.summary(folder, name)
        meanings = registry.meanings(cls)
        for field, setting in zip(dataclasses.fields(cls), read.settings, strict=True):
            assert setting.name == field.name
            assert setting.default == str(field.default)
            assert setting.meaning == meanings.get(field.name, "")
    kinds = {name: plugins.read("methods", name).kind for name in ("stn", "knn", "chance")}
    assert kinds == {"stn": "trained backbone", "knn": "frozen backbone", "chance": "control"}
    assert plugins.read("explainers", "sobel").kind == "floor"
    assert not plugins.read("methods", "no_such_method").known


def test_scales() -> None:
    straight = svg.Scale([0.13, 0.97], 0, 100)
    assert straight.ticks == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert straight(0.25) == pytest.approx(25)
    assert straight(7) == 100
    bent = svg.Accuracies([0.12, 0.88], 0, 200)
    assert (bent.low, bent.high) == (0.1, 0.9)
    assert bent(0.5) == pytest.approx(100)
    assert bent(0.9) - bent(0.8) == pytest.approx(bent(0.2) - bent(0.1))
    assert svg.Accuracies([1.0, 1.0], 0, 10)(1.0) == 10
    clock = svg.Durations([2.0, 50.0], 0, 100)
    assert (clock.low, clock.high) == (1, 60)
    assert clock(60**0.5) == pytest.approx(50)
    assert svg.Scale([1e300, -1e300], 0, 100)(0) == pytest.approx(50)


def test_small_words() -> None:
    assert [svg.duration(value) for value in (0.2, 5, 59, 600, 3600, 5400)] == [
        "200 ms", "5 s", "59 s", "10 min", "1 h", "1.5 h",
    ]  # fmt: skip
    assert svg.per_cent_exactly(Figure(value=0.98314, low=0.97949, high=0.98551)) == "98.31 (97.9 to 98.6)"
    assert svg.element("text", "<b>", Markup("<i/>"), class_='a"b') == '<text class="a&#34;b">&lt;b&gt;<i/></text>'
    assert svg.prose("as `a<b>` has it") == "as <code>a&lt;b&gt;</code> has it"
    assert svg.prose("one ` <i>") == "one ` &lt;i&gt;"
    assert naming.slug("stn-2.a_b") == "stn-2.a_b"
    assert naming.slug("../x") != "../x"
    assert naming.slug("../x").isalnum()


def test_confusion_counts_true_down_and_predicted_across() -> None:
    counts = matrix.confusion(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), 2)
    assert counts.tolist() == [[1, 2], [0, 1]]
    drawing = matrix.picture(counts, ["a", "b"], "x")
    assert "a called b, 66.7 % of the class" in drawing
    assert "a called b: 2" in drawing


def test_bars_of_the_critical_difference_diagram_are_the_longest_runs() -> None:
    tied = np.eye(5, dtype=bool)
    for a, b in ((0, 1), (1, 2), (0, 2), (2, 3)):
        tied[a, b] = tied[b, a] = True
    assert plots._cliques(tied) == [(0, 2), (2, 3)]
    named = [("a", "a.html", 1.0), ("b", "b.html", 2.25), ("c", "c.html", 2.75)]
    drawing = plots.ranks(named, ~np.eye(3, dtype=bool), 9)
    assert "The best 3 of 9 rows." in drawing
    assert "Not told apart: a = b = c." in drawing


def test_the_names_of_the_critical_difference_diagram_have_room() -> None:
    named = [("w" * 28, "a.html", 1.0), ("knn", "b.html", 2.0)]
    words = [attributes for attributes in Page(plots.ranks(named, np.eye(2, dtype=bool), 2)).every("text")]
    left = [float(one["x"] or 0) for one in words if one.get("text-anchor") == "end"]
    assert min(left) >= 26 * 7, "the name is cut to 26 letters and ends there, so this is the room that it has"


def test_training_of_the_weights_by_another_run_is_no_free_compute(tmp_path: Path) -> None:
    found = [
        sites.toy(5, name, share, trained_sha256="", labels_seen=labels, seconds={"evaluate": seconds})
        for name, share, labels, seconds in (("knn", 0.9, 0, 1.0), ("svm", 0.8, 0, 3.0), ("lda", 0.95, 250, 0.5))
    ]
    root = sites.write(tmp_path / "records", *found)
    tables.build(root, tmp_path / "boards")
    markdown = (tmp_path / "boards/toy_3way_5shot.md").read_text("utf-8").partition("### Cost")[2]
    site = build.build(root, tmp_path / "site").parent
    page = Page(one(site, "boards/toy_3way_5shot-*.html").read_text("utf-8"))
    front = page.text.partition("Nothing cheaper is more accurate than: ")[2].partition(").")[0]
    assert front.startswith("knn (")
    assert front.endswith(" in 1 s"), "lda is the best, in half a second, and does not stand there"
    assert "500 ms + weights" in page.text
    assert "trained in another run" in Page(one(site, "rows/lda-*.html").read_text("utf-8")).text
    trained = {line.split(" | ")[0]: line.split(" | ")[3] for line in markdown.splitlines() if line.startswith("| `")}
    assert trained == {"| `lda`": "before", "| `knn`": "-", "| `svm`": "-"}


def test_the_front_of_cost_is_what_nothing_cheaper_beats() -> None:
    def point(name: str, seconds: float, value: float) -> plots.Point:
        exact = Figure(value=seconds, low=seconds, high=seconds)
        return plots.Point(name, "x.html", exact, Figure(value=value, low=value, high=value), "dot")

    drawing = plots.cost([point("a", 1, 0.6), point("b", 2, 0.5), point("c", 9, 0.9)])
    assert "Nothing cheaper is more accurate than: a (60 in 1 s), c (90 in 9 s)." in drawing


def test_serving_is_for_this_machine_alone(site: Path) -> None:
    with serve.server(site, 0) as running:
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        address = serve.url(running)
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.read() == (site / "index.html").read_bytes()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}none.html")
        with pytest.raises(ZooError, match="choose another with --port"):
            serve.server(site, running.server_port)
        running.shutdown()


def test_the_command_writes_the_site_beside_the_boards(tmp_path: Path) -> None:
    root = sites.write(tmp_path / "records", sites.toy(5, "knn", 0.8))
    arguments = ["leaderboard", "build", "--records", root, "--out", tmp_path / "out", "--site", tmp_path / "site"]
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == str(tmp_path / "site/index.html")
    assert (tmp_path / "out/toy_3way_5shot.md").is_file()
