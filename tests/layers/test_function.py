"""Functions by name, and parameters, as layers."""

import numpy as np
import pytest

from helpers.layers import check_layer, numbers, refused
from minifer import function, gradcheck
from minifer.layers import (DimshuffleLayer, FunctionLayer, InputLayer, ParamLayer,
                            get_all_params, get_output)

X = (None, 3, 4)
#: Function -> options, and what NumPy makes of it.
CASES = {
    "sum": ({"axis": [1], "keepdims": True}, lambda x: x.sum(1, keepdims=True)),
    "product": ({"axis": 2}, lambda x: x.prod(2)),
    "max": ({"axis": [1, 2]}, lambda x: x.max((1, 2))),
    "norm": ({"order": 2, "axis": 2}, lambda x: np.sqrt((x * x).sum(2))),
    "log_sum_exp": ({"axis": 1}, lambda x: np.log(np.exp(x).sum(1))),
    "clip": ({"low": -0.5}, lambda x: np.maximum(x, -0.5)),
    "argmax": ({"axis": 1, "last": True}, lambda x: 2 - x[:, ::-1].argmax(1)),
    "hardmax": ({"axis": 2}, lambda x: (x == x.max(2, keepdims=True)) * 1.0),
    "reshape": ({"shape": [0, -1]}, lambda x: x.reshape(len(x), -1)),
    "take": ({"indices": [2, 0], "axis": 1}, lambda x: x[:, [2, 0]]),
    "part": ({"starts": [1], "stops": [None], "axes": [2], "steps": [2]},
             lambda x: x[:, :, 1::2]),
    "tile": ({"reps": [1, 2, 1]}, lambda x: np.tile(x, (1, 2, 1))),
    "pad": ({"widths": [[0, 0], [1, 0], [0, 2]], "mode": "edge"},
            lambda x: np.pad(x, ((0, 0), (1, 0), (0, 2)), mode="edge")),
    "cumsum": ({"axis": 2, "exclusive": True},
               lambda x: np.cumsum(x, 2) - x),
    "shrink": ({"edge": 0.5, "shift": 0.25}, lambda x: np.where(
        np.abs(x) > 0.5, x - np.sign(x) * 0.25, 0)),
    "celu": ({"alpha": 2.0}, lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
    "softsign": ({}, lambda x: x / (1 + np.abs(x)))}


@pytest.mark.parametrize("name", CASES)
def test_a_function_by_name(name):
    options, expected = CASES[name]
    x = numbers((2, 3, 4))
    layer = FunctionLayer([InputLayer(X)], name, options)
    if name == "argmax":
        np.testing.assert_array_equal(get_output(layer, x), expected(x))
    else:
        check_layer(layer, x, expected(x))
    assert layer.output_shape[0] is None


@pytest.mark.parametrize("name", ["gelu", "hard_sigmoid", "swish", "hard_swish", "mish",
                                  "thresholded", "arcsinh", "expand", "sum_square",
                                  "variance", "concatenate", "where"])
def test_gradients(name):
    x = InputLayer(X)
    options = {"expand": {"shape": (2, 1, 3, 4)}, "concatenate": {"axis": 2}}.get(
        name, {"axis": (2,)} if name in ("sum_square", "variance") else {})
    inputs = {"where": 3, "concatenate": 2}.get(name, 1)
    mask = ParamLayer((3, 4), np.tri(3, 4), trainable=False)
    layers = [mask, x, x][-inputs:] if name == "where" else [x] * inputs
    assert gradcheck.check(FunctionLayer(layers, name, options)).ok


def test_a_parameter_is_learnt_or_not():
    x = InputLayer((None, 2))
    learnt = ParamLayer((2,), np.array([1.0, 2.0]), name="row")
    fixed = ParamLayer((), np.array(3.0), trainable=False)
    top = FunctionLayer([FunctionLayer([x, learnt], "add"), fixed], "multiply")
    assert [p.name for p in get_all_params(top, trainable=True)] == ["row.value"]
    check_layer(top, np.ones((3, 2)), np.tile([6.0, 9.0], (3, 1)))


def test_parameters_and_time_first_in_a_plan():
    """Axes that are no images may be longer than a batch."""
    x = InputLayer((None, 5, 2))
    turned = DimshuffleLayer(x, (1, 0, 2))  # five steps of two images
    table = ParamLayer((5, 1, 2), np.arange(10.0).reshape(5, 1, 2))
    top = FunctionLayer([FunctionLayer([turned, table], "add"),
                         ParamLayer((), np.array(2.0))], "multiply")
    top = DimshuffleLayer(top, (1, 0, 2))
    values = numbers((2, 5, 2)).astype(np.float32)
    compiled = function([x.input_var], get_output(top))
    np.testing.assert_allclose(compiled(values), get_output(top, values), rtol=1e-6)


def test_what_is_refused():
    x = InputLayer(X)
    refused(lambda: FunctionLayer([x], "expp", name="here"), "'expp'", "'exp'")
    refused(lambda: FunctionLayer([x], "exp", {"axis": 1}, name="here"), "axis")
    refused(lambda: FunctionLayer([x], "sum", {"axis": 5}, name="here"), "'sum'")
    refused(lambda: FunctionLayer([x, x], "matmul", name="here"), "'matmul'")
    refused(lambda: FunctionLayer([x], "exp", 3, name="here"), "a dict")
    refused(lambda: ParamLayer((2, None), name="here"), "whole numbers")
