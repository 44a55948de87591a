"""Attributes in words: tables and readers, and heads against scikit-learn."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from zoo import attribute_heads, registry
from zoo.attributes import HEMAX, UNDEFINED, WBCATT, Told, describe, told
from zoo.cell_model import FieldKind
from zoo.cells import Attribute, Cells
from zoo.data import attributes as data
from zoo.data import card, fetch, smear
from zoo.data.fields import load as fields
from zoo.data.load import load
from zoo.errors import ZooError

ALL_WORDS = {one.name: one.values[0] for one in WBCATT}
TWO = (Attribute("size", ("small", "big")), Attribute("shape", ("round", "oval", "odd")))


def test_the_vocabulary_is_hemax_and_wbcatt():
    names = [one.name for one in WBCATT]
    assert len(names) == len(set(names)) == 11
    assert set(HEMAX) <= set(names)
    assert len(HEMAX) == 5
    assert {len(one.values) for one in WBCATT} == {2, 3, 4, 6}


def test_a_line_of_words():
    said = ALL_WORDS | {
        "nucleus_shape": "segmented-multilobed", "granularity": "yes", "granule_type": "small",
        "granule_colour": "pink", "nuclear_cytoplasmic_ratio": "low", "chromatin_density": "densely",
        "cytoplasm_vacuole": "yes", "cell_size": "big",
    }  # fmt: skip
    assert describe(said) == (
        "segmented-multilobed nucleus, dense chromatin, fine pink granules, clear light blue cytoplasm, vacuoles, "
        "low N:C, big round cell"
    )
    five = {name: said[name] for name in HEMAX} | {"granularity": "no"}
    assert describe(five) == "segmented-multilobed nucleus, no granules, light blue cytoplasm, low N:C, big cell"
    assert describe(dict.fromkeys(said, UNDEFINED)) == "attributes undefined"
    platelet = five | {"nucleus_shape": UNDEFINED, "nuclear_cytoplasmic_ratio": UNDEFINED}
    assert describe(platelet) == "no granules, light blue cytoplasm, big cell"


def test_a_table_of_words():
    found = told(TWO, [{"size": "big", "shape": "odd"}, None, {"size": "small", "shape": UNDEFINED}])
    assert [one.values for one in found.attributes] == [("small", "big"), ("round", "oval", "odd", UNDEFINED)]
    assert found.words.tolist() == [[1, 2], [-1, -1], [0, 3]]
    assert found.defined.tolist() == [[True, True], [False, False], [True, False]]
    assert found.of(("shape",)).words.tolist() == [[2], [-1], [3]]
    other = (Attribute("shape", ("odd", "round")), Attribute("size", ("big", "small")))
    assert found.like(other).words.tolist() == [[0, 0], [-1, -1], [-1, 1]]
    with pytest.raises(KeyError):
        told(TWO, [{"size": "huge", "shape": "odd"}])


def blobs(n: int, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and two attributes that follow from them with some noise; every fifth of the second unknown."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d))
    noisy = x + random.normal(size=x.shape) / 2
    words = np.stack([noisy[:, 0] > 0, np.digitize(noisy[:, 1], (-0.5, 0.5))], 1).astype(np.int64)
    words[::5, 1] = -1
    return x, words


@pytest.mark.parametrize("c", [0.05, 2.0])
def test_heads_are_scikit_learns_minimum(c):
    x, words = blobs(120)
    weight, bias = attribute_heads.regress(x, words, [2, 3], c)
    found = attribute_heads.softmax(x @ weight + bias, [2, 3])
    for number, columns in ((0, slice(0, 2)), (1, slice(2, 5))):
        known = words[:, number] >= 0
        own = LogisticRegression(C=c, tol=1e-8, max_iter=1000).fit(x[known], words[known, number])
        if number:  # of two words scikit-learn penalises one weight vector, their difference: half as strongly
            np.testing.assert_allclose(found[:, columns], own.predict_proba(x), atol=2e-3)
        else:
            half = LogisticRegression(C=2 * c, tol=1e-8, max_iter=1000).fit(x[known], words[known, number])
            np.testing.assert_allclose(found[:, columns], half.predict_proba(x), atol=2e-3)


def test_a_word_that_training_never_saw_is_never_told():
    x, words = blobs(60)
    weight, bias = attribute_heads.regress(x, words, [2, 5], 1.0)
    likely = attribute_heads.softmax(x @ weight + bias, [2, 5])
    assert likely[:, 5:].max() < 1e-9
    np.testing.assert_allclose(likely[:, 2:].sum(1), 1)


def test_components_are_a_linear_map_of_any_embedding():
    x = blobs(50, 80)[0] * 3 + 1
    found, project, shift = attribute_heads.squeeze(x)
    assert found.shape == (50, 50)
    np.testing.assert_allclose(found, x @ project + shift)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose((found**2).sum(), ((x - x.mean(0)) ** 2 / x.var(0)).sum())


def test_the_class_follows_from_attributes_that_carry_it():
    x, words = blobs(300)
    x[:, 0] *= 4  # the first attribute is easily told
    table = Told(TWO, words)
    labels = words[:, 0].copy()
    held_x, held_words = blobs(200, seed=1)
    held_x[:, 0] *= 4
    heads = attribute_heads.fit(x, table, labels, 3, 1.0)
    likely = heads.probabilities(torch.tensor(held_x, dtype=torch.float32))
    torch.testing.assert_close(likely.split([2, 3], 1)[1].sum(1), torch.ones(200))
    right = (heads.words(likely)[:, 0].numpy() == held_words[:, 0]).mean()
    assert right > 0.8
    classes = heads.classes(heads.words(likely)).argmax(1).numpy()
    assert set(classes) <= {0, 1}, "a class without training items is never told"
    assert (classes == held_words[:, 0]).mean() > 0.8
    by_floors = []  # one floor may lie the right way by chance, as there are six directions only
    for seed in range(8):
        floor = attribute_heads.fit(x, attribute_heads.dealt(table, seed), labels, 3, 1.0)
        said = floor.words(floor.probabilities(torch.tensor(held_x, dtype=torch.float32)))[:, 0].numpy()
        by_floors.append((said == held_words[:, 0]).mean())
    assert np.mean(by_floors) == pytest.approx(0.5, abs=0.15)


def test_dealing_keeps_every_row_and_what_is_unknown():
    table = Told(TWO, np.array([[0, 1], [1, 2], [-1, -1], [1, 0], [0, 0], [1, 1]]))
    dealt = attribute_heads.dealt(table, 3).words
    assert dealt[2].tolist() == [-1, -1]
    with_undefined = told(TWO, [{"size": "big", "shape": shape} for shape in ("odd", UNDEFINED, "round", UNDEFINED)])
    for seed in range(5):
        again = attribute_heads.dealt(with_undefined, seed)
        assert again.defined.tolist() == with_undefined.defined.tolist()
    assert sorted(dealt.tolist()) == sorted(table.words.tolist())
    assert (dealt != table.words).any()


def test_the_penalty_is_chosen_on_held_out_items():
    x, words = blobs(40, 30)
    held_x, held_words = blobs(400, 30, seed=1)
    table, held = Told(TWO, words), Told(TWO, held_words)
    assert attribute_heads.choose(x, table, held_x, held, (0.01, 1000.0)) == 0.01
    nothing = Told(TWO, np.full((400, 2), -1))
    assert attribute_heads.choose(x, table, held_x, nothing, (1.0, 2.0, 3.0)) == 2.0


PLACES = {"train": 12, "val": 4, "test": 6}


@pytest.fixture
def wbcatt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with PBC and WBCAtt in miniature: dark cells are big, round ones light blue."""
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    pbc, random, rows = tmp_path / "pbc" / "PBC_dataset_normal_DIB", np.random.default_rng(0), []
    for number, kind in enumerate(card.read("pbc").classes):
        (pbc / kind).mkdir(parents=True)
        for place in range(sum(PLACES.values())):
            dark = (place + number) % 2
            picture = random.integers(200, 255, (72, 72, 3))
            picture[20:52, 20:52] = 40 + 60 * dark + 8 * number + random.integers(0, 10, (32, 32, 3))
            name = f"{kind[:2].upper()}_{number}{place:03d}.jpg"
            Image.fromarray(picture.astype(np.uint8)).save(pbc / kind / name, quality=95)
            words = ALL_WORDS | {"cell_size": ("small", "big")[dark]}
            words["nucleus_shape"] = WBCATT[2].values[number % 6]
            rows.append({"img_name": name, "label": kind.capitalize(), **words, "kind": kind, "place": place})
    folder = tmp_path / "wbcatt"
    folder.mkdir()
    start = 0
    for part, file in zip(("train", "val", "test"), data.PARTS.values(), strict=True):
        inside = range(start, start + PLACES[part])
        own = [row for row in rows if row["place"] in inside and row["kind"] in data.COVERED]
        write(folder / file, own)
        start += PLACES[part]
    return tmp_path


