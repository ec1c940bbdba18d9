"""Lasagne's utilities: what they return, what they refuse."""

import numpy as np
import pytest

import minifer
from minifer import config, layers, tensor, utils
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


def test_norms_of_float16_have_room_for_squares():
    x = np.full((16, 3), 1000, np.float16)
    T = tensor.as_tensor_variable(x)
    for found, right in ((utils.compute_norms(x), 4000), (T.norm(2, 0).eval(), 4000),
                         (T.norm(3, 0).eval(), 1000 * 16 ** (1 / 3))):
        assert found.dtype == "float16"
        np.testing.assert_allclose(found, right, rtol=1e-3)
    assert utils.compute_norms(np.full((2, 3), 3)).dtype == "float64"


def test_compute_norms_of_a_vector_and_of_too_many_axes():
    assert utils.compute_norms(np.array([-2., 3.])).tolist() == [2, 3]
    with pytest.raises(SettingError, match="norm_axes"):
        utils.compute_norms(np.zeros((1,) * 6))


# --- of expressions -----------------------------------------------------------------

def test_shared_empty_is_filled_later():
    data = utils.shared_empty(3)
    assert data.get_value().shape == (1, 1, 1) and data.dtype == config.floatX
    data.set_value(np.ones((2, 3, 4)))
    assert data.get_value().sum() == 24
    assert utils.shared_empty(dtype="int32").dtype == "int32"


def test_expressions_stay_and_arrays_become_constants():
    x = tensor.matrix("x")
    assert utils.as_theano_expression(x) is x
    assert utils.as_theano_expression([1.0, 2.0]).eval().tolist() == [1, 2]
    with pytest.raises(SettingError, match="a number or an array of numbers, got 'x'"):
        utils.as_theano_expression("x")


def test_shared_values_are_collected_once_and_in_order():
    net = layers.DenseLayer(layers.InputLayer((None, 3)), 2)
    a, b = minifer.shared(1.0, "a"), minifer.shared(2.0, "b")
    found = utils.collect_shared_vars([b * a + a, layers.get_output(net).sum()])
    assert found == [b, a, net.W, net.b]


def test_one_hot_of_an_expression():
    t = tensor.ivector("t")
    found = minifer.function([t], utils.one_hot(t, 3))(np.array([2, 0]))
    np.testing.assert_array_equal(found, [[0, 0, 1], [1, 0, 0]])


def test_names_of_arguments_with_defaults():
    assert utils.inspect_kwargs(lambda a, b=1, *, c=2: a) == ["b", "c"]
