"""Nonlinearities under Lasagne's names. Their mathematics: test_ops_activation."""

import numpy as np
import pytest

import minifer
from helpers import reference
from helpers.checking import check_op
from helpers.layers import numbers
from helpers.tolerances import assert_close
from minifer import nonlinearities
from minifer.errors import MiniferError, SettingError
from minifer.nonlinearities import as_nonlinearity

SELU = (1.0507009873554804934193349852946, 1.6732632423543772848170429916717)
CASES = {
    "identity": lambda x: x, "linear": lambda x: x, "rectify": reference.rectify,
    "leaky_rectify": lambda x: reference.leaky_rectify(x, 0.01),
    "very_leaky_rectify": lambda x: reference.leaky_rectify(x, 1 / 3),
    "elu": reference.elu, "selu": lambda x: reference.selu(x, *SELU),
    "tanh": reference.tanh, "sigmoid": reference.sigmoid,
    "softplus": reference.softplus, "softmax": reference.softmax,
    "relu6": lambda x: reference.clipped_rectify(x, 6.0),
    "hard_sigmoid": lambda x: reference.hard_sigmoid(x, 1 / 6, 0.5),
    "softsign": reference.softsign, "swish": reference.swish,
    "hard_swish": reference.hard_swish, "gelu": reference.gelu,
    "gelu_tanh": reference.gelu_tanh, "mish": reference.mish}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_named_nonlinearities(name, dtype):
    f, x = getattr(nonlinearities, name), numbers((4, 5)).astype(dtype)
    y, cache = f.forward(x)
    assert_close(y, CASES[name](x), "reference", dtype, name)
    np.testing.assert_array_equal(f(x), y)
    dx = f.backward(np.ones_like(y), cache)
    assert y.dtype == dx.dtype == dtype and dx.shape == x.shape


def test_every_public_object_is_tested_above():
    objects = {name for name in nonlinearities.__all__
               if isinstance(getattr(nonlinearities, name),
                             nonlinearities.Nonlinearity)}
    assert objects == set(CASES)


@pytest.mark.parametrize("f, expected", [
    (nonlinearities.LeakyRectify(), lambda x: reference.leaky_rectify(x, 0.01)),
    (nonlinearities.LeakyRectify(0.3), lambda x: reference.leaky_rectify(x, 0.3)),
    (nonlinearities.SELU(), reference.elu),
    (nonlinearities.SELU(2.0, 0.5), lambda x: reference.selu(x, 2.0, 0.5)),
    (nonlinearities.ClippedRectify(0.5), lambda x: reference.clipped_rectify(x, 0.5)),
    (nonlinearities.HardSigmoid(0.2), lambda x: reference.hard_sigmoid(x, 0.2, 0.5)),
    (nonlinearities.ScaledTanH(), reference.tanh),
    (nonlinearities.ScaledTanH(2 / 3, 1.7159),
     lambda x: reference.scaled_tanh(x, 2 / 3, 1.7159))])
def test_classes_take_lasagnes_options(f, expected):
    x = numbers((4, 5))
    assert_close(f(x), expected(x), "reference", "float64", repr(f))


def test_names_are_told():
    assert repr(nonlinearities.rectify) == "rectify"
    assert repr(nonlinearities.LeakyRectify(0.25)) == "leaky_rectify(leakiness=0.25)"


def test_linear_is_identity_and_so_is_none():
    assert nonlinearities.linear is nonlinearities.identity
    assert as_nonlinearity(None) is nonlinearities.identity
    assert as_nonlinearity(nonlinearities.elu) is nonlinearities.elu


def test_an_object_with_both_methods_is_a_nonlinearity():
    class Square:
        def forward(self, x):
            return x * x, (x,)

        def backward(self, dy, cache):
            return 2 * cache[0] * dy

    square = Square()
    assert as_nonlinearity(square) is square


@pytest.mark.parametrize("f", [len, "rectify", np.tanh])
def test_anything_else_is_refused(f):
    with pytest.raises(SettingError, match="expected an object with forward and back"):
        as_nonlinearity(f)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (2, 3, 4, 4)])
def test_softmax_wants_rows(shape):
    with pytest.raises(MiniferError, match=r"\(N, K\)"):
        nonlinearities.softmax(np.zeros(shape))


@pytest.mark.parametrize("name", CASES)
def test_of_an_expression_an_expression(name):
    x = minifer.tensor.matrix("x")
    y = getattr(nonlinearities, name)(x)
    found = y.eval({x: numbers((4, 3))})
    np.testing.assert_allclose(found, CASES[name](numbers((4, 3))), rtol=1e-10)


@pytest.mark.parametrize("f", [
    minifer.tensor.nnet.relu, minifer.tensor.tanh, lambda x: x * x, abs,
    lambda x: minifer.tensor.switch(x > 0, x, 0.3 * x),
    nonlinearities.ScaledTanh(2, 3)])
def test_a_function_of_expressions_is_a_nonlinearity(f):
    made = as_nonlinearity(f)
    x = numbers((4, 3))
    check_op(made.forward, made.backward, [x], lambda x: made(x))
    layer = minifer.layers.DenseLayer((None, 3), 2, nonlinearity=f)
    assert layer.get_output_for(x).shape == (4, 2)
