"""Lasagne's utilities: what they return, what they refuse."""

import numpy as np
import pytest

from minifer import config, utils
from minifer.errors import SettingError, ShapeError


def test_floatX_follows_the_setting(monkeypatch):
    assert utils.floatX([1, 2]).dtype == "float32"
    monkeypatch.setattr(config, "floatX", "float64")
    assert utils.floatX([1, 2]).dtype == "float64"


def test_as_tuple():
    assert utils.as_tuple(3, 2) == (3, 3) and utils.as_tuple([1, 2], 2, int) == (1, 2)
    for value, length, kind in (([1, 2], 3, None), ((1, "a"), 2, int)):
        with pytest.raises(SettingError, match="as_tuple: expected"):
            utils.as_tuple(value, length, kind)


def test_one_hot():
    rows = utils.one_hot(np.array([2, 0]))
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]] and rows.dtype == "float32"
    assert utils.one_hot(np.array([0]), m=4).shape == (1, 4)
    assert utils.one_hot(np.zeros(0, int), 3).shape == (0, 3)
    for wrong in ([0.5], [[1]], [-1], [3]):
        with pytest.raises(ShapeError, match="one_hot: expected"):
            utils.one_hot(np.array(wrong), 3)


@pytest.mark.parametrize("shape, axes", [((3, 4), (0,)), ((2, 3, 4), (1, 2)),
                                         ((2, 3, 4, 5), (1, 2, 3))])
def test_compute_norms(shape, axes):
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(utils.compute_norms(x), np.sqrt((x * x).sum(axis=axes)))
    np.testing.assert_allclose(utils.compute_norms(x, (1,)),
                               np.sqrt((x * x).sum(axis=1)))


def test_compute_norms_of_a_vector_and_of_too_many_axes():
    assert utils.compute_norms(np.array([-2., 3.])).tolist() == [2, 3]
    with pytest.raises(SettingError, match="norm_axes"):
        utils.compute_norms(np.zeros((1,) * 6))
