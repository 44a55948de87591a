import os
import shutil
import sys
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from pictures import class_folders, mask, noise, npz, save, truncate, wbc

from zoo import paths
from zoo.data import card, pack, pictures
from zoo.data.items import View
from zoo.data.load import load, present
from zoo.errors import ZooError

PBC = card.read("pbc")
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def pbc(data: Path) -> Path:
    return class_folders(data / PBC.folder, PBC.classes, each=2)


def shrink(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counts: int, listed: list[str]) -> None:
    """A PBC card of `counts` images per class with one named subset."""
    folder = tmp_path / "cards" / "pbc"
    folder.mkdir(parents=True)
    text = (paths.cards() / "pbc" / "card.toml").read_text()
    for name, count in PBC.counts.items():
        text = text.replace(f"{name} = {count}\n", f"{name} = {counts}\n")
    (folder / "card.toml").write_text(text)
    (folder / "pbc6000.txt").write_text("\n".join(listed) + "\n")
    monkeypatch.setattr(paths, "cards", lambda: tmp_path / "cards")


def test_class_folders(tmp_path: Path):
    root = class_folders(tmp_path / "mine", ("b", "a"))
    items = load(str(root), View(crop=20, side=10))
    assert (items.dataset, items.subset, items.synthetic, items.classes) == ("mine", None, False, ("a", "b"))
    assert items.names == tuple(sorted(items.names))
    assert items.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert items.groups.tolist() == [0, 1, 2, 3, 4, 5]
    assert items.pixels.shape == (6, 10, 10, 3)
    expected = pictures.square(pictures.rgb(root / "b" / "b_1.jpg"), View(20, 10))
    assert (items.pixels[items.names.index("b/b_1.jpg")] == expected).all()
    assert items.masks is None
    assert not items.pixels.flags.writeable


def test_own_data_default_to_the_whole_square_at_160(tmp_path: Path):
    assert load(str(class_folders(tmp_path / "mine", ("a", "b"), 1))).pixels.shape == (2, 160, 160, 3)


def test_duplicates_share_a_group_and_conflicts_go(tmp_path: Path):
    root = class_folders(tmp_path / "mine", ("a", "b"))
    shutil.copy(root / "a" / "a_0.jpg", root / "a" / "a_9.jpg")
    shutil.copy(root / "a" / "a_1.jpg", root / "b" / "b_9.jpg")
    items = load(str(root), View(0, 8))
    assert items.names == ("a/a_0.jpg", "a/a_2.jpg", "a/a_9.jpg", "b/b_0.jpg", "b/b_1.jpg", "b/b_2.jpg")
    assert items.groups.tolist() == [0, 1, 0, 3, 4, 5]
    why = "same bytes, other class"
    assert items.dropped == (f"a/a_1.jpg: {why}: b/b_9.jpg", f"b/b_9.jpg: {why}: a/a_1.jpg")


def test_table_with_masks(tmp_path: Path):
    for i in range(3):
        save(tmp_path / f"{i}.png", noise(i))
        save(tmp_path / f"{i}_m.png", mask(40, 40))
    (tmp_path / "own.csv").write_text("path,label,mask\n" + "".join(
        f"{i}.png,{label},{i}_m.png\n" for i, label in enumerate(("x", "y", "y"))))
    items = load(str(tmp_path / "own.csv"), View(0, 40))
    assert items.masks is not None
    assert np.bincount(items.masks[0].ravel()).tolist() == [1600 - 400, 400 - 64, 64]
    assert (items.dataset, items.classes) == ("own", ("x", "y"))
    assert load(str(tmp_path), View(0, 40)).names == items.names  # the folder is recognised by its one table


def test_a_mask_of_another_size_is_refused(tmp_path: Path):
    save(tmp_path / "0.png", noise(0))
    save(tmp_path / "1.png", noise(1))
    save(tmp_path / "m.png", mask(20, 40))
    (tmp_path / "own.csv").write_text("path,label,mask\n0.png,x,m.png\n1.png,y,m.png\n")
    with pytest.raises(ZooError, match=r"0\.png: its mask \(20, 40\) does not fit \(40, 40\)"):
        load(str(tmp_path / "own.csv"))


def test_a_csv_beside_class_folders_that_is_no_table_is_ignored(tmp_path: Path):
    root = class_folders(tmp_path / "mine", ("a", "b"), 1)
    (root / "boxes.csv").write_text("file,x,y\n")
    assert len(load(str(root), View(0, 8))) == 2


