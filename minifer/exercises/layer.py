"""A layer of your own: a class that minifer's networks can use like its own layers.

    class ScaleLayer(Layer):                # from minifer.layers import Layer
        def __init__(self, incoming, name=None):
            super().__init__(incoming, name)
            self.scale = self.add_param(init.Constant(1), self.input_shape[1:], "scale")

        def forward(self, x):
            return x * self.scale.value, (x,)

        def backward(self, dy, cache):
            x, = cache
            return dy * self.scale.value, {self.scale: (dy * x).sum(axis=0)}

Write one class that derives from Layer, of any mathematics without chance in it, whose
constructor can be called with (incoming, name=...). `forward` returns y and a cache;
`backward` returns dx and a dict with a gradient for each parameter. If y has another
shape than x, `get_output_shape_for(input_shape)` says which. Keep nothing on self
between the two: a layer may stand at several places of a network. It is tried on images
(N, 3, 5, 4), or, if it refuses those, on rows (N, 6).
"""

import functools
import inspect

import numpy as np

from .. import gradcheck, layers, nonlinearities, objectives, random, tensor, updates
from ..compiled.functions import function
from ..errors import ShapeError
from .base import (Exercise, against, as_result, check_like, compare, same,
                   seconds)
from .student import Fault

__all__ = ["EXERCISE"]

BATCH = 4
SHAPES = ((None, 3, 5, 4), (None, 6))

TEMPLATE = '''
from minifer import init
from minifer.layers import Layer


class MyLayer(Layer):
    """Say here what it computes."""

    def __init__(self, incoming, name=None):
        super().__init__(incoming, name)

    def forward(self, x):
        """Return y, cache."""
        raise NotImplementedError("forward is yours to write")

    def backward(self, dy, cache):
        """Return dx, {parameter: gradient}."""
        raise NotImplementedError("backward is yours to write")
'''


