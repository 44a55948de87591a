"""Protocol files are read strictly; benchmarks without a file get a name and a hash."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from zoo import paths
from zoo.data.benchmark import ad_hoc, benchmark, names, read
from zoo.data.items import Items
from zoo.errors import ZooError

PROTOCOL = """
title = "T"
dataset = "pbc"
[bank]
kind = "all"
way = 2
shot = 5
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, "utf-8")
    return file


def test_all_protocols_are_read():
    assert names() == sorted(names())
    assert {"pbc_8way_5shot", "pbc_8way_1shot", "smear_8way_5shot"} <= set(names())
    for name in names():
        protocol = benchmark(name)
        assert protocol.name == name
        parts = f"{protocol.dataset}_{protocol.bank.way}way_{protocol.bank.shot}shot"
        trained_elsewhere = f"{protocol.train_dataset}_to_{protocol.dataset}"
        assert name.startswith(trained_elsewhere if protocol.train_dataset else parts)
        assert protocol.sha256 == hashlib.sha256((paths.protocols() / f"{name}.toml").read_bytes()).hexdigest()
        assert not protocol.classes or len(protocol.classes) >= protocol.bank.way


def test_the_paper_protocol():
    paper = benchmark("pbc_8way_5shot")
    assert (paper.train_per_class, paper.validation_per_class) == (125, 125)
    assert (paper.bank.kind, paper.bank.way, paper.bank.shot, paper.bank.episodes) == ("all", 8, 5, 100)


def test_defaults(tmp_path: Path):
    protocol = read(written(tmp_path, PROTOCOL))
    assert (protocol.explained, protocol.steps, protocol.crop, protocol.side) == (200, 10, 0, 0)
    assert protocol.classes == ()


@pytest.mark.parametrize(("text", "message"), [
    (PROTOCOL.replace('title = "T"', 'title = "T"\nstepz = 3'), "stepz"),
    (PROTOCOL.replace('title = "T"', 'title = "T"\nsteps = "3"'), "steps"),
    (PROTOCOL.replace('title = "T"', 'title = "T"\nexplained = 0'), "explained"),
    (PROTOCOL.replace('title = "T"', ""), "title"),
    (PROTOCOL.replace("way = 2", "way = 1"), "bank.way"),
    (PROTOCOL + "shots = 3", "bank.shots"),
    (PROTOCOL.replace('"all"', '"some"'), "bank.kind"),
    (PROTOCOL.replace('title = "T"', 'title = "T"\nname = "x"'), "name: follows from the file"),
    ("title = ", "not a readable TOML file"),
])
def test_a_wrong_file_says_where(tmp_path: Path, text: str, message: str):
    with pytest.raises(ZooError, match=message) as caught:
        read(written(tmp_path, text))
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cause_is_marked_where_classes_differ_in_one_part():
    assert {name: benchmark(name).marked for name in names() if benchmark(name).marked != "cell"} == {
        "smear_granules_2way_5shot": "cytoplasm",
        "smear_2way_5shot_nucleus": "nucleus",
    }


def test_unknown_name():
    with pytest.raises(ZooError, match="did you mean 'pbc_8way_5shot'"):
        benchmark("pbc_8way_5shto")
    with pytest.raises(ZooError, match="unknown benchmark"):
        benchmark("../protocols/pbc_8way_5shot")


def test_class_numbers():
    items = Items("fake", None, True, ("a", "b", "c"), (), np.array([]), np.array([]), np.zeros((0, 1, 1, 3), np.uint8))
    protocol = ad_hoc("fake", 2)
    assert protocol.class_numbers(items).tolist() == [0, 1, 2]
    assert protocol.model_copy(update={"classes": ("c", "a")}).class_numbers(items).tolist() == [0, 2]
    with pytest.raises(ZooError, match="unknown class of fake 'bb': did you mean 'b'"):
        protocol.model_copy(update={"classes": ("bb",)}).class_numbers(items)


def test_ad_hoc():
    protocol = ad_hoc("pbc", 5, 1, "standard", 600)
    assert protocol.name == "pbc_5way_1shot_standard600"
    assert protocol.backbone == benchmark("pbc_8way_5shot").backbone
    assert (protocol.bank.way, protocol.bank.shot, protocol.bank.query) == (5, 1, 15)
    assert ad_hoc("pbc", 5, 1).sha256 == protocol.sha256
    assert ad_hoc("pbc", 5, 2).sha256 != protocol.sha256


def test_ad_hoc_keeps_what_the_dataset_needs():
    protocol = ad_hoc("segmentation_wbc", 4, 5, "all")
    assert protocol.classes == benchmark("segmentation_wbc_4way_5shot").classes
    assert protocol.train_per_class == 10
    assert protocol.bank.episodes == 100


def test_novel_protocols_keep_their_classes_apart():
    novel = [benchmark(name) for name in names() if benchmark(name).train_classes]
    assert {protocol.dataset for protocol in novel} == {"pbc", "smear"}
    for protocol in novel:
        assert not set(protocol.classes) & set(protocol.train_classes)
        assert len(protocol.classes) == protocol.bank.way


def test_train_class_numbers():
    items = Items("fake", None, True, ("a", "b", "c"), (), np.array([]), np.array([]), np.zeros((0, 1, 1, 3), np.uint8))
    protocol = ad_hoc("fake", 2)
    assert (protocol.novel, protocol.train_class_numbers(items).tolist()) == (False, [0, 1, 2])
    some = protocol.model_copy(update={"classes": ("a", "b")})
    assert some.train_class_numbers(items).tolist() == [0, 1]
    novel = some.model_copy(update={"train_classes": ("c",)})
    assert (novel.novel, novel.train_class_numbers(items).tolist()) == (True, [2])
    elsewhere = some.model_copy(update={"train_dataset": "other"})
    assert (elsewhere.novel, elsewhere.train_class_numbers(items).tolist()) == (True, [0, 1, 2])
    with pytest.raises(ZooError, match="unknown class of fake 'd'"):
        some.model_copy(update={"train_classes": ("d",)}).train_class_numbers(items)


def test_leukox_shape():
    protocol = benchmark("smear_10way_5shot")
    assert len(protocol.classes) == protocol.bank.way == 10
    assert not {"erythroblast", "platelet"} & set(protocol.classes)  # white cells alone


def test_ad_hoc_keeps_to_closed_sets():
    assert ad_hoc("pbc", 5, 1).train_classes == ()
    assert ad_hoc("segmentation_wbc", 4, 5).train_dataset == ""
    assert ad_hoc("smear", 5, 1).train_per_class == 125


def test_ad_hoc_of_a_path_has_a_plain_name():
    assert ad_hoc("some where/my cells.v2/", 3, 1).name == "my-cells-v2_3way_1shot_standard600"


@pytest.mark.parametrize(("given", "message"), [
    ({"bank": "dirichlett"}, "unknown bank 'dirichlett': did you mean 'dirichlet'"),
    ({"way": 1}, "bank.way: .*not 1"),
    ({"shot": 0}, "bank.shot: .*not 0"),
    ({"episodes": 0}, "bank.episodes: .*not 0"),
])
def test_ad_hoc_refuses(given: dict, message: str):
    with pytest.raises(ZooError, match=message):
        ad_hoc("pbc", **given)