def test_truncated_image_names_the_file_and_the_next_command(tmp_path: Path, pbc: Path):
    root = class_folders(tmp_path / "mine", ("a", "b"))
    truncate(root / "b" / "b_1.jpg")
    with pytest.raises(ZooError, match=r"b_1\.jpg: cannot be read as an image.*`zoo data audit .*mine`"):
        load(str(root))
    truncate(pbc / "ig" / "ig_0.jpg")
    with pytest.raises(ZooError, match=r"ig_0\.jpg: .*`zoo data audit pbc`"):
        load("pbc")
    assert not list(paths.cache().rglob("*.part"))
    assert not list(paths.cache().rglob("pixels.npy"))


@pytest.mark.parametrize(("make", "says"), [
    (lambda root: None, "no class folders with images and no CSV"),
    (lambda root: class_folders(root, ("a",)), r"images of one class alone \(a\)"),
    (lambda root: class_folders(root / "train", ("a", "b")), r"holds train, not classes; .*train"),
    (lambda root: [(root / f"{i}.csv").write_text("path,label\n") for i in "12"], "holds 2 CSV files"),
])
def test_a_folder_of_something_else(tmp_path: Path, make, says: str):
    (tmp_path / "mine").mkdir()
    make(tmp_path / "mine")
    with pytest.raises(ZooError, match=says):
        load(str(tmp_path / "mine"))


def test_missing_paths_and_names(tmp_path: Path):
    with pytest.raises(ZooError, match="no such folder or CSV"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ZooError, match="unknown dataset 'pbd': did you mean 'pbc'"):
        load("pbd")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(ZooError, match=r"neither a folder nor a \.csv"):
        load(str(tmp_path / "x.txt"))


def test_missing_data_say_where_and_what_to_type(data: Path):
    assert not present("pbc")
    with pytest.raises(ZooError, match=r"`zoo data get pbc` .*ZOO_DATA") as error:
        load("pbc")
    assert str(data / PBC.folder) in str(error.value)


def test_pbc_partial_with_its_known_flaws(pbc: Path):
    (pbc / "neutrophil" / ".DS_169665.jpg").write_bytes(b"x")
    save(pbc / "eosinophil" / "EO_225902.jpg", noise(999))
    items = load("pbc")
    assert present("pbc")
    assert items.subset == "partial (17 of 17092)"
    assert items.pixels.shape == (16, 160, 160, 3)
    assert items.classes == PBC.classes
    assert [line.split(":")[0] for line in items.dropped] == ["eosinophil/EO_225902.jpg", "neutrophil/.DS_169665.jpg"]