class _LayerExercise(Exercise):
    """Checks of a class that is not known beforehand, against what it says itself."""

    def template(self):
        return super().template() + TEMPLATE

    def load(self, student):
        super().load(student)
        classes = [value for value in vars(student.module).values()
                   if inspect.isclass(value) and issubclass(value, layers.Layer)
                   and value.__module__ == "student"]
        if len(classes) != 1:
            names = ", ".join(c.__name__ for c in classes) or "none"
            raise Fault("expected one class that derives from minifer.layers.Layer, "
                        f"found {names}.")
        student.layer = classes[0]
        student.on = None

    def checks(self, student):
        checks = [
            ("the layer is built", self.check_built),
            ("forward: shapes and types", self.check_forward),
            ("backward: shapes, a gradient for each parameter", self.check_backward),
            ("inputs are left as they were", self.check_untouched),
            ("gradients, measured by small steps", self.check_gradients),
            ("used at two places", self.check_twice),
            ("compiled, as a step of a plan", self.check_plan),
            ("speed, against rectify", self.take_time)]
        return [(title, functools.partial(check, student)) for title, check in checks]

    def check_built(self, student):
        cls, line = student.layer, student.lines.get(student.layer.__name__, 1)
        try:
            inspect.signature(cls).bind("incoming", name="mine")
        except TypeError:
            raise Fault(f"line {line}: expected {cls.__name__}(incoming, name=...), "
                        f"got {cls.__name__}{inspect.signature(cls)}.") from None
        for shape in SHAPES:
            try:
                student.on = shape
                layer = _build(student)
                break
            except Fault as fault:
                if shape is SHAPES[-1] or not isinstance(fault.__cause__, ShapeError):
                    raise
        return f"{cls.__name__} on {shape} gives {layer.output_shape}"

    def check_forward(self, student):
        layer = _build(student)
        for dtype in ("float64", "float32"):
            x = _x(student, dtype)
            y, _ = _forward(student, layer, x)
            shape = (BATCH,) + tuple(layer.output_shape[1:])
            if y.shape != shape:
                raise Fault(f"y: output_shape promises {shape} for a batch of {BATCH}, "
                            f"got {y.shape}. Mend get_output_shape_for, or forward.")
            check_like("y", y, np.empty(shape, dtype), "x")

    def check_backward(self, student):
        layer = _build(student)
        x = _x(student, "float32")
        y, cache = _forward(student, layer, x)
        dx, gradients = _backward(student, layer, np.ones_like(y), cache)
        check_like("dx", dx, x, "x")
        params = layer.get_params(trainable=True)
        for param in params:
            if param not in gradients:
                raise Fault(f"backward returns no gradient for '{param.name}': its "
                            "dict needs {self." + _short(param) + ": ...}.")
            gradient = as_result(f"gradient of {param.name}", gradients[param])
            if gradient.shape != param.shape:
                hint = (" Sum it over the batch." if gradient.shape
                        == (BATCH,) + param.shape else "")
                raise Fault(f"gradient of {param.name}: expected shape {param.shape}, "
                            f"got {gradient.shape}.{hint}")
        return f"parameters: {', '.join(p.name for p in params) or 'none'}"

    def check_untouched(self, student):
        layer = _build(student)
        x = _x(student, "float64")
        given = x.copy()
        y, cache = _forward(student, layer, given)
        if not np.array_equal(given, x):
            raise Fault("forward changes x in place: others may still need it.")
        dy = np.random.default_rng(1).normal(size=y.shape)
        upstream = dy.copy()
        _backward(student, layer, upstream, cache)
        if not np.array_equal(upstream, dy):
            raise Fault("backward changes dy in place: others may still need it.")

    def check_gradients(self, student):
        layer = _build(student)
        report = student.run(functools.partial(
            gradcheck.check, layer, batch=BATCH, directions=8))
        if not report.ok:
            self._diagnose(student, layer)
            row = next(row for row in report.rows if not row.ok)
            raise Fault(f"the gradient of {row.name} is {row.verdict.lower()}: "
                        f"relative error {row.error:.1e}.")
        largest = max(row.error for row in report.rows)
        return f"largest relative error {largest:.0e}"

    def _diagnose(self, student, layer):
        """A fault that names the wrong gradient, by measuring each element of it."""
        x = _x(student, "float64")
        params = layer.get_params(trainable=True)
        for param in params:
            param.value = param.value.astype(np.float64)
        y, cache = _forward(student, layer, x.copy())
        dy = np.random.default_rng(1).normal(size=y.shape)
        dx, gradients = _backward(student, layer, dy.copy(), cache)

        def loss():
            return float((dy * _forward(student, layer, x.copy())[0]).sum())

        rows = [("dx", dx, x)] + [
            (f"the gradient of {p.name}", np.asarray(gradients[p]), p.value)
            for p in params]
        mistakes = {
            "dy unchanged: multiply it by the slope": lambda measured: dy,
            "averaged over the batch: sum it": lambda measured: measured / BATCH}
        for name, got, array in rows:
            measured = _measure(loss, array)
            compare(name, [("measured by small steps", (measured,), measured, got)],
                    mistakes)

    def check_twice(self, student):
        layer = _build(student)
        first, second = _x(student, "float64"), _x(student, "float64", seed=9)
        y, cache = _forward(student, layer, first)
        dy = np.random.default_rng(1).normal(size=y.shape)
        alone = _backward(student, layer, dy, cache)
        _, cache = _forward(student, layer, first)
        _forward(student, layer, second)
        after = _backward(student, layer, dy, cache)
        if not same(after[0], alone[0]) or any(
                not same(np.asarray(after[1][p]), np.asarray(alone[1][p]))
                for p in layer.get_params(trainable=True)):
            raise Fault("a second forward changes the gradient of the first: what "
                        "backward needs belongs into the cache, not on self.")

    def check_plan(self, student):
        """A training step of a small network, compiled and eager, ends alike."""
        results = {}
        for mode in ("eager", "compiled"):
            X = (tensor.tensor4 if len(student.on) == 4 else tensor.matrix)("x")
            t = tensor.ivector("t")
            random.set_rng(0)
            net = layers.InputLayer(student.on, X)
            net = layers.DenseLayer(_build(student, net), 2, name="out",
                                    nonlinearity=nonlinearities.softmax)
            loss = objectives.categorical_crossentropy(
                layers.get_output(net), t).mean()
            step = updates.sgd(
                loss, layers.get_all_params(net, trainable=True), learning_rate=0.1)
            train = function([X, t], loss, step, mode=mode)
            x, classes = _x(student, "float32"), np.arange(BATCH) % 2
            results[mode] = [float(student.run(train, x, classes)) for _ in range(3)]
        if not np.allclose(results["eager"], results["compiled"], rtol=1e-4):
            raise Fault(f"the losses of three steps differ: {results['eager']} layer "
                        f"after layer, {results['compiled']} compiled.")

    def take_time(self, student):
        def run(layer):
            y, cache = layer.forward(x)
            layer.backward(np.ones_like(y), cache)
        x = np.repeat(_x(student, "float32"), 256, axis=0)
        house = layers.NonlinearityLayer(layers.InputLayer(student.on))
        mine = _build(student)
        return against(seconds(lambda: student.run(run, mine)),
                       seconds(lambda: run(house)))


def _build(student, incoming=None):
    """The student's layer on an input, with the same initial weights every time."""
    random.set_rng(1)
    incoming = incoming or layers.InputLayer(student.on, name="input")
    layer = student.run(functools.partial(student.layer, incoming, name="mine"))
    student.run(lambda: layer.output_shape)
    return layer


def _x(student, dtype, seed=0):
    shape = (BATCH,) + student.on[1:]
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def _forward(student, layer, x):
    found = student.run(layer.forward, x)
    if not (isinstance(found, tuple) and len(found) == 2):
        raise Fault("forward: expected to return y, cache.")
    return as_result("y", found[0]), found[1]


def _backward(student, layer, dy, cache):
    found = student.run(layer.backward, dy, cache)
    if not (isinstance(found, tuple) and len(found) == 2
            and isinstance(found[1], dict)):
        raise Fault("backward: expected to return dx, {parameter: gradient}; the dict "
                    "is empty for a layer without parameters.")
    return as_result("dx", found[0]), found[1]


def _short(param):
    return param.name.rpartition(".")[2]


def _measure(loss, array, h=1e-5):
    """The gradient of ``loss()`` by ``array``, from a small step to both sides."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + h
        right = loss()
        array[place] = before - h
        gradient[place] = (right - loss()) / (2 * h)
        array[place] = before
    return gradient


EXERCISE = _LayerExercise(__name__, {}, __doc__)
