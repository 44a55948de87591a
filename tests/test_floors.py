"""The floors: what they draw, and that the classifier has no say in it."""

import pytest
import torch
from tiny import TinyBackbone, classifier, images

from zoo.errors import ZooError
from zoo.explainers.centre import Centre
from zoo.explainers.constant import Constant
from zoo.explainers.oracle import Oracle
from zoo.explainers.otsu import Otsu
from zoo.explainers.random import Random
from zoo.explainers.sobel import Sobel

FITTED = classifier(TinyBackbone())


def explain(floor, pictures, seed=0):
    return floor.explain(FITTED, pictures, torch.zeros(len(pictures), dtype=torch.long), seed).saliency


def test_random_has_the_grid_of_the_backbone():
    assert explain(Random(), images(2)).shape == (2, 4, 4)


def test_random_follows_content_and_seed_not_position():
    pictures = images(3)
    noise = explain(Random(), pictures)
    assert torch.equal(explain(Random(), pictures.flip(0)).flip(0), noise)
    assert torch.equal(explain(Random(), pictures[1:2])[0], noise[1])
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(explain(Random(), pictures, seed=1)[0], noise[0])


def test_random_is_uniform():
    noise = explain(Random(), images(200))
    assert abs(float(noise.mean()) - 0.5) < 0.02
    assert abs(float(noise.std()) - 12**-0.5) < 0.01


def test_centre_falls_with_the_distance_from_the_centre():
    saliency = explain(Centre(), torch.zeros(1, 3, 8, 12))[0]
    assert saliency.shape == (8, 12)
    # half a pixel off the centre down and right: exp(-((1/16)^2 + (1/24)^2) / (2/16))
    expected = torch.exp(torch.tensor(-8.0 * (1 / 256 + 1 / 576)))
    torch.testing.assert_close(saliency[4, 6], expected)
    torch.testing.assert_close(saliency, saliency.flip(0, 1))
    assert (saliency[4, 6:].diff() < 0).all()


def test_otsu_marks_the_dark_disc_by_its_depth():
    picture = torch.full((1, 3, 10, 10), 0.9)
    picture[0, 1, 2:5, 3:6] = 0.2
    picture[0, 1, 3, 4] = 0.1
    picture[0, 0, 8, 8] = 0.0  # red only: not looked at
    saliency = explain(Otsu(), picture)[0]
    disc = torch.zeros(10, 10, dtype=torch.bool)
    disc[2:5, 3:6] = True
    assert torch.equal(saliency > 0, disc)
    assert int(saliency.argmax()) == 34
    torch.testing.assert_close(saliency[3, 4] - saliency[2, 3], torch.tensor(0.1))


def test_otsu_of_an_even_image_is_zero():
    assert explain(Otsu(), torch.full((1, 3, 8, 8), 0.5)).eq(0).all()


def test_sobel_finds_the_edge():
    picture = torch.zeros(1, 3, 50, 50)
    picture[..., 20:] = 1  # sigma 1: the gradient is 4 in columns 19 and 20, 0 elsewhere
    row = explain(Sobel(), picture)[0][25]
    weight = torch.exp(-(torch.arange(-10.0, 11) ** 2) / 2)
    weight = weight / weight.sum()
    torch.testing.assert_close(row[19], 4 * (weight[10] + weight[11]), rtol=1e-4, atol=0)
    torch.testing.assert_close(row[17], 4 * (weight[12] + weight[13]), rtol=1e-4, atol=0)
    assert row[:10].amax() < 1e-4
    assert row[30:].amax() < 1e-4
    torch.testing.assert_close(explain(Sobel(), picture.transpose(2, 3))[0][:, 25], row)


def test_constant_prefers_no_pixel():
    saliency = explain(Constant(), images(2)[:, :, :12])
    assert saliency.shape == (2, 12, 16)
    assert saliency.eq(1).all()


def test_oracle_is_the_mask_and_needs_one():
    pictures, target = images(2), torch.zeros(2, dtype=torch.long)
    masks = images(2, seed=2)[:, 0] > 0.5
    found = Oracle().explain_with(FITTED, pictures, target, 0, masks).saliency
    assert torch.equal(found, masks.float())
    with pytest.raises(ZooError, match="needs cell masks: use a dataset that has them"):
        Oracle().explain_with(FITTED, pictures, target, 0, None)
    with pytest.raises(ZooError, match="needs cell masks"):
        Oracle().explain(FITTED, pictures, target, 0)
