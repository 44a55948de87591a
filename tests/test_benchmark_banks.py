"""The banks of the committed records are drawn again from names alone, without a picture."""

import json
from pathlib import Path

import numpy as np
import pytest

from zoo import paths
from zoo.data import banks, card, readers
from zoo.data.benchmark import benchmark
from zoo.data.fields import crops
from zoo.data.items import Items
from zoo.data.smear import WHITE_CELLS, field, picture
from zoo.data.splits import split


@pytest.fixture(scope="module")
def smear() -> Items:
    """The smear's names and labels; no two of its cells are alike, so each is a group of its own."""
    one = card.read("smear")
    entries = readers.drawn(one.classes, one.per_class).entries
    return Items(
        dataset="smear", subset=None, synthetic=True, classes=one.classes, names=tuple(e.name for e in entries),
        labels=np.array([e.label for e in entries]), groups=np.arange(len(entries)),
        pixels=np.zeros((len(entries), 1, 1, 3), np.uint8),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["smear_8way_5shot"])
def test_smear_benchmarks_draw_what_the_records_were_measured_on(smear: Items, name: str) -> None:
    chosen = benchmark(name)
    test = split(smear, chosen.train_per_class, chosen.validation_per_class).test
    bank = banks.draw(smear, test, chosen.bank, chosen.class_numbers(smear))
    banks.audit(bank, smear, test)
    assert bank.sha256 == "bde73e64ba66b4e5111cc3ce992c8b01cb3d604432a817265bf4c7c6ef2eec44"
    measured = sorted((paths.leaderboard() / "records" / name).rglob("*.json"))
    assert measured
    for file in measured:
        assert json.loads(file.read_text("utf-8"))["provenance"]["bank_sha256"] == bank.sha256


@pytest.fixture
def smear_cells(monkeypatch: pytest.MonkeyPatch) -> Items:
    """The cells of the smear's fields by name and class; the classes of a field are drawn before anything else."""
    monkeypatch.setattr(picture, "grow", lambda kind, radius, chance: kind)
    monkeypatch.setattr(picture, "_spread", lambda bodies, size, chance: bodies)
    monkeypatch.setattr(picture, "_scene", lambda height, width, radius, placed, chance: (np.zeros(0), placed))
    kinds = {seed: field(seed).cells for seed in range(card.read("smear").fields)}
    cells = [(seed, number, kind) for seed, drawn in kinds.items() for number, kind in enumerate(drawn)]
    return Items(
        dataset="smear_cells", subset=None, synthetic=True, classes=WHITE_CELLS,
        names=tuple(f"field_{seed:04d}/{number}" for seed, number, _ in cells),
        labels=np.array([WHITE_CELLS.index(kind) for *_, kind in cells]),
        groups=np.array([seed for seed, *_ in cells]), pixels=np.zeros((len(cells), 1, 1, 3), np.uint8),
    )  # fmt: skip


def test_smear_cells_draw_the_pinned_bank(smear_cells: Items) -> None:
    chosen = benchmark("smear_cells_10way_5shot")
    test = split(smear_cells, chosen.train_per_class, chosen.validation_per_class).test
    bank = banks.draw(smear_cells, test, chosen.bank, chosen.class_numbers(smear_cells))
    banks.audit(bank, smear_cells, test)
    assert bank.sha256 == "d3e26676c34c04197b8e9be488128d458f90b9ef12d0a37c7f33b39a9977adc4"


def test_bccd_cells_draw_the_pinned_bank(real_data: Path) -> None:
    if not (real_data / "BCCD" / "NucleusMasks").is_dir():
        pytest.skip("BCCD with its masks is not there")
    chosen, listing = benchmark("bccd_4way_5shot"), crops.listing(card.read("bccd"))
    number = {group: i for i, group in enumerate(sorted({entry.group for entry in listing.entries}))}
    cells = Items(
        dataset="bccd", subset=None, synthetic=False, classes=listing.classes,
        names=tuple(entry.name for entry in listing.entries),
        labels=np.array([entry.label for entry in listing.entries]),
        groups=np.array([number[entry.group] for entry in listing.entries]),
        pixels=np.zeros((len(listing.entries), 1, 1, 3), np.uint8),
    )  # fmt: skip
    assert np.bincount(cells.labels).tolist() == [213, 35, 20, 90, 3]
    test = split(cells, chosen.train_per_class, chosen.validation_per_class).test
    bank = banks.draw(cells, test, chosen.bank, chosen.class_numbers(cells))
    banks.audit(bank, cells, test)
    assert bank.sha256 == "c890ce54aeeb0851fecb53d8844b721600c16709162914faf2dc1b611c8c2988"


def test_leukox_is_asked_for_what_its_protocol_needs() -> None:
    """Ten classes of its card; nobody here has the images."""
    chosen, leukox = benchmark("leukox_10way_5shot"), card.read("leukox")
    assert (chosen.dataset, chosen.classes, chosen.bank.way) == ("leukox", (), len(leukox.classes))
