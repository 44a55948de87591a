"""The banks of the committed records are drawn again from names alone, without a picture."""

import json

import numpy as np
import pytest

from zoo import paths
from zoo.data import banks, card, readers
from zoo.data.benchmark import benchmark
from zoo.data.items import Items
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
