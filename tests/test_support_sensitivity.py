"""Which support decided, and how the saliency hangs on the supports."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_explain import bank, items, scene

from zoo import ops, registry
from zoo.errors import ZooError
from zoo.pipeline.explain import ask
from zoo.pipeline.support_sensitivity import support_sensitivity

POOL = np.arange(32, 40)


def test_the_twin_of_the_query_decides() -> None:
    """With the nearest support as its answer, a query whose twin is a support hangs on that one alone."""
    data = items()
    pixels = data.pixels.copy()
    pixels[4] = pixels[20]  # item 4 is a support of class 0, item 20 a query of it
    real = replace(scene(replace(data, pixels=pixels)), method=registry.method("nearest_support"))
    asked = [part._replace(query=np.array([0])) for part in ask(bank(20, 1), 1)]
    (found,) = support_sensitivity(real, registry.explainer("centre"), asked, POOL, draws=2)
    assert (found.item, found.decisive) == ("20", "04")
    assert found.fall > 0
    assert found.predicted == "left"
    assert found.probability > 0.5
    assert found.worst == found.median == found.best == 1, "the centre does not move with the supports"


def test_an_explainer_of_supports_moves_with_them() -> None:
    found = support_sensitivity(scene(items()), registry.explainer("siamcam"), ask(bank(20, 1), 4), POOL, draws=3)
    assert len(found) == 4
    for one in found:
        assert -1 <= one.worst <= one.median <= one.best <= 1
        assert one.decisive in {f"{number:02d}" for number in (0, 2, 4, 1, 3, 5)}
    assert min(one.worst for one in found) < 1
    again = support_sensitivity(scene(items()), registry.explainer("siamcam"), ask(bank(20, 1), 4), POOL, draws=3)
    assert again == found


def test_the_worst_draw_is_the_one_that_is_kept() -> None:
    """Refitting by hand with the swapped support gives the kept saliency, and its rank correlation."""
    real, explainer, asked = scene(items()), registry.explainer("siamcam"), ask(bank(20, 1), 4)
    (part,) = asked
    numbers = part.episode.query[part.query]
    for one, number in zip(support_sensitivity(real, explainer, asked, POOL, draws=3), numbers, strict=True):
        assert one.item == f"{number:02d}"
        gone, come = int(one.swapped_out), int(one.swapped_in)
        assert come in POOL
        assert gone % 2 == come % 2 == ("left", "right").index(one.predicted)
        support = np.where(part.episode.support == gone, come, part.episode.support)
        images, target = real.images(np.array([number])), torch.tensor([gone % 2])
        before, after = (
            explainer.explain(real.classifier(part.episode._replace(support=numbers)), images, target, 0).saliency
            for numbers in (part.episode.support, support)
        )
        np.testing.assert_allclose(one.saliency, before[0], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(one.worst_saliency, after[0], rtol=1e-4, atol=1e-7)
        before, after = (ops.upsample(maps, *images.shape[2:]).flatten(1) for maps in (before, after))
        assert one.worst == pytest.approx(ops.rank_correlation(before, after).item(), abs=1e-3)


def test_mistakes_are_said() -> None:
    def run(pool: np.ndarray, draws: int) -> None:
        support_sensitivity(scene(items()), registry.explainer("centre"), ask(bank(20, 1), 2), pool, draws)

    with pytest.raises(ZooError, match="draws=0"):
        run(POOL, 0)
    with pytest.raises(ZooError, match="no spare image of 'left'"):
        run(POOL[1::2], 1)
