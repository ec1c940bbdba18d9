"""Exercises in pairs: ``y, cache = f_forward(x)`` and ``dx = f_backward(dy, cache)``.

The right answers come from :mod:`minifer.ops`, which is tested against slow loops. The
gradients are measured as well, on the student's own forward: they need no authority.
"""

import functools
from typing import NamedTuple

import numpy as np

from .. import gradcheck
from .base import (Exercise, against, as_result, check_like, compare, is_like,
                   name_mistake, seconds)
from .student import Fault

__all__ = ["Case", "Pair"]


class Case(NamedTuple):
    """Inputs to try: a label for messages, the arguments of forward in order, and
    whether the gradient can be measured there (not at a kink, nor a tie)."""

    label: str
    inputs: tuple
    smooth: bool = True


class Pair(Exercise):
    """An exercise of two functions, forward and backward.

    Parameters
    ----------
    module, text
        As in :class:`Exercise`.
    arguments : str
        Arguments of forward, such as ``"x, W, b"``. What is to be differentiated comes
        first.
    gradients : str
        What backward returns, such as ``"dx, dW, db"``.
    right : (function, function)
        minifer's forward and backward, with the same arguments and results.
    cases : list of Case
    speed : tuple
        Inputs for which the time is taken.
    mistakes : dict of str -> dict of str -> function
        For a result ('y', 'dx', ...), what completes "dx is ..." -> what that mistake
        gives: for the output by the inputs, for a gradient by dy and the inputs.
    output : str
        What forward returns besides the cache.
    """

    def __init__(self, module, text, arguments, gradients, right, cases, speed,
                 mistakes, prefix=None, output="y"):
        name = prefix or module.rpartition(".")[2]
        self.forward, self.backward = f"{name}_forward", f"{name}_backward"
        super().__init__(module, {
            self.forward: (arguments, f"{output}, cache"),
            self.backward: (f"d{output}, cache", gradients)}, text)
        self.arguments, self.gradients = arguments.split(", "), gradients.split(", ")
        self.right_forward, self.right_backward = right
        self.cases, self.speed = cases, speed
        self.smooth = [case for case in cases if case.smooth]
        self.mistakes, self.output = mistakes, output

    def checks(self, student):
        checks = [
            ("forward: shapes and types", self.check_forward_shapes),
            ("forward: values", self.check_forward),
            ("backward: shapes and types", self.check_backward_shapes),
            ("backward: measured by small steps", self.check_measured),
            ("backward: values, kinks and ties too", self.check_backward),
            ("inputs are left as they were", self.check_untouched),
            ("speed", self.take_time)]
        return [(title, functools.partial(check, student)) for title, check in checks]

    def check_forward_shapes(self, student):
        for dtype in ("float64", "float32"):
            for case in self.cases:
                y, expected = self._outputs(student, case, dtype)
                if not is_like(y, expected):
                    self._judge_output(student, name_mistake)
                check_like(f"{self.output} ({case.label})", y, expected,
                           self.arguments[0])

    def check_forward(self, student):
        self._judge_output(student, compare)

    def check_backward_shapes(self, student):
        for dtype in ("float64", "float32"):
            for case in self.cases:
                _, expected, got = self._gradients(student, case, dtype)
                for i, name in enumerate(self.gradients):
                    if not is_like(got[i], expected[i]):
                        self._judge_gradient(student, i, name_mistake)
                    check_like(f"{name} ({case.label})", got[i], expected[i],
                               self.arguments[i])

    def check_measured(self, student):
        largest = 0.0
        for case in self.smooth:
            dy, _, got = self._gradients(student, case)
            inputs = _copies(case.inputs)

            def loss():
                y, _ = self._forward(student, _copies(inputs))
                return float((dy * y).sum())

            report = gradcheck.compare(loss, {
                name: (inputs[i], got[i]) for i, name in enumerate(self.gradients)})
            for i, row in enumerate(report.rows):
                if not row.ok:
                    self._judge_gradient(student, i, compare)
                    raise Fault(f"{row.name} is not the gradient of {self.output} "
                                f"({case.label}): relative error {row.error:.1e}.")
                largest = max(largest, row.error)
        return f"largest relative error {largest:.0e}"

    def check_backward(self, student):
        for i in range(len(self.gradients)):
            self._judge_gradient(student, i, compare)

    def check_untouched(self, student):
        for case in self.cases:
            inputs = _copies(case.inputs)
            y, cache = self._forward(student, inputs)
            self._assert_untouched(self.forward, inputs, case.inputs, self.arguments)
            dy = _upstream(y)
            given = dy.copy()
            student.call(self.backward, given, cache)
            self._assert_untouched(self.backward, (given, *inputs), (dy, *case.inputs),
                                   [f"d{self.output}", *self.arguments])

    def take_time(self, student):
        def run(forward, backward):
            y, cache = forward(*self.speed)
            backward(dy, cache)
        dy = _upstream(self.right_forward(*self.speed)[0])
        house = seconds(lambda: run(self.right_forward, self.right_backward))
        functions = [functools.partial(student.call, name) for name in self.functions]
        return against(seconds(lambda: run(*functions)), house)

    def _forward(self, student, inputs):
        """y as an array, and the cache, from the student's forward."""
        found = student.call(self.forward, *inputs)
        if not (isinstance(found, tuple) and len(found) == 2):
            raise Fault(f"{self.forward}: expected to return {self.output}, cache; got "
                        f"{_describe(found)}.")
        return as_result(self.output, found[0]), found[1]

    def _outputs(self, student, case, dtype="float64"):
        inputs = _copies(case.inputs, dtype)
        expected = np.asarray(self.right_forward(*inputs)[0])
        return self._forward(student, inputs)[0], expected

    def _gradients(self, student, case, dtype="float64"):
        """dy, the right gradients and the student's."""
        inputs = _copies(case.inputs, dtype)
        y, right_cache = self.right_forward(*inputs)
        dy = _upstream(y)
        expected = _as_tuple(self.right_backward(dy, right_cache))
        _, cache = self._forward(student, _copies(case.inputs, dtype))
        got = _as_tuple(student.call(self.backward, dy.copy(), cache))
        if len(got) != len(self.gradients):
            raise Fault(f"{self.backward}: expected to return "
                        f"{', '.join(self.gradients)}; got {_describe(got)}.")
        return dy, expected, [as_result(name, g)
                              for name, g in zip(self.gradients, got)]

    def _judge_output(self, student, judge):
        """``compare`` y, or ``name_mistake``: in ordinary cases first, where two
        mistakes at a time are rarer, then in all."""
        for cases in (self.smooth, self.cases):
            rows = []
            for case in cases:
                y, expected = self._outputs(student, case)
                rows.append((case.label, case.inputs, expected, y))
            judge(self.output, rows, self.mistakes.get(self.output))

    def _judge_gradient(self, student, i, judge):
        """The same of the i-th gradient."""
        for cases in (self.smooth, self.cases):
            rows = []
            for case in cases:
                dy, expected, got = self._gradients(student, case)
                rows.append((case.label, (dy, *case.inputs), expected[i], got[i]))
            judge(self.gradients[i], rows, self.mistakes.get(self.gradients[i]))

    @staticmethod
    def _assert_untouched(function, after, before, names):
        for name, a, b in zip(names, after, before):
            if isinstance(b, np.ndarray) and not np.array_equal(a, b):
                raise Fault(f"{function} changes {name} in place. Others may still "
                            f"need it: work on {name}.copy(), or write no [...] = and "
                            "no += on it.")


def _copies(inputs, dtype="float64"):
    """Copies of the arrays, those of floats in ``dtype``; numbers as they are."""
    return tuple(x if not isinstance(x, np.ndarray) else
                 x.astype(dtype if x.dtype.kind == "f" else x.dtype) for x in inputs)


def _upstream(y):
    """A random dy of y's shape and type: a constant one would hide mixed-up places."""
    y = np.asarray(y)
    return np.asarray(np.random.default_rng(y.size).normal(size=y.shape), y.dtype)


def _as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def _describe(value):
    if isinstance(value, tuple):
        return f"{len(value)} results" if len(value) != 1 else "a single result"
    if value is None:
        return "None: is a return missing?"
    return f"a single {type(value).__name__}"
