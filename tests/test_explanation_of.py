"""`zoo explain` on a user's own images: a picture, the numbers behind it, and one line for every mistake."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.errors import ZooError
from zoo.pipeline.explanation_of import explain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Supports of three classes, told apart by colour, and two images."""
    root = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    for number, name in enumerate(("red", "green", "blue")):
        for which in range(3):
            picture = random.integers(200, 256, (70, 70, 3), dtype=np.uint8)
            picture[20:50, 20:50] = 0
            picture[20:50, 20:50, number] = 200 + which
            (root / "support" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(root / "support" / name / f"{which}.png")
            if which == 0 and number < 2:
                Image.fromarray(picture).save(root / f"cell {name}.png")
    return root


def run(folder: Path, out: Path, explainer: str = "siamcam", **more) -> list[Path]:
    return explain(
        [folder / "cell red.png", folder / "cell green.png"], folder / "support", more.pop("method", "prototypical"),
        explainer, out, benchmark="smear_8way_5shot", backbone="conv4", device="cpu", precision="fp32", **more,
    )  # fmt: skip


def test_picture_and_numbers(folder: Path, tmp_path: Path) -> None:
    written = run(folder, tmp_path / "out.png", arrays=True)
    assert [path.name for path in written] == ["out.png", "out.npz", "out.json"]
    with Image.open(written[0]) as picture:
        assert picture.size[0] > 1200
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 1000
    manifest = json.loads(written[2].read_text())
    assert manifest["npz_sha256"] == hashlib.sha256(written[1].read_bytes()).hexdigest()
    arrays = np.load(written[1])
    for name, said in manifest["arrays"].items():
        assert list(arrays[name].shape) == said["shape"]
    for row, (one, name) in enumerate(zip(manifest["images"], ("red", "green"), strict=True)):
        assert one["predicted"] == name, "a support of that class is the very same picture"
        assert one["runner_up"] != name
        assert arrays["dissimilarity"][row].argmin() == manifest["classes"].index(name)
        assert max(one["supports"], key=one["supports"].__getitem__).endswith(f"{name}/0.png")
        assert max(one["supports"].values()) == pytest.approx(1, abs=1e-5)
        assert np.ptp(arrays["saliency"][row]) > 0
    assert run(folder, tmp_path / "again.png")[0].read_bytes() == written[0].read_bytes()


def test_methods_that_see_the_queries_or_change_the_backbone(folder: Path, tmp_path: Path) -> None:
    for method in ("tim", "logistic"):
        explainer = "grad_cam" if method == "tim" else "otsu"
        assert run(folder, tmp_path / f"{method}.png", explainer, method=method)[0].stat().st_size > 10_000


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"explainer": "oracle"}, "your images have no masks"),
        ({"method": "supervised"}, "ignores supports"),
        ({"explainer": "attention_rollout"}, "cannot read backbone 'conv4'"),
        ({"method": "knn", "explainer": "grad_cam"}, "cannot explain 'knn'"),
        ({"settings": {"combin": "max"}}, "combine"),
    ],
)
def test_mistakes_are_said_before_any_work(folder: Path, tmp_path: Path, more: dict, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        run(folder, tmp_path / "out.png", **more)
    assert not any(tmp_path.iterdir())


def test_wrong_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"ends in \.png"):
        run(folder, tmp_path / "out.jpg")
    with pytest.raises(ZooError, match="0 images"):
        explain([], folder / "support", "prototypical", "siamcam", tmp_path / "out.png")
    with pytest.raises(ZooError, match="no such image"):
        explain([tmp_path / "none.png"], folder / "support", "prototypical", "siamcam", tmp_path / "out.png",
                benchmark="smear_8way_5shot")  # fmt: skip