def write(file: Path, rows: list[dict]) -> None:
    names = ["img_name", "label", *ALL_WORDS]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def test_words_of_pbc_are_joined_by_name(wbcatt):
    items = load("pbc")
    found = data.of(items, np.arange(len(items)))
    names = [one.name for one in found.attributes]
    assert all(one.values[-1] == UNDEFINED for one in found.attributes)
    size, shape = found.words[:, names.index("cell_size")], found.words[:, names.index("nucleus_shape")]
    for number, name in enumerate(items.names):
        kind, file = name.split("/")
        if kind in data.COVERED:
            assert found.attributes[0].values[size[number]] == ("small", "big")[(int(file[4:7]) + int(file[3])) % 2]
            assert shape[number] == int(file[3]) % 6
        else:
            assert not found.defined[number].any()
    parts = data.wbcatt()
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [60, 20, 30]


def test_the_split_is_wbcatts_and_leaves_duplicates_out(wbcatt):
    items = load("pbc")
    own = data.parts(items.names, np.arange(len(items)))
    covered = np.array([name.split("/")[0] in data.COVERED for name in items.names])
    assert np.bincount(own[covered]).tolist() == [30, 20, 60]
    assert (own[~covered] == 3).all()
    groups = np.arange(len(items))
    tested, trained = np.flatnonzero(own == 0)[0], np.flatnonzero(own == 2)[0]
    groups[[tested, trained]] = tested
    again = data.parts(items.names, groups)
    assert again[trained] == 3
    assert again[tested] == 0
    assert (again != own).sum() == 1


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("cell_size", "enormous", "cell_size is 'enormous', none of small, big"),
        ("label", "Platelet", "'Platelet' is none of basophil"),
    ],
)
def test_a_word_that_nobody_knows_names_file_and_line(wbcatt, column, value, said):
    file = wbcatt / "wbcatt" / data.PARTS["test"]
    lines = list(csv.DictReader(file.open()))
    lines[2][column] = value
    write(file, lines)
    with pytest.raises(ZooError, match=rf"pbc_attr_v1_test.csv: line 4: {said}"):
        data.wbcatt()
    assert len(fetch.verify("wbcatt")) == 1


