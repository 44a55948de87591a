"""On real images with real masks, where they are: whether saliency lies on the cell."""

from pathlib import Path

import pytest

import zoo
from zoo.pipeline import explain, explained


@pytest.mark.usefixtures("real_data")
def test_real_masks_score_otsu_above_random(
    real_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """segmentation_WBC has real cell masks: the dark pixels lie on the cell, noise does not. Twenty queries are enough
    to see it."""
    monkeypatch.setattr(explained, "ask", lambda bank, count: explain.ask(bank, 20))
    result = zoo.run(
        "prototypical", "grad_cam", benchmark="segmentation_wbc_4way_5shot", backbone="mobilenetv2_100",
        weights=str(real_weights / "mobilenetv2_100.safetensors"), out=tmp_path,
    )  # fmt: skip
    assert result.record.explanations is not None
    rows = result.record.explanations.rows
    assert rows["otsu"].figures["saliency_jaccard"].value > 0.5
    assert rows["otsu"].against_random["saliency_jaccard"].low > 0
