"""On real images and real weights, where they are: the split, the banks, and a whole run."""

from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.board import statistics
from zoo.data import banks
from zoo.data.benchmark import benchmark
from zoo.data.load import load
from zoo.data.splits import split
from zoo.pipeline import explain, explained


@pytest.mark.usefixtures("real_data")
def test_pbc_is_split_as_in_the_paper() -> None:
    items = load("pbc")
    if items.subset != "pbc6000":
        pytest.skip(f"numbers below are those of pbc6000, here is {items.subset or 'the whole of PBC'}")
    parts = split(items)
    for part, wanted in ((parts.train, 125), (parts.validation, 125)):
        assert np.bincount(items.labels[part]).tolist() == [wanted] * 8
    for one, other in ((parts.train, parts.test), (parts.train, parts.validation), (parts.validation, parts.test)):
        assert not set(items.groups[one]) & set(items.groups[other])
    assert not {"eosinophil/EO_225902.jpg", "neutrophil/BNE_191112.jpg"} & set(items.names)
    chosen = benchmark("pbc_8way_5shot")
    bank = banks.draw(items, parts.test, chosen.bank, np.arange(8))
    banks.audit(bank, items, parts.test)
    assert len(bank.episodes) == 100
    assert {len(episode.query) for episode in bank.episodes} <= set(range(3940, 3961))
    assert bank.sha256 == "7bba5035e77d053964267f13ce3c7d8806f2340dba95f34b0983976324022a8c"


@pytest.fixture
def few_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty explained queries are enough to see that explaining works on real images."""
    monkeypatch.setattr(explained, "ask", lambda bank, count: explain.ask(bank, 20))


@pytest.mark.usefixtures("few_explained")
def test_a_run_on_real_pbc(real_data: Path, real_weights: Path, tmp_path: Path) -> None:
    """Frozen ImageNet features on real cells: far above chance, figures that follow from the stored predictions."""
    result = zoo.run(
        "prototypical", "siamcam", dataset="pbc", way=8, shot=5, bank="standard", episodes=10,
        backbone="mobilenetv2_100", weights=str(real_weights / "mobilenetv2_100.safetensors"), out=tmp_path,
    )  # fmt: skip
    record = result.record
    assert record.figures["accuracy"].value > 0.35
    assert len(record.classes) == 8
    assert record.synthetic is False
    assert record.labels_seen == 0
    figures, by_class = statistics.figures(record.predictions, record.classes, record.bank)
    assert figures == record.figures
    assert by_class == record.class_accuracy
    assert record.explanations is not None
    assert set(record.explanations.rows) == {"siamcam", "random", "centre", "constant", "otsu", "sobel"}
    assert result.gallery is not None
    assert result.gallery.stat().st_size > 50_000
    assert str(real_data) not in result.path.read_text("utf-8")