def test_other_mistakes_in_the_tables(wbcatt):
    file = wbcatt / "wbcatt" / data.PARTS["validation"]
    lines = list(csv.DictReader(file.open()))
    train = list(csv.DictReader((wbcatt / "wbcatt" / data.PARTS["train"]).open()))
    write(file, [*lines, train[0]])
    with pytest.raises(ZooError, match=r"stands in pbc_attr_v1_train.csv too; get it again"):
        data.wbcatt()
    file.write_text("img_name,label,cell_size\na.jpg,Basophil,small\n")
    with pytest.raises(ZooError, match="no column 'cell_shape'; get it again"):
        data.wbcatt()
    file.unlink()
    with pytest.raises(ZooError, match="cannot be read as CSV"):
        data.wbcatt()


def test_the_card_shows_licence_and_source_and_takes_a_folder(wbcatt, tmp_path_factory, monkeypatch):
    one = card.read("wbcatt")
    assert (one.licence, one.present) == ("MIT", True)
    with pytest.raises(ZooError, match="no images of its own; `--dataset pbc"):
        load("wbcatt")
    assert fetch.verify("wbcatt") == [
        f"{kind}: 22 rows, {count} published" for kind, count in card.read("wbcatt").counts.items()
    ]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("ZOO_DATA", str(elsewhere))
    with pytest.raises(ZooError, match="zoo data get wbcatt"):
        data.check("pbc")
    assert "wbcatt: in " in fetch.get("wbcatt", wbcatt / "wbcatt")
    assert sorted(file.name for file in (elsewhere / "wbcatt").iterdir()) == sorted(data.PARTS.values())


