"""Every function of minifer.tensor: its value, its gradient, on every device."""

import numpy as np
import pytest

import minifer
from helpers.devices import DEVICES
from helpers.layers import numbers
from helpers.tolerances import assert_close
from minifer import gradcheck, tensor as T
from minifer.device.arrays import to_device
from minifer.expressions import Param, evaluate, gradients

A = numbers((3, 4))
B = numbers((3, 4), 1) + 3.0
POSITIVE = np.abs(A) + 0.5
SMALL = np.tanh(A) * 0.9
ROW = numbers((4,), 2)
CUBE = numbers((2, 3, 4), 3)

#: Build, NumPy's, the arrays.
CASES = {
    "add": (lambda a, b: a + b, np.add, (A, B)),
    "stretched": (lambda a, b: a * b, np.multiply, (A, ROW)),
    "sub": (T.sub, np.subtract, (A, B)), "mul": (T.mul, np.multiply, (A, B)),
    "div": (T.true_div, np.divide, (A, B)),
    "pow": (lambda a, b: a ** b, np.power, (POSITIVE, B)),
    "pow 3": (lambda a: a ** 3, lambda a: a ** 3, (A,)),
    "mod": (lambda a, b: a % b, np.mod, (A, B)),
    "mod of a row": (lambda a: T.mod(1.5, a), lambda a: np.mod(1.5, a), (B,)),
    "2 to the": (lambda a: 2 ** a, lambda a: 2 ** a, (A,)),
    "numbers": (lambda a: 1 - 2 / (3 * a + 9), lambda a: 1 - 2 / (3 * a + 9), (A,)),
    "maximum": (T.maximum, np.maximum, (A, B - 3)),
    "minimum": (T.minimum, np.minimum, (A, B - 3)),
    "switch": (lambda a, b: T.switch(a > 0, a, b), lambda a, b: np.where(a > 0, a, b),
               (A, B)),
    "clip": (lambda a: a.clip(-0.4, 0.6), lambda a: np.clip(a, -0.4, 0.6), (A,)),
    "crossed bounds": (lambda a, b: T.clip(a, b, b - 1), lambda a, b: b - 1 + 0 * a,
                       (A, ROW)),
    "exp": (T.exp, np.exp, (A,)), "expm1": (T.expm1, np.expm1, (A,)),
    "log": (T.log, np.log, (POSITIVE,)), "log1p": (T.log1p, np.log1p, (POSITIVE,)),
    "log2": (T.log2, np.log2, (POSITIVE,)), "log10": (T.log10, np.log10, (POSITIVE,)),
    "sqr": (T.sqr, np.square, (A,)), "sqrt": (T.sqrt, np.sqrt, (POSITIVE,)),
    "neg": (T.neg, np.negative, (A,)), "inv": (T.inv, np.reciprocal, (POSITIVE,)),
    "abs": (abs, np.abs, (A,)), "sin": (T.sin, np.sin, (A,)),
    "cos": (T.cos, np.cos, (A,)), "tan": (T.tan, np.tan, (SMALL,)),
    "sinh": (T.sinh, np.sinh, (A,)), "cosh": (T.cosh, np.cosh, (A,)),
    "tanh": (T.tanh, np.tanh, (A,)), "arcsin": (T.arcsin, np.arcsin, (SMALL,)),
    "arccos": (T.arccos, np.arccos, (SMALL,)), "arctan": (T.arctan, np.arctan, (A,)),
    "sigmoid": (T.nnet.sigmoid, lambda a: 1 / (1 + np.exp(-a)), (A,)),
    "hard_sigmoid": (T.nnet.hard_sigmoid, lambda a: np.clip(a / 5 + 0.5, 0, 1), (A,)),
    "softplus": (T.nnet.softplus, lambda a: np.log1p(np.exp(a)), (A,)),
    "softmax": (T.nnet.softmax, lambda a: np.exp(a) / np.exp(a).sum(1, keepdims=True),
                (A,)),
    "logsoftmax": (T.nnet.logsoftmax,
                   lambda a: a - np.log(np.exp(a).sum(1, keepdims=True)), (A,)),
    "relu": (T.nnet.relu, lambda a: np.maximum(a, 0), (A,)),
    "leaky": (lambda a: T.nnet.relu(a, 0.1), lambda a: np.where(a > 0, a, 0.1 * a),
              (A,)),
    "elu": (lambda a: T.nnet.elu(a, 0.5),
            lambda a: np.where(a > 0, a, 0.5 * np.expm1(np.minimum(a, 0))), (A,)),
    "softsign": (T.nnet.softsign, lambda a: a / (1 + np.abs(a)), (A,)),
    "sum": (lambda a: a.sum(axis=1), lambda a: a.sum(1), (A,)),
    "sum of axes": (lambda a: a.sum(axis=(0, 2), keepdims=True),
                    lambda a: a.sum((0, 2), keepdims=True), (CUBE,)),
    "mean": (lambda a: T.mean(a, axis=-1, keepdims=True), lambda a: a.mean(-1)[:, None],
             (A,)),
    "prod": (lambda a: T.prod(a, axis=1), lambda a: a.prod(1), (CUBE,)),
    "prod of 0": (lambda a: T.prod(a, axis=0), lambda a: a.prod(0),
                  (np.array([[0.0, 2, 0], [3, 4, 0], [5, 6, 7]]),)),
    "var": (lambda a: T.var(a, axis=0), lambda a: a.var(0), (A,)),
    "std": (lambda a: a.std(axis=1, ddof=1), lambda a: a.std(1, ddof=1), (A,)),
    "max": (lambda a: a.max(axis=(0, 2)), lambda a: a.max((0, 2)), (CUBE,)),
    "min": (lambda a: T.min(a, axis=1, keepdims=True), lambda a: a.min(1)[:, None],
            (A,)),
    "norm 1": (lambda a: a.norm(1, axis=0), lambda a: np.abs(a).sum(0), (A,)),
    "norm 2": (lambda a: a.norm(2), lambda a: np.sqrt((a * a).sum()), (A,)),
    "norm inf": (lambda a: T.norm(a, np.inf, axis=1), lambda a: np.abs(a).max(1), (A,)),
    "norm -inf": (lambda a: a.norm(-np.inf), lambda a: np.abs(a).min(), (A,)),
    "cumsum": (lambda a: T.cumsum(a, axis=1), lambda a: a.cumsum(1), (A,)),
    "reshape": (lambda a: a.reshape((a.shape[1], -1)), lambda a: a.reshape(4, 3), (A,)),
    "flatten": (lambda a: a.flatten(2), lambda a: a.reshape(2, -1), (CUBE,)),
    "dimshuffle": (lambda a: a.dimshuffle(2, "x", 0, 1),
                   lambda a: a.transpose(2, 0, 1)[:, None], (CUBE,)),
    "T": (lambda a: a.T, lambda a: a.T, (A,)),
    "swapaxes": (lambda a: T.swapaxes(a, 0, 2), lambda a: a.swapaxes(0, 2), (CUBE,)),
    "padaxis": (lambda a: T.shape_padaxis(a, 1), lambda a: a[:, None], (A,)),
    "index": (lambda a: a[1, ::2], lambda a: a[1, ::2], (A,)),
    "Ellipsis": (lambda a: a[..., None, -1], lambda a: a[..., None, -1], (CUBE,)),
    "an index twice": (lambda a: a[np.array([0, 2, 0])], lambda a: a[[0, 2, 0]], (A,)),
    "a target's": (lambda a: a[T.arange(a.shape[0]), np.array([1, 0, 3])],
                   lambda a: a[[0, 1, 2], [1, 0, 3]], (A,)),
    "take": (lambda a: T.take(a, np.array([3, 3, 0]), axis=1),
             lambda a: a.take([3, 3, 0], 1), (A,)),
    "a mask": (lambda a: a[a[:, :, 0] > 0].T, lambda a: a[a[:, :, 0] > 0].T, (CUBE,)),
    "wrapped": (lambda a: T.take(a, np.array([4, -5, 0]), axis=1, mode="wrap"),
                lambda a: a[:, [0, 3, 0]], (A,)),
    "clipped": (lambda a: T.take(a, np.array([12, -1, 5]), mode="clip"),
                lambda a: a.take([11, 0, 5]), (A,)),
    "set twice": (lambda a, b: T.set_subtensor(a[np.array([0, 2, 0])], b),
                  lambda a, b: np.stack([b[2], a[1], b[1]]), (A, B)),
    "set_subtensor": (lambda a, b: T.set_subtensor(a[1:], b),
                      lambda a, b: np.concatenate([a[:1], [b, b]]), (A, ROW)),
    "set longer": (lambda a, b: T.set_subtensor(a[0], b[:1]),
                   lambda a, b: np.concatenate([b[:1], a[1:]]), (A, B)),
    "inc longer": (lambda a, b: T.inc_subtensor(a[0], b[:1]),
                   lambda a, b: np.concatenate([a[:1] + b[:1], a[1:]]), (A, B)),
    "inc_subtensor": (lambda a, b: T.inc_subtensor(a[:, 0], b),
                      lambda a, b: a + b[:, None] * np.eye(1, 4), (A, ROW[:3])),
    "concatenate": (lambda a, b: T.concatenate([a, b], axis=1),
                    lambda a, b: np.concatenate([a, b], 1), (A, B[:, :2])),
    "stack": (lambda a, b: T.stack([a, b], axis=1), lambda a, b: np.stack([a, b], 1),
              (A, B)),
    "repeat": (lambda a: T.repeat(a, 2, axis=0), lambda a: a.repeat(2, 0), (A,)),
    "tile": (lambda a: T.tile(a, (2, 1, 3)), lambda a: np.tile(a, (2, 1, 3)), (A,)),
    "diag": (T.diag, np.diag, (ROW,)), "diagonal": (T.diag, np.diag, (A,)),
    "dot": (T.dot, np.dot, (A, B.T.copy())), "a vector": (T.dot, np.dot, (A, ROW)),
    "2 dot": (lambda a: T.dot(2.0, a), lambda a: 2 * a, (A,)),
    "dot 2": (lambda a: T.dot(a, 2), lambda a: a * 2, (A,)),
    "a number's dot": (T.dot, np.dot, (A, ROW[0])),
    "outer": (T.outer, np.outer, (ROW, ROW[:3])),
    "batched_dot": (T.batched_dot, np.matmul, (CUBE, CUBE.swapaxes(1, 2).copy())),
    "tensordot": (lambda a, b: T.tensordot(a, b, axes=([2], [1])),
                  lambda a, b: np.tensordot(a, b, ([2], [1])), (CUBE, A)),
    "tensordot of all": (T.tensordot, lambda a, b: (a * b).sum(), (A, B)),
    "tensordot of none": (lambda a, b: T.tensordot(a, b, axes=0),
                          lambda a, b: a[..., None] * b, (A, ROW)),
    "zeros_like": (lambda a: T.zeros_like(a) + a, lambda a: a, (A,)),
    "squeeze": (T.squeeze, np.squeeze, (A[:, None],)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    build, expected, arrays = CASES[name]
    params = [Param(a.copy(), f"p{i}") for i, a in enumerate(arrays)]
    y = build(*params)
    value = y.eval()
    assert_close(value, expected(*arrays), "reference", "float64", name)
    assert y.ndim in (None, np.ndim(value)), "the number of axes it is known by"
    weights = numbers(np.shape(value), 5) if np.ndim(value) else 1.7
    loss = (y * weights).sum()
    found = gradients(loss, evaluate([loss], {}))
    report = gradcheck.compare(lambda: float(loss),
                               {p.name: (p.value, found[p]) for p in params})
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("name", CASES)
def test_float32_stays(name):
    build, _, arrays = CASES[name]
    params = [Param(a.astype("float32")) for a in arrays]
    y = build(*params)
    assert y.eval().dtype == "float32"
    loss = y.sum()
    for param, gradient in gradients(loss, evaluate([loss], {})).items():
        assert gradient.shape == param.shape and gradient.dtype == "float32"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_on_a_device_the_same(name, device):
    build, expected, arrays = CASES[name]
    params = [Param(to_device(a, device)) for a in arrays]
    y = build(*params)
    loss = T.sqr(y).sum()
    run = minifer.function([], [y, *T.grad(loss, params)])
    assert run.device == device
    there = run()
    for param, a in zip(params, arrays):
        param.value = a.copy()
    for one, other in zip(there, minifer.function([], [y, *T.grad(loss, params)])()):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


# --- what has no gradient --------------------------------------------------------

@pytest.mark.parametrize("build, expected", [
    (lambda a: T.eq(a, a), lambda a: a == a), (lambda a: T.neq(a, 1), lambda a: a != 1),
    (lambda a: a < 0.3, lambda a: a < 0.3), (lambda a: 0.3 < a, lambda a: a > 0.3),
    (lambda a: a >= 0, lambda a: a >= 0), (lambda a: a <= 0, lambda a: a <= 0),
    (lambda a: ~((a > 0) & (a < 1)), lambda a: ~((a > 0) & (a < 1))),
    (lambda a: T.or_(a > 1, a < 0), lambda a: (a > 1) | (a < 0)),
    (T.sgn, np.sign), (T.floor, np.floor), (T.ceil, np.ceil), (T.round, np.rint),
    (T.isnan, np.isnan), (lambda a: T.argmin(a, axis=0), lambda a: a.argmin(0)),
    (lambda a: T.argmax(a, axis=(0, 1), keepdims=True),
     lambda a: np.array([[a.argmax()]])),
    (lambda a: T.argsort(a, axis=1), lambda a: a.argsort(1)),
    (lambda a: a // 2, lambda a: a // 2), (lambda a: a % 2, lambda a: a % 2),
    (lambda a: T.any(a > 1, axis=1), lambda a: (a > 1).any(1)),
    (lambda a: T.all(a < 1), lambda a: (a < 1).all()),
    (lambda a: T.arange(a.shape[0]), lambda a: np.arange(3)),
    (lambda a: T.eye(a.shape[0], 2), lambda a: np.eye(3, 2)),
    (lambda a: T.zeros((a.shape[1], 2)), lambda a: np.zeros((4, 2))),
    (lambda a: T.ones(a.shape), lambda a: np.ones((3, 4)))])
def test_values_alone(build, expected):
    np.testing.assert_array_equal(build(T.as_tensor_variable(A)).eval(), expected(A))


def test_a_comparison_is_no_condition():
    with pytest.raises(TypeError, match="Use minifer.tensor.switch"):
        if T.scalar("x") > 0:
            pass


def test_an_expression_is_not_looped_over():
    with pytest.raises(TypeError, match="cannot be looped over"):
        list(T.vector("x"))
