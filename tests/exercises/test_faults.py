"""Exercises: right solutions pass, and each common mistake is called by its name."""

import numpy as np
import pytest

from helpers.solutions import SOLUTIONS, examine, spoil
from minifer import exercises, updates
from minifer.exercises.base import same
from minifer.exercises.descent import Descent
from minifer.exercises.pairs import Pair, _upstream
from minifer.layers.param import Param

DX_CONV = 'np.einsum("f,fcuv->cuv", d, W)'
WINDOW = "u, v = np.unravel_index(window.argmax(), window.shape)"
PLACED = "dx[n, c, i*size + u, j*size + v] = dy[n, c, i, j]"
INSIDE = "dx[n, c, i*size:(i+1)*size, j*size:(j+1)*size]"
ROOT = "(np.sqrt(V) + epsilon)"

#: (exercise, what the fault says, changes to the right solution)
WRONG = [
    ("dense", "y is x W without the bias", [("x @ W + b", "x @ W")]),
    ("dense", "dW is the transpose", [("x.T @ dy", "dy.T @ x")]),
    ("dense", "dW is averaged over the batch", [("x.T @ dy", "x.T @ dy / len(x)")]),
    ("dense", "db is averaged", [("dy.sum(axis=0)", "dy.mean(axis=0)")]),
    ("dense", "db is dy itself", [("dy.sum(axis=0)", "dy")]),
    ("dense", "expected to return dx, dW, db; got 2 results",
     [("return dx, dW, db", "return dx, dW")]),
    ("dense", "db is zero everywhere", [("dy.sum(axis=0)", "0 * dy.sum(axis=0)")]),
    ("dense", "dx is minus the right one", [("dy @ W.T", "-dy @ W.T")]),
    ("relu", "y is leaky", [("np.maximum(0, x)", "np.maximum(0.01 * x, x)")]),
    ("relu", "dx is dy where x < 0", [("x > 0", "x < 0")]),
    ("relu", "dx is that of a negative slope", [("(x > 0)", "np.sign(x)")]),
    ("relu", "y >= 0 is always true", [("x > 0", "y >= 0")]),
    ("relu", "slope 1 at exactly 0", [("x > 0", "x >= 0")]),
    ("relu", "dx is the slope alone", [("dy * (x > 0)", "(x > 0) * 1.0")]),
    ("relu", "relu_forward changes x in place",
     [("y = np.maximum(0, x)", "x[x < 0] = 0; y = x")]),
    ("relu", "relu_backward changes dy in place",
     [("return dy * (x > 0)", "dy[x <= 0] = 0\n    return dy")]),
    ("softmax", "loss is that of an overflow",
     [("z = z - z.max(axis=1, keepdims=True)", "pass")]),
    ("softmax", "loss is that of the logarithm of 0",
     [("log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))",
       "log_p = np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))")]),
    ("softmax", "softmax along the wrong axis",
     [("z = z - z.max(axis=1, keepdims=True)", "z = z - z.max()"),
      ("sum(axis=1", "sum(axis=0")]),
    ("softmax", "loss is a sum over the batch", [(".mean()", ".sum()")]),
    ("softmax", "dz is not divided by N", [("dz / N", "dz")]),
    ("softmax", "dz is divided by N twice", [("dz / N", "dz / N / N")]),
    ("softmax", "dz is p/N", [("-= 1", "-= 0")]),
    ("softmax", "dz is not multiplied by dloss", [("dloss * dz", "dz")]),
    ("conv", "y is that of a flipped filter",
     [("part, W) + b", "part, W[:, :, ::-1, ::-1]) + b")]),
    ("conv", "y is that of stride 1: the stride is ignored",
     [("    N, C, H, Wd = x.shape\n", "    stride = 1\n    N, C, H, Wd = x.shape\n")]),
    ("conv", "padded by one too many",
     [("    N, C, H, Wd = x.shape\n", "    pad += 1\n    N, C, H, Wd = x.shape\n")]),
    ("conv", "y is without the bias", [(", part, W) + b", ", part, W)")]),
    ("conv", "y is padded at the bottom and the right only",
     [("(pad, pad), (pad, pad)", "(0, 2 * pad), (0, 2 * pad)")]),
    ("conv", "dW is that of a flipped filter",
     [("return dx, dW", "return dx, dW[:, :, ::-1, ::-1]")]),
    ("conv", "dW is transposed: rows and columns",
     [("return dx, dW", "return dx, dW.transpose(0, 1, 3, 2)")]),
    ("conv", "dW is that of the last image alone",
     [("    for n in range(N):\n", "    for n in range(N):\n        dW[:] = 0\n")]),
    ("conv", "dW is averaged over the batch", [("return dx, dW", "return dx, dW / N")]),
    ("conv", "dx is that of a flipped filter",
     [(DX_CONV, 'np.einsum("f,fcuv->cuv", d, W[:, :, ::-1, ::-1])')]),
    ("conv", "db is zero everywhere",
     [("db = dy.sum(axis=(0, 2, 3))", "db = np.zeros(F, dy.dtype)")]),
    ("conv", "db is averaged over batch and places",
     [("dy.sum(axis=(0, 2, 3))", "dy.mean(axis=(0, 2, 3))")]),
    ("conv", "db is not summed over the batch", [("(0, 2, 3)", "(2, 3)")]),
    ("conv", "expected float32 as x has, got float64",
     [("(N, F, Ho, Wo), x.dtype", "(N, F, Ho, Wo)")]),
    ("maxpool", "y is the mean of each window", [("window.max(", "window.mean(")]),
    ("maxpool", "y is the largest of 0 and each window",
     [("window.max(axis=(2, 3))", "np.maximum(0, window.max(axis=(2, 3)))")]),
    ("maxpool", "dx is given to all maxima",
     [(PLACED, INSIDE + " += dy[n, c, i, j] * (window == window.max())")]),
    ("maxpool", "dx is given to the last maximum",
     [("window.argmax()", "window.size - 1 - window[::-1, ::-1].argmax()")]),
    ("maxpool", "rows and columns of the maximum are exchanged",
     [("+ u, j*size + v]", "+ v, j*size + u]")]),
    ("maxpool", "dx is that of the mean",
     [(PLACED, INSIDE + " = dy[n, c, i, j] / size**2")]),
    ("adam", "no bias correction",
     [("m / (1 - beta1 ** t)", "m"), ("v / (1 - beta2 ** t)", "v")]),
    ("adam", "epsilon inside the root", [(ROOT, "np.sqrt(V + epsilon)")]),
    ("adam", "m corrected and v not", [("v / (1 - beta2 ** t)", "v")]),
    ("adam", "p is going uphill", [("p - learning_rate", "p + learning_rate")]),
    ("adam", "M and V kept", [("return p, m, v", "return p, M, V")]),
    ("adam", "whose epsilon is not corrected",
     [(ROOT, "(np.sqrt(V) + epsilon / np.sqrt(1 - beta2 ** t))")]),
    ("layer", "returns no gradient for 'mine.beta'",
     [("{self.beta: (dy * x * x * s * (1 - s)).sum(axis=every)}", "{}")]),
    ("layer", "dx is dy unchanged", [("dx = dy * (s + beta * x * s * (1 - s))",
                                      "dx = dy")]),
    ("layer", "dx is minus the right one", [("dx = dy", "dx = -dy")]),
    ("layer", "the gradient of mine.beta is averaged over the batch",
     [(".sum(axis=every)", ".sum(axis=every) / len(x)")]),
    ("layer", "a second forward changes the gradient of the first",
     [("return x * s, (x, s, beta)", "self.x = x\n        return x * s, (x, s, beta)"),
      ("x, s, beta = cache", "_, s, beta = cache\n        x = self.x")]),
    ("layer", "forward changes x in place",
     [("return x * s, (x", "z = x.copy()\n        x *= s\n        return x, (z")]),
    ("layer", "output_shape promises", [
        ("return x * s,", "return (x * s).sum(axis=0, keepdims=True),")]),
]

