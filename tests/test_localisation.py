"""Metrics of localisation: by hand, and against Quantus and scikit-learn on the same tensors."""

import numpy as np
import pytest
import torch
from marked import LEFT_FIRST, WHITE, explained
from sklearn.metrics import average_precision_score
from tiny import images

from zoo import ops
from zoo.metrics.explanation.pointing_game import PointingGame
from zoo.metrics.explanation.pseudo_jaccard import PseudoJaccard
from zoo.metrics.explanation.pxap import PixelAveragePrecision
from zoo.metrics.explanation.relevance_mass import RelevanceMass
from zoo.metrics.explanation.top_k_intersection import TopKIntersection

MASKS = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]]).bool()


def given(seed=0):
    return explained(images(4), images(4, seed=seed)[:, 0], masks=images(4, seed=seed + 1)[:, 0] > 0.7)


def quantus_on(metric, case):
    arguments = {"normalise": False, "disable_warnings": True}
    found = metric(**arguments)(
        model=None, x_batch=case.images.numpy(), y_batch=case.target.numpy(), a_batch=case.saliency[:, None].numpy(),
        s_batch=case.masks[:, None].numpy(), device="cpu",
    )  # fmt: skip
    return np.array(found, dtype=float)


def test_by_hand():
    # Ranked 4 (top left), 3 (bottom left), 2 (top right), 1; the cell is the top row; the second image has none
    case = explained(WHITE, LEFT_FIRST, masks=MASKS)
    torch.testing.assert_close(PixelAveragePrecision().measure(case), torch.tensor([(1 + 2 / 3) / 2, 0.0]))
    torch.testing.assert_close(RelevanceMass().measure(case), torch.tensor([6 / 10, 0.0]))
    assert TopKIntersection(share=0.75).measure(case).tolist() == [pytest.approx(2 / 3), 0]
    assert TopKIntersection(share=0.001).measure(case).tolist() == [1, 0]


def test_an_even_map_scores_the_share_of_the_cell():
    case = explained(WHITE, torch.ones(2, 2, 2), masks=MASKS)
    assert PixelAveragePrecision().measure(case).tolist() == [0.5, 0]
    assert RelevanceMass().measure(case).tolist() == [0.5, 0]


def test_mass_against_the_class_counts_as_none():
    saliency = torch.tensor([[[2.0, -9.0], [2.0, -1.0]], [[-1.0, -1.0], [0.0, -2.0]]])
    assert RelevanceMass().measure(explained(WHITE, saliency, masks=MASKS)).tolist() == [0.5, 0]


@pytest.mark.parametrize("ties", [False, True])
def test_pxap_equals_scikit_learn(ties):
    case = given()
    assert case.masks is not None
    saliency = (case.saliency * 8).floor() if ties else case.saliency
    found = PixelAveragePrecision().measure(explained(case.images, saliency, masks=case.masks))
    right = [
        average_precision_score(mask.flatten(), values.flatten())
        for mask, values in zip(case.masks, saliency, strict=True)
    ]
    np.testing.assert_allclose(found, right, atol=1e-6)


def test_relevance_mass_equals_quantus():
    import quantus

    np.testing.assert_allclose(RelevanceMass().measure(given()), quantus_on(quantus.RelevanceMassAccuracy, given()),
                               atol=1e-6)  # fmt: skip


def test_top_k_intersection_equals_quantus():
    import quantus

    found = TopKIntersection(share=50 / 256).measure(given())
    theirs = quantus_on(lambda **more: quantus.TopKIntersection(k=50, **more), given())
    np.testing.assert_allclose(found, theirs, atol=1e-6)


def test_pointing_game_equals_quantus():
    import quantus

    found = [
        (PointingGame().measure(given(seed)).tolist(), quantus_on(quantus.PointingGame, given(seed)).tolist())
        for seed in range(3)
    ]
    assert all(ours == theirs for ours, theirs in found)
    assert {value for ours, _ in found for value in ours} == {0, 1}


def test_pseudo_jaccard_by_hand():
    # The nucleus is dark in green; the brightest quarter of the saliency is half of it
    pictures = torch.full((1, 3, 8, 8), 0.9)
    pictures[0, 1, :4] = 0.2
    saliency = torch.zeros(1, 8, 8)
    saliency[0, :2] = 1
    assert ops.otsu_masks(pictures)[0].sum() == 32
    case = explained(pictures, saliency, pseudo_threshold=0.6)
    assert PseudoJaccard().measure(case).tolist() == [0.5]
    assert set(PseudoJaccard.leaves_out) == {"otsu", "sobel", "oracle"}
