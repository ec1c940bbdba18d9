"""Variables: how many axes, of which type, and what they take."""

import numpy as np
import pytest

import minifer
from minifer import tensor as T
from minifer.errors import SettingError

AXES = {"scalar": 0, "vector": 1, "row": 2, "col": 2, "matrix": 2, "tensor3": 3,
        "tensor4": 4, "tensor5": 5}


@pytest.mark.parametrize("name", AXES)
def test_kinds(name):
    plain = getattr(T, name)("x")
    assert (plain.name, plain.ndim, plain.dtype) == ("x", AXES[name], "floatX")
    assert getattr(T, name)(dtype="int32").dtype == "int32"
    for letter, dtype in dict(b="int8", w="int16", i="int32", l="int64", f="float32",
                              d="float64").items():
        made = getattr(T, letter + name)("y")
        assert (made.name, made.ndim, made.dtype) == ("y", AXES[name], dtype)


def test_several_at_once():
    assert [v.name for v in T.matrices("a", "b")] == ["a", "b"]
    assert [v.ndim for v in T.tensor4s(3)] == [4, 4, 4]
    made = T.TensorType("float32", (False,) * 5)("v")
    assert (made.ndim, made.dtype) == (5, "float32")


def given(variable, value, **options):
    """The dtype in which a value arrives."""
    return minifer.function([variable], variable * 1, **options)(value).dtype


@pytest.mark.parametrize("variable, dtype, arrives", [
    (T.vector(), "float32", "float32"), (T.vector(), "float64", "float64"),
    (T.vector(), "uint8", "float32"), (T.dvector(), "float32", "float64"),
    (T.fvector(), "float32", "float32"), (T.fvector(), "int64", "float32"),
    (T.ivector(), "int64", "int64"), (T.ivector(), "uint8", "uint8")])
def test_values_take_their_variables_type(variable, dtype, arrives):
    assert given(variable, np.ones(3, dtype)) == arrives


@pytest.mark.parametrize("variable, value", [
    (T.fvector("v"), np.ones(2)), (T.ivector("v"), np.ones(2))])
def test_precision_is_not_lost_unasked(variable, value):
    with pytest.raises(SettingError, match="'v', got float64.+allow_input_downcast"):
        given(variable, value)
    assert given(variable, value, allow_input_downcast=True) == variable.dtype


def test_downcast_to_floatX():
    assert given(T.vector(), np.ones(2), allow_input_downcast=True) == "float32"


@pytest.mark.parametrize("name, instead", [
    ("scan", "RecurrentLayer"), ("sparse", "NumPy"),
    ("Op", "layer of your own"),
    ("gof", "layers")])
def test_what_of_theano_is_not_here_says_what_to_use(name, instead):
    with pytest.raises(AttributeError, match=f"theano.{name} is not here: .*{instead}"):
        getattr(minifer, name)


def test_so_do_modules():
    with pytest.raises(ImportError, match="theano.sandbox is not here: use"):
        import minifer.sandbox.cuda  # noqa: F401
    with pytest.raises(ImportError, match=r"theano.tensor.signal is not here: use"):
        from minifer.tensor.signal import pool  # noqa: F401
    with pytest.raises(AttributeError, match="conv2d is not here: .*Conv2DLayer"):
        T.nnet.conv2d
