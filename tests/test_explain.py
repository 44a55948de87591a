"""Which queries are explained, which pairs are refused, and that thresholds never see what they are scored on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from zoo import registry
from zoo.data.items import Items
from zoo.pipeline import explain
from zoo.pipeline.device import AtPrecision, choose
from zoo.pipeline.explain import ask, metrics_for, metrics_of, score
from zoo.pipeline.scene import Scene
from zoo.record import Bank, BankSpec, Episode

SIDE = 32


def items(masks: bool = True) -> Items:
    """40 items of two classes: a dark square on the left or the right, and its mask."""
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = random.integers(190, 250, (40, SIDE, SIDE, 3), dtype=np.uint8)
    mask = np.zeros((40, SIDE, SIDE), np.uint8)
    for number, label in enumerate(labels):
        left = 4 + 16 * label
        pixels[number, 10:20, left : left + 8] = 40
        mask[number, 10:20, left : left + 8] = 2
    names = tuple(f"{number:02d}" for number in range(40))
    classes = ("left", "right")
    return Items("squares", None, True, classes, names, labels, np.arange(40), pixels, mask if masks else None)


def bank(first: int, episodes: int = 4) -> Bank:
    """Supports 0..5, queries from item `first` on, twelve an episode."""
    query = np.arange(first, first + 12)
    one = Episode(np.arange(2), np.array([0, 2, 4, 1, 3, 5]), np.repeat([0, 1], 3), query, query % 2)
    return Bank(BankSpec(kind="standard", way=2, shot=3, episodes=episodes), (one,) * episodes)


def scene(data: Items) -> Scene:
    backbone = AtPrecision(registry.backbone("conv4", None).requires_grad_(False), choose("cpu", "fp32"))
    fill, features = torch.full((3,), 0.2), torch.zeros(len(data), backbone.dim)
    return Scene(backbone, registry.method("prototypical"), None, data, np.arange(2), 1.0, fill, features)


def test_queries_are_spread_over_episodes_and_classes() -> None:
    asked = ask(bank(10), 30)
    assert [len(part.query) for part in asked] == [8, 8, 7, 7]
    for part in asked:
        counts = np.bincount(part.episode.query_labels[part.query], minlength=2)
        assert abs(counts[0] - counts[1]) <= 1
        assert len(np.unique(part.query)) == len(part.query)
    assert {tuple(part.query[:2]) for part in asked} != {tuple(asked[0].query[:2])}, "the same queries every time"
    assert sum(len(part.query) for part in ask(bank(10), 1000)) == 48


def test_many_queries_are_explained_part_by_part_and_no_image_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    together = ask(bank(10), 48)
    monkeypatch.setattr(explain, "PART", 5)
    asked = ask(bank(10), 48)
    assert [len(part.query) for part in asked] == [5, 5, 2] * 4
    whole = np.concatenate([part.query for part in together])
    assert np.concatenate([part.query for part in asked]).tolist() == whole.tolist()
    data, shared = items(), [{} for _ in asked]
    metrics = metrics_for([name for name in registry.names("metrics/explanation") if name != "mprt"], 3, data)
    own = metrics_of("siamcam", registry.explainer("siamcam"), metrics)
    found = score(scene(data), registry.explainer("siamcam"), asked, ask(bank(6, 1), 4), own, 0, "siamcam", shared)
    plain = score(scene(data), registry.explainer("siamcam"), together, ask(bank(6, 1), 4), own, 0, "siamcam")
    assert plain["values"].keys() == found["values"].keys()
    for name in ("deletion", "insertion", "saliency_jaccard", "pair_deletion"):
        assert found["values"][name] == pytest.approx(plain["values"][name], abs=1e-5), name
    largest = max(tensor[0].numel() for kept in shared for tensor in kept.values())
    assert largest < SIDE**2, "what is kept of a query is less than its image"


@pytest.mark.parametrize("count", [3, 7, 30])
def test_no_class_is_asked_about_more_than_another(count: int) -> None:
    """However few queries an episode has."""
    labels = np.concatenate([part.episode.query_labels[part.query] for part in ask(bank(10), count)])
    counts = np.bincount(labels, minlength=2)
    assert counts.sum() == count
    assert abs(counts[0] - counts[1]) <= 1


def test_masks_are_of_the_part_that_is_marked() -> None:
    data = items()
    assert data.masks is not None
    data.masks[:, 10:12] = np.minimum(data.masks[:, 10:12], 1)
    whole, nucleus, cytoplasm = (replace(scene(data), marked=part) for part in ("cell", "nucleus", "cytoplasm"))
    numbers = np.arange(4)
    found = {one.marked: one.masks(numbers) for one in (whole, nucleus, cytoplasm)}
    assert {name: int(mask.sum()) for name, mask in found.items() if mask is not None} == {
        "cell": 4 * 80, "nucleus": 4 * 64, "cytoplasm": 4 * 16,
    }  # fmt: skip


def test_refusals_follow_from_the_contracts() -> None:
    def pair(method: str, explainer: str) -> str | None:
        return registry.refusal(registry.plugin("methods", method), registry.plugin("explainers", explainer))

    assert pair("stn", "siamcam") is None
    assert "gradient" in (pair("knn", "grad_cam") or "")
    assert "support" in (pair("supervised", "siamcam") or "")
    assert pair("chance", "random") is None


def test_metrics_that_need_masks_are_left_out_without_them() -> None:
    names = ["deletion", "saliency_jaccard"]
    assert list(metrics_for(names, 4, items())) == names
    assert list(metrics_for(names, 4, items(masks=False))) == ["deletion"]
    assert metrics_for(names, 4, items())["deletion"].steps == 4  # type: ignore[attr-defined]


def test_scores_are_one_a_query_and_finite() -> None:
    data = items()
    asked, held_out = ask(bank(20, 2), 4), ask(bank(6), 4)
    names = registry.names("metrics/explanation")
    shared = [{} for _ in asked]
    for name in ("siamcam", "oracle"):
        explainer = registry.explainer(name)
        own = metrics_of(name, explainer, metrics_for(names, 4, data))
        found = score(scene(data), explainer, asked, held_out, own, 0, name, shared)
        assert found["values"].keys() == own.keys()
        assert all(len(values) == 4 and np.isfinite(values).all() for values in found["values"].values())
        assert len(found["correct"]) == len(found["confidence"]) == 4


def test_the_threshold_comes_from_validation_alone() -> None:
    """Other masks on the validation items move the Jaccard; other masks on the test items do not move the threshold."""
    data, seen = items(), []
    metrics = metrics_for(["saliency_jaccard"], 4, data)
    real = metrics["saliency_jaccard"].measure

    def watch(explained):  # type: ignore[no-untyped-def]
        seen.append(explained.threshold)
        return real(explained)

    object.__setattr__(metrics["saliency_jaccard"], "measure", watch)
    for rows in (None, range(20, 32), range(6, 18)):
        changed = items()
        if rows is not None:
            changed.masks[list(rows)] = 2  # type: ignore[index]
        score(scene(changed), registry.explainer("centre"), ask(bank(20, 1), 12), ask(bank(6, 1), 12), metrics, 0, "")
    plain, other_test, other_validation = seen
    assert plain == other_test
    assert plain != other_validation