MOMENTUM = [
    ("momentum_step", "plain gradient descent",
     [("p + v, v", "p - learning_rate * g, v")]),
    ("momentum_step", "the sign of g, or of v", [("p + v, v", "p - v, v")]),
    ("momentum_step", "p is going uphill", [("v - learning", "v + learning")]),
    ("momentum_step", "without the learning rate",
     [("v - learning_rate * g", "v - g")]),
    ("momentum_step", "velocity that never fades", [("momentum * v - l", "v - l")]),
    ("nesterov_step", "a step of plain momentum",
     [("p + momentum * v - learning_rate * g", "p + v")]),
    ("nesterov_step", "which is for the old v",
     [("p + momentum * v - learning_rate * g",
       "p + momentum**2 * v - (1 + momentum) * learning_rate * g")]),
    ("nesterov_step", "multiply v by momentum", [("p + momentum * v", "p + v")]),
    ("nesterov_step", "velocity that is not kept", [
        ("v = momentum * v - learning_rate * g",
         "old = v; v = momentum * v - learning_rate * g"),
        ("* g, v", "* g, old")]),
]


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_right_solution_passes(name, tmp_path):
    found = examine(name, SOLUTIONS[name], tmp_path)
    assert [f.text for f in found if not f.passed] == []
    assert found[0].check == "the file loads" and "minifer's" in found[-1].text