def test_subset_names(pbc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = sorted(file.relative_to(pbc).as_posix() for file in pbc.rglob("*.jpg"))
    shrink(monkeypatch, tmp_path, 3, names)
    assert load("pbc", View(0, 8)).subset == "pbc6000"
    save(pbc / "ig" / "ig_2.jpg", noise(77))
    assert load("pbc", View(0, 8)).subset == "partial (17 of 24)"
    for label, name in enumerate(PBC.classes):
        save(pbc / name / f"{name}_2.jpg", noise(5000 + label))
    assert load("pbc", View(0, 8)).subset is None


def test_segmentation_wbc_has_masks(data: Path):
    wbc(data / "segmentation_WBC")
    items = load("segmentation_wbc")
    assert items.masks is not None
    assert items.masks.shape == (5, 120, 120)
    assert set(np.unique(items.masks)) == {0, 1, 2}
    assert items.classes[items.labels[items.names.index("Dataset 2/002")]] == "monocyte"
    assert items.subset == "partial (5 of 400)"


def test_bloodmnist_takes_the_smallest_file_that_is_large_enough(data: Path):
    npz(data / "bloodmnist" / "bloodmnist.npz", side=28)
    npz(data / "bloodmnist" / "bloodmnist_128.npz", side=128)
    items = load("bloodmnist", View(0, 128))
    with np.load(data / "bloodmnist" / "bloodmnist_128.npz") as arrays:
        assert (items.pixels[items.names.index("val/00001")] == arrays["val_images"][1]).all()
    with np.load(data / "bloodmnist" / "bloodmnist.npz") as arrays:
        assert (load("bloodmnist", View(0, 28)).pixels[2] == arrays["train_images"][0]).all()
    assert items.labels.tolist() == [5, 6, 7, 0, 1, 2, 3, 4]


def test_drawn_cells_are_packed_with_their_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from zoo.data import smear

    folder = tmp_path / "cards" / "smear"
    folder.mkdir(parents=True)
    text = (paths.cards() / "smear" / "card.toml").read_text().replace("per_class = 375", "per_class = 1")
    (folder / "card.toml").write_text(text)
    monkeypatch.setattr(paths, "cards", lambda: tmp_path / "cards")
    items = load("smear")
    assert items.synthetic
    assert items.classes == smear.CLASSES
    assert items.masks is not None
    cell = smear.cell("monocyte", 0)
    row = items.names.index("monocyte/0000")
    assert (items.pixels[row] == pictures.square(cell.image, View(250, 84))).all()
    assert (items.masks[row] == pictures.square(cell.mask, View(250, 84), nearest=True)).all()


def test_the_smear_card_names_the_generators_classes():
    from zoo.data import smear

    assert card.read("smear").classes == tuple(smear.CLASSES)


def test_the_second_load_packs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = str(class_folders(tmp_path / "mine", ("a", "b")))
    first = load(root, View(0, 8))
    monkeypatch.setattr(pack, "_make", lambda *_: pytest.fail("packed again"))
    again = load(root, View(0, 8))
    assert again.sha256 == first.sha256
    shutil.copytree(root, tmp_path / "elsewhere" / "mine")
    assert load(str(tmp_path / "elsewhere" / "mine"), View(0, 8)).sha256 == first.sha256  # keyed by bytes, not by place


def test_another_view_and_other_bytes_are_packed_anew(tmp_path: Path):
    root = class_folders(tmp_path / "mine", ("a", "b"))
    first = load(str(root), View(0, 8))
    assert load(str(root), View(20, 8)).sha256 != first.sha256
    save(root / "a" / "a_0.jpg", noise(12345))
    changed = load(str(root), View(0, 8))
    assert changed.sha256 != first.sha256
    assert (changed.pixels[0] != first.pixels[0]).any()


@pytest.mark.parametrize("damage", ["flip", "cut", "manifest", "gone"])
def test_a_damaged_cache_is_rebuilt_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str):
    root = str(class_folders(tmp_path / "mine", ("a", "b")))
    first = load(root, View(0, 8))
    pixels = np.array(first.pixels)
    (array,) = paths.cache().rglob("pixels.npy")
    if damage == "flip":
        data = bytearray(array.read_bytes())
        data[-1] ^= 1
        array.write_bytes(bytes(data))
    elif damage == "cut":
        os.truncate(array, array.stat().st_size - 10)
    elif damage == "manifest":
        (array.parent / "manifest.json").write_text("{")
    else:
        array.unlink()
    capsys.readouterr()
    again = load(root, View(0, 8))
    assert (again.pixels == pixels).all()
    assert again.sha256 == first.sha256
    assert capsys.readouterr().err.count("damaged; packing them again") == 1
    load(root, View(0, 8))
    assert capsys.readouterr().err == ""


def test_a_damaged_index_of_digests_is_made_again(tmp_path: Path):
    root = str(class_folders(tmp_path / "mine", ("a", "b")))
    first = load(root, View(0, 8))
    (index,) = (paths.cache() / "packed" / "digests").iterdir()
    index.write_text("[1, 2")
    assert load(root, View(0, 8)).sha256 == first.sha256


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(ZooError, match=r"cannot be written .* set ZOO_CACHE"):
        load(str(class_folders(tmp_path / "mine", ("a", "b"))))


def _load_sha(root: str) -> str:
    return load(root, View(0, 64)).sha256


@pytest.mark.skipif(sys.platform != "linux", reason="two processes by fork")
def test_two_runs_at_once_agree(tmp_path: Path):
    root = str(class_folders(tmp_path / "mine", ("a", "b"), 20))
    with get_context("fork").Pool(2) as pool:
        first, second = pool.map(_load_sha, [root, root], chunksize=1)
    assert first == second == load(root, View(0, 64)).sha256


@pytest.mark.skipif(not (REAL / PBC.folder).is_dir(), reason="no real PBC images in ../shared/data")
def test_real_pbc_subset_is_recognised(monkeypatch: pytest.MonkeyPatch):
    from zoo.data.load import card_listing, subset_of

    monkeypatch.setenv("ZOO_DATA", str(REAL))
    assert subset_of(PBC, card_listing(PBC)) == "pbc6000"
