"""Views of a face: moved and mirrored as they say, and averaged."""

import numpy as np
import pytest

from minifer.faces.views import mean_of_views, views

CROPS = np.random.default_rng(0).integers(0, 255, (3, 2, 24, 48)).astype(np.uint8)


def moved(crops, down, right):
    """By slow loops."""
    H, W = crops.shape[-2:]
    result = np.empty_like(crops)
    for i in range(H):
        for j in range(W):
            result[..., i, j] = crops[..., min(max(i - down, 0), H - 1),
                                      min(max(j - right, 0), W - 1)]
    return result


def test_ten_views():
    expected = []
    for down, right in (0, 0), (1, 0), (-1, 0), (0, 2), (0, -2):
        one = moved(CROPS, down, right)
        expected += [one, one[..., ::-1]]
    found = list(views(CROPS))
    assert len(found) == 10
    for one, other in zip(found, expected):
        assert (one == other).all() and one.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_what_is_said(dtype):
    def judge(crops):
        return crops.mean(axis=1, dtype=dtype)[:, :7, 5] / 255

    said = mean_of_views(judge, CROPS, shift=.1)
    expected = np.mean([judge(one) for one in views(CROPS, .1)], axis=0)
    np.testing.assert_allclose(said, expected, rtol=1e-6)
    assert said.dtype == dtype


def test_a_network_that_likes_mirrors_says_what_it_says():
    same = np.repeat(np.arange(24, dtype=np.uint8)[:, None], 24, axis=1)[None, None]
    assert (list(views(same))[1] == same).all()