def test_a_dataset_without_attributes_is_refused():
    with pytest.raises(ZooError, match="nothing is known of bccd; use --dataset pbc or smear"):
        data.check("bccd")


def test_drawn_cells_know_their_attributes_and_remember_them(monkeypatch):
    names = ["neutrophil/0001", "platelet/0000", "neutrophil/0000"]
    found = data.drawn(names)
    truth = smear.cell("neutrophil", 1)
    assert found[0] == {
        "granularity": "yes", "cytoplasm_colour": truth.cytoplasm_colour, "nucleus_shape": truth.nucleus_shape,
        "cell_size": truth.cell_size, "nuclear_cytoplasmic_ratio": "high" if truth.nc >= data.HIGH_NC else "low",
    }  # fmt: skip
    assert (found[1]["nucleus_shape"], found[1]["nuclear_cytoplasmic_ratio"]) == (UNDEFINED, UNDEFINED)
    monkeypatch.setattr(smear, "cell", lambda *_: pytest.fail("drawn again"))
    assert data.drawn(names[::-1]) == found[::-1]


def test_annotated_pictures_are_fields_with_one_cell(wbcatt):
    found = fields.load("wbcatt", 32)
    assert found.classes == card.read("wbcatt").classes
    assert found.attributes == WBCATT
    assert (len(found.names), found.subset) == (110, "partial (110 of 10298)")
    assert found.pixels.shape == (110, 32, 32, 3)
    for name, cells in zip(found.names, found.cells, strict=True):
        assert cells.boxes.tolist() == [[0, 0, 32, 32]]
        assert found.classes[int(cells.labels[0])] == name.split("/")[0]
        assert cells.attributes[0, 0] == (int(name.split("_")[1][1:4]) + int(name.split("_")[1][0])) % 2


def test_frozen_heads_of_pictures_are_the_regression_itself():
    from drawn import TinyStages

    model = registry.build("cell_models", "attribute_heads", {"epochs": "0"})
    images = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images[:12] *= 0.4
    box, nothing = np.array([[0, 0, 32, 32]], np.float32), np.zeros((0, 4), np.float32)
    cells = [
        Cells(np.array([int(n >= 12)]), box, None, np.array([[int(n >= 12), n % 3]]), np.ones(1, np.float32))
        for n in range(23)
    ]
    cells.append(Cells(np.zeros(0, np.int64), nothing, None, np.zeros((0, 2), np.int64), np.zeros(0, np.float32)))
    network = model.network(FieldKind(2, (2, 3), 32, 32, False, 1), TinyStages(), 0).eval()
    model.prepare(network, [(images[:10], cells[:10]), (images[10:], cells[10:])])
    with torch.no_grad():
        embeddings = network.backbone(images[:23]).double().numpy()
    words = np.array([[n >= 12, n >= 12, n % 3] for n in range(23)], np.int64)
    x, _, _ = attribute_heads.squeeze(embeddings)
    weight, bias = attribute_heads.regress(x, words, [2, 2, 3], model.c)
    likely = attribute_heads.softmax(x @ weight + bias, [2, 2, 3])
    for row, one in zip(likely, model.find(network, images[:23]), strict=True):
        assert (one.labels.tolist(), one.attributes.tolist()) == (
            [int(row[:2].argmax())], [[int(row[2:4].argmax()), int(row[4:].argmax())]]
        )  # fmt: skip
        assert one.scores[0] == pytest.approx(row[:2].max(), abs=1e-4)


def test_real_tables_are_whole(real_data):
    """Of the 10,298 annotated images of PBC, 3,750 are in the shared part."""
    found = data.wbcatt()
    assert {part: len(rows) for part, rows in found.items()} == {"train": 6169, "validation": 1030, "test": 3099}
    assert fetch.verify("wbcatt") == []
    pbc = card.read("pbc").root
    here = [name for part in found.values() for name in part if (pbc / name).is_file()]
    assert len(here) in (3750, 10_298)