@pytest.mark.parametrize("name, text, changes", WRONG,
                         ids=[f"{name}: {text}" for name, text, _ in WRONG])
def test_a_mistake_is_named(name, text, changes, tmp_path):
    *before, last = examine(name, spoil(SOLUTIONS[name], *changes), tmp_path)
    assert not last.passed and text in last.text, last
    assert all(f.passed for f in before) and "\n" not in last.text


@pytest.mark.parametrize("function, text, changes", MOMENTUM,
                         ids=[f"{name}: {text}" for name, text, _ in MOMENTUM])
def test_a_mistake_of_momentum_is_named(function, text, changes, tmp_path):
    head, tail = SOLUTIONS["momentum"].split("\ndef nesterov_step")
    tail = "\ndef nesterov_step" + tail
    source = (spoil(head, *changes) + tail if function == "momentum_step"
              else head + spoil(tail, *changes))
    last = examine("momentum", source, tmp_path)[-1]
    assert not last.passed and last.check.startswith(function)
    assert text in last.text, last


@pytest.mark.parametrize("name, changes, texts", [
    ("dense", [("x @ W + b", "x @ W + 2 * b + 1")], ["y[", "expected", "3 rows"]),
    ("conv", [("db = dy", "db = 1.5 * dy")], ["db[", "expected", "got", "stride 1"]),
    ("softmax", [("dz / N", "dz / N + 0.1")], ["dz[", "farthest off"]),
    ("adam", [("** 2", "** 4")], ["p[", "after 5 steps"])])
def test_an_unknown_mistake_shows_the_worst_element(name, changes, texts, tmp_path):
    last = examine(name, spoil(SOLUTIONS[name], *changes), tmp_path)[-1]
    assert not last.passed
    for text in texts:
        assert text in last.text


def test_no_known_mistake_is_the_right_answer_or_never_possible():
    """A mistake must be able to match, and must not match what is right."""
    for name in exercises.EXERCISES:
        exercise = exercises.exercise(name)
        if isinstance(exercise, Pair):
            for result, mistakes in exercise.mistakes.items():
                for phrase, mistake in mistakes.items():
                    assert differs(exercise, result, mistake), (name, result, phrase)
        elif isinstance(exercise, Descent):
            for right, _, mistakes in exercise.rules.values():
                for mistake in mistakes.values():
                    assert not all(same(exercise._run(mistake, i),
                                        exercise._run(right, i)) for i in (0, 1))


def differs(exercise, result, mistake):
    """Whether a mistake gives another result than the right one in some case."""
    for case in exercise.cases:
        y, cache = exercise.right_forward(*case.inputs)
        dy = _upstream(y)
        arguments, right = case.inputs, y
        if result != exercise.output:
            gradients = exercise.right_backward(dy, cache)
            gradients = gradients if isinstance(gradients, tuple) else (gradients,)
            arguments = (dy, *case.inputs)
            right = gradients[exercise.gradients.index(result)]
        with np.errstate(all="ignore"):
            try:
                wrong = np.asarray(mistake(*arguments))
            except ValueError:  # cannot be made here, and so it does not match
                return True
        if not same(wrong, np.asarray(right)):
            return True
    return False


@pytest.mark.parametrize("name, rule", [
    ("momentum_step", updates.momentum), ("nesterov_step", updates.nesterov_momentum)])
def test_the_right_steps_are_those_of_the_library(name, rule):
    right = exercises.exercise("momentum").rules[name][0]
    assert_same_path(rule, lambda p, g, t, v: right(p, g, v, 0.1, 0.9), 1,
                     learning_rate=0.1, momentum=0.9)


def test_the_right_step_of_adam_is_that_of_the_library_without_epsilon():
    right = exercises.exercise("adam").rules["adam_step"][0]
    assert_same_path(
        updates.adam,
        lambda p, g, t, m, v: right(p, g, m, v, t, 0.1, 0.9, 0.999, 0.0), 2,
        learning_rate=0.1, epsilon=0.0)


def assert_same_path(rule, step, slots, **settings):
    rng = np.random.default_rng(0)
    p = rng.normal(size=(2, 3))
    param, state = Param(p.copy()), [np.zeros_like(p)] * slots
    update = rule([param], **settings)
    for t in (1, 2, 3):
        g = rng.normal(size=p.shape)
        p, *state = step(p, g, t, *state)
        update([g])
        np.testing.assert_allclose(param.value, p, rtol=1e-12)
