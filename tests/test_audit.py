import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import class_folders, noise, save, truncate

from zoo.data.audit import audit
from zoo.errors import ZooError


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return class_folders(tmp_path / "mine", ("a", "b"), each=4)


def test_clean_data(mine: Path):
    report = audit(str(mine))
    assert report.counts == {"a": 4, "b": 4}
    assert (report.duplicates, report.conflicts, report.near, report.other_files, report.unreadable) == ((),) * 5
    assert report.sizes == {"40 x 40": 8}
    assert report.shift is None
    assert report.imbalance == 1


def test_planted_flaws_are_found(mine: Path):
    shutil.copy(mine / "a" / "a_0.jpg", mine / "a" / "copy.jpg")
    shutil.copy(mine / "a" / "a_1.jpg", mine / "b" / "other.jpg")
    picture = np.random.default_rng(0).integers(40, 216, (16, 16, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
    save(mine / "a" / "a_2.jpg", picture)
    save(mine / "b" / "saved_again.jpg", picture, quality=80)
    (mine / "a" / ".DS_1.jpg").write_bytes(b"x")
    (mine / "b" / "notes.txt").write_text("x")
    truncate(save(mine / "b" / "broken.jpg", noise(50, 300, 300)))
    report = audit(str(mine))
    assert report.duplicates == (("a/a_0.jpg", "a/copy.jpg"), ("a/a_1.jpg", "b/other.jpg"))
    assert report.conflicts == ("a/a_1.jpg", "b/other.jpg")
    assert report.near == (("a/a_2.jpg", "b/saved_again.jpg"),)
    assert report.other_files == ("a/.DS_1.jpg: hidden file", "b/notes.txt: not an image")
    assert len(report.unreadable) == 1
    assert "broken.jpg" in report.unreadable[0]
    assert report.imbalance == 7 / 5
    text = str(report)
    assert "byte-identical groups: 2 (a/a_0.jpg = a/copy.jpg; " in text
    assert "unreadable images: 1 (" in text


def test_the_second_batch_shows_by_size_and_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "mine"
    for i in range(6):
        blue = i >= 4
        image = np.full((45 if blue else 40, 40, 3), (200, 190, 230 if blue else 180), np.uint8)
        image[10:30, 10:30] = noise(i, 20, 20)
        save(root / ("a" if i % 2 else "b") / f"{i}.png", image)
    report = audit(str(root))
    assert report.sizes == {"40 x 40": 4, "40 x 45": 2}
    assert report.odd == ("a/5.png", "b/4.png")
    assert report.odd_per_class == {"a": 1, "b": 1}
    assert report.background == (200.0, 190.0, 180.0)
    assert report.shift == (0.0, 0.0, 50.0)
    assert "+0.0, +0.0, +50.0" in report.lines()[-1]


def test_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    with pytest.raises(ZooError, match="`zoo data get pbc`"):
        audit("pbc")
