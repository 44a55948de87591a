"""What the lists show, in a terminal of 80 columns."""

from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from zoo import listing, paths, registry
from zoo.data import benchmark, card
from zoo.data.audit import Report
from zoo.errors import ZooError

FOLDERS = {
    "methods": ("methods",),
    "explainers": ("explainers",),
    "backbones": ("backbones",),
    "metrics": ("metrics/prediction", "metrics/explanation"),
}


def shown(what: RenderableType) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(what)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    return text


def words(text: str) -> str:
    """The text of a table without its lines, so that wrapped cells of one column read on."""
    return " ".join("".join(" " if char in "│┃━─┏┓┗┛┡┩└┘┳┻┴┬╇┼├┤" else char for char in text).split())


def every_name(kind: str) -> list[str]:
    if kind == "datasets":
        return card.names()
    if kind == "benchmarks":
        return benchmark.names()
    return [name for folder in FOLDERS[kind] for name in registry.names(folder)]


@pytest.mark.parametrize("kind", [*FOLDERS, "datasets", "benchmarks"])
def test_every_name_is_shown_whole(kind: str):
    text = shown(listing.table(kind))
    assert all(f"│ {name} " in text for name in every_name(kind))
    assert "…" not in text


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in (*FOLDERS, "datasets", "benchmarks") for name in every_name(kind)]
)
def test_details_of_everything_fit(kind: str, name: str):
    text = shown(listing.details(kind, name))
    assert text.strip()
    assert "…" not in text


def test_settings_with_their_meaning():
    text = words(shown(listing.details("methods", "stn")))
    assert text.startswith("Siamese twin network: contrastive training")
    assert "paper: Tummala & Suresh, " in text
    assert "epochs whole number 20 Rounds through the training images; 0 =" in text
    assert "rate number 0.001 Highest learning rate" in text
    assert "pairs batch | paper batch batch: all pairs of balanced" in text


def test_no_settings_and_the_names_of_backbones():
    assert "no settings" in shown(listing.details("methods", "chance"))
    assert "names: conv4" in shown(listing.details("backbones", "conv4"))
    assert " resnet18, " in words(shown(listing.details("backbones", "timm_cnn")))


@pytest.mark.parametrize("kind", [*FOLDERS, "datasets", "benchmarks"])
def test_an_unknown_name_is_a_mistake(kind: str):
    with pytest.raises(ZooError, match=r"unknown .*`zoo .*list"):
        listing.details(kind, "no_such_name")


def test_datasets_say_whether_they_are_here_and_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    text = shown(listing.table("datasets"))
    assert "│ pbc              │ no " in text
    assert "│ smear            │ yes " in text
    assert f"here is {paths.data()}" in text.replace("\n", "")


def test_values_are_plain():
    text = words(shown(listing.details("datasets", "pbc")))
    assert "classes basophil, eosinophil, " in text
    assert "synthetic no" in text
    assert not set("{}[]'") & set(text)


def report(**changed) -> Report:
    facts = {
        "dataset": "cells", "subset": None, "counts": {"a": 7, "b [x]": 5}, "duplicates": (("a/1", "a/2"),) * 5,
        "conflicts": ("a/3", "b/1"), "near": (), "other_files": ("a/.DS: hidden file",),
        "unreadable": ("b/9: cannot be read as an image",), "sizes": {"40 x 40": 11, "40 x 45": 1}, "odd": ("b/2",),
        "odd_per_class": {"b [x]": 1}, "background": (200.0, 190.0, 230.0), "odd_background": (199.0, 195.5, 230.0),
    }  # fmt: skip
    return Report(**(facts | changed))


def test_report_counts_and_names_the_findings():
    text = words(shown(listing.report(report())))
    for line in (
        "cells: 12 images",
        "classes 2 a 7, b [x] 5",
        "largest to smallest class 1.4",
        "byte-identical groups 5 a/1 = a/2 a/1 = a/2 a/1 = a/2 and 2 more",
        "twins with another class 2 a/3 b/1",
        "groups that look the same 0 other files 1 a/.DS: hidden file",
        "unreadable images 1 b/9: cannot be read as an image",
        "sizes (width x height) 2 40 x 40 11, 40 x 45 1",
        "images of an odd size 1 b [x] 1",
        "their background (R, G, B) -1.0, +5.5, +0.0 grey levels against the",
    ):
        assert line in text


def test_report_of_clean_data():
    clean = report(subset="pbc6000", odd=(), odd_per_class={}, odd_background=None, sizes={"40 x 40": 12})
    text = words(shown(listing.report(clean)))
    assert "cells (pbc6000): 12 images" in text
    assert "images of an odd size 0 their background (R, G, B) nothing to compare" in text
