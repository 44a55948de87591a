"""`zoo compare`: what is paired, what is refused, and what the terminal shows."""

from pathlib import Path
from typing import Any

import pytest
from records import drawn, record
from rich.console import Console
from statsmodels.stats.multitest import multipletests

from zoo import paths
from zoo.board import compare, compare_tables, published, store
from zoo.errors import ZooError
from zoo.packing import pack_numbers
from zoo.record import Record

PAPERS = published.load(paths.published())
CLASSES = ["basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet"]
MAIN = "mean_class_accuracy"


def pbc(share: float, seed: int = 0, **changes: Any) -> Record:
    found = changes.pop("predictions", None) or drawn(seed, share, 8, 160, 6)
    settings: dict[str, Any] = {"dataset": "pbc", "backbone": "tf_efficientnet_b3", "benchmark": "pbc_8way_5shot"}
    return record(seed, classes=CLASSES, predictions=found, **(settings | changes))


def compared(folder: Path, a: Record, b: Record, metric: str = MAIN) -> compare.Comparison:
    return compare.compare(str(store.write(a, folder)), str(store.write(b, folder)), metric, PAPERS)


def shown(found: compare.Comparison, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(compare_tables.show(found))
    return captured.get()


def test_two_records_with_classes_and_episodes(tmp_path: Path) -> None:
    a, b = pbc(0.97), pbc(0.8, seed=1, method="knn")
    found = compared(tmp_path, a, b)
    value = a.figures[MAIN].value - b.figures[MAIN].value
    assert found.whole.difference.figure.value == pytest.approx(value)
    assert found.whole.difference.p < 0.001
    assert [part.name for part in found.classes] == CLASSES
    assert all(part.holm >= part.difference.p for part in found.classes)
    ig = found.classes[3]
    expected = a.class_accuracy["ig"].value - b.class_accuracy["ig"].value
    assert ig.difference.figure.value == pytest.approx(expected)
    gaps = [abs(one.a - one.b) for one in found.apart]
    assert gaps == sorted(gaps, reverse=True)
    assert len(gaps) == 5
    turned = compared(tmp_path, b, a)
    assert turned.whole.difference.figure.value == pytest.approx(-value)
    assert turned.whole.difference.p == pytest.approx(found.whole.difference.p)


def test_the_widest_episode_is_found(tmp_path: Path) -> None:
    a = pbc(1.0)
    worse = drawn(0, 1.0, 8, 160, 6)
    predicted = worse.unpack()[1].reshape(160, 6)
    predicted[:40, 3] = 0  # the fourth draw: 40 queries of which 5 are basophils
    b = pbc(1.0, predictions=worse.model_copy(update={"predicted": pack_numbers(predicted.ravel())}), method="knn")
    (apart,) = compared(tmp_path, a, b, "accuracy").apart
    assert (apart.name, apart.a, apart.b) == ("4", 1.0, 1 - 35 / 160)


def test_a_folder_of_seeds_is_one_row(tmp_path: Path) -> None:
    for seed in range(3):
        store.write(pbc(0.95 + seed / 100, seed), tmp_path / "a")
    other = store.write(pbc(0.8, method="knn"), tmp_path / "b")
    found = compare.compare(str(tmp_path / "a"), str(other), MAIN, PAPERS)
    assert "seeds 0, 1, 2" in found.titles[0]
    assert any("3 and 1" in note for note in found.notes)
    with pytest.raises(ZooError, match="records of 2 rows"):
        compare.compare(str(tmp_path), str(other), MAIN, PAPERS)
    (tmp_path / "none").mkdir()
    with pytest.raises(ZooError, match="no record"):
        compare.compare(str(tmp_path / "none"), str(other), MAIN, PAPERS)


def test_explainers_are_paired_by_query(tmp_path: Path) -> None:
    a, b = pbc(0.97), pbc(0.97, explainer="grad_cam", seed=0)
    assert a.explanations is not None
    assert b.explanations is not None
    row = b.explanations.rows["grad_cam"]
    values = row.values | {"deletion": [value + 0.1 for value in row.values["deletion"]]}
    b.explanations.rows["grad_cam"] = row.model_copy(update={"values": values})
    found = compared(tmp_path, a, b, "deletion")
    assert found.whole.difference.figure.value == pytest.approx(-0.1)
    assert found.unit == "query"
    assert found.apart[0].name in a.explanations.items
    assert "Lower is better." in found.notes
    assert "siamcam" in found.titles[0]
    assert "deletion" not in {part.name for part in found.explained}
    whole = compared(tmp_path, a, b)
    assert "siamcam" in whole.titles[0]
    of_deletion = next(part for part in whole.explained if part.name == "deletion")
    assert of_deletion.difference == found.whole.difference
    assert [part.holm for part in whole.explained] == pytest.approx(
        multipletests([part.difference.p for part in whole.explained], method="holm")[1]
    )
    b.explanations.items[0] = "another.png"
    apart = compared(tmp_path, a, b)
    assert not apart.explained
    assert "siamcam" not in apart.titles[0]
    told = "Their explanations are not compared: they explain different queries."
    assert told in apart.notes
    assert told not in whole.notes
    assert told not in compared(tmp_path, a, pbc(0.97, explainer=None)).notes
    with pytest.raises(ZooError, match="unknown metric of stn 'deletoin': did you mean 'deletion'"):
        compared(tmp_path, a, b, "deletoin")


@pytest.mark.parametrize(
    ("change", "what"),
    [({"bank_sha256": "8" * 64}, "bank"), ({"item_set_sha256": "8" * 64}, "images")],
)
def test_other_banks_are_refused_in_one_line(tmp_path: Path, change: dict, what: str) -> None:
    with pytest.raises(ZooError, match=f"their {what} differ") as caught:
        compared(tmp_path, pbc(0.9), pbc(0.9, **change))
    assert "\n" not in str(caught.value)
    with pytest.raises(ZooError, match="their classes differ"):
        compared(tmp_path, pbc(0.9), record())


def test_a_paper_is_compared_with_both_errors(tmp_path: Path) -> None:
    path = str(store.write(pbc(0.8), tmp_path))
    found = compare.compare(path, "published:stn", MAIN, PAPERS)
    turned = compare.compare("published:stn", path, MAIN, PAPERS)
    own, said = found.whole.a, found.whole.b
    assert said.value == 0.9725
    assert said.low < 0.9725 < said.high
    low = own.value - said.value - ((own.value - own.low) ** 2 + (said.high - said.value) ** 2) ** 0.5
    assert found.whole.difference.figure.low == pytest.approx(low)
    assert turned.whole.difference.figure.high == pytest.approx(-low)
    assert [part.name for part in found.classes] == CLASSES
    assert not found.apart
    assert "The same method, backbone, images and protocol." in found.notes
    with pytest.raises(ZooError, match="measured on pbc, the record on toy"):
        compare.compare(str(store.write(record(), tmp_path)), "published:stn", MAIN, PAPERS)
    with pytest.raises(ZooError, match="did you mean 'stn'"):
        compare.compare(path, "published:stm", MAIN, PAPERS)
    with pytest.raises(ZooError, match="no episodes"):
        compare.compare("published:stn", "published:stn", MAIN, PAPERS)
    with pytest.raises(ZooError, match="unknown metric of Siamese twin network 'macro_f1'"):
        compare.compare(path, "published:stn", "macro_f1", PAPERS)


def test_the_terminal_has_room_for_every_cell(tmp_path: Path) -> None:
    text = shown(compared(tmp_path, pbc(0.97), pbc(0.8, seed=1, method="knn")))
    assert max(map(len, text.splitlines())) <= 80
    for name in ("mean class accuracy", *CLASSES):
        assert any(name in line and "to" in line for line in text.splitlines())
    assert "…" not in text
    assert "patients is not covered" in " ".join(text.split())
