"""Exercises of update steps: some steps in a row from the student's own state.

One step would hide a velocity that is not kept, so a check takes several, each with
another gradient.
"""

import functools

import numpy as np

from ..layers.param import Param
from .base import (Exercise, against, as_result, check_like, compare, is_like,
                   name_mistake, seconds)
from .student import Fault

__all__ = ["Descent"]

STEPS = 5


class Descent(Exercise):
    """An exercise of functions that take a step: ``p, *state = f(p, g, *state, ...)``.

    Parameters
    ----------
    module, text
        As in :class:`Exercise`.
    rules : dict of str -> (function, function, dict)
        For each function to write: the right one; minifer's rule, to take the time of;
        and the mistakes, what completes "p is ..." -> a function that steps so.
    state : str
        Names of the state, such as ``"m, v"``; it starts at 0.
    settings : dict of str -> list of float
        What follows the state, by name: a value for each run. A setting called ``t``
        is the number of the step, from 1, and has no values.
    scales : list of float
        The size of the gradients in each run.
    """

    def __init__(self, module, text, rules, state, settings, scales):
        arguments = ", ".join(["p", "g", state, *settings])
        super().__init__(module, {name: (arguments, f"p, {state}") for name in rules},
                         text)
        self.rules, self.state = rules, state.split(", ")
        self.settings, self.scales = settings, scales

    def checks(self, student):
        checks = []
        for name in self.rules:
            for title, check in (("shapes and types", self.check_shapes),
                                 (f"{STEPS} steps", self.check_values),
                                 ("inputs are left as they were", self.check_untouched),
                                 ("speed", self.take_time)):
                checks.append((f"{name}: {title}",
                               functools.partial(check, student, name)))
        return checks

    def check_shapes(self, student, name):
        for dtype in ("float64", "float32"):
            for p, g in _starts(dtype):
                found = self._step(student, name, p, g)
                if not all(is_like(value, p) for value in found):
                    self._judge(student, name, name_mistake)
                for result, value in zip(["p", *self.state], found):
                    check_like(result, value, p, "p")

    def check_values(self, student, name):
        self._judge(student, name, compare)

    def _judge(self, student, name, judge):
        right, _, mistakes = self.rules[name]
        rows = []
        for run, scale in enumerate(self.scales):
            label = f"gradients of size {scale:g}, after {STEPS} steps"
            got = self._run(functools.partial(self._call, student, name), run)
            rows.append((label, (run,), self._run(right, run), got))
        judge("p", rows, {phrase: functools.partial(self._run, mistake)
                          for phrase, mistake in mistakes.items()})

    def check_untouched(self, student, name):
        p, g = next(_starts("float64"))
        state = [np.full_like(p, 0.5) for _ in self.state]
        before = [a.copy() for a in (p, g, *state)]
        self._call(student, name, p, g, *state, *self._values(0, 1))
        for what, a, b in zip(["p", "g", *self.state], (p, g, *state), before):
            if not np.array_equal(a, b):
                raise Fault(f"{name} changes {what} in place: return new arrays, "
                            "without += and [...] =.")

    def take_time(self, student, name):
        p, g = (np.random.default_rng(i).normal(size=100_000) for i in (0, 1))
        inputs = p, g, *(np.ones_like(p) for _ in self.state), *self._values(0, 1)
        step = self.rules[name][1]([Param(p.copy())], learning_rate=0.1)
        return against(seconds(lambda: student.call(name, *inputs)),
                       seconds(lambda: step([g])))

    def _call(self, student, name, *inputs):
        """The student's new p and state, as arrays."""
        found = student.call(name, *inputs)
        expected = self.functions[name][1]
        if not isinstance(found, tuple) or len(found) != 1 + len(self.state):
            got = (f"{len(found)} results" if isinstance(found, tuple)
                   else f"a single {type(found).__name__}")
            raise Fault(f"{name}: expected to return {expected}; got {got}.")
        return tuple(as_result(what, value)
                     for what, value in zip(expected.split(", "), found))

    def _step(self, student, name, p, g):
        state = [np.zeros_like(p) for _ in self.state]
        return self._call(student, name, p, g, *state, *self._values(0, 1))

    def _values(self, run, t):
        return [t if name == "t" else values[run]
                for name, values in self.settings.items()]

    def _run(self, step, run):
        """p after each of some steps, (STEPS, 2, 3)."""
        rng = np.random.default_rng(run)
        p = rng.normal(size=(2, 3))
        state, path = [np.zeros_like(p) for _ in self.state], []
        for t in range(1, STEPS + 1):
            g = self.scales[run] * rng.normal(size=p.shape)
            p, *state = step(p.copy(), g, *(s.copy() for s in state),
                             *self._values(run, t))
            path.append(p)
        return np.array(path)


def _starts(dtype):
    """Parameters and gradients of awkward shapes."""
    rng = np.random.default_rng(0)
    for shape in ((2, 3), (4,), (1, 2, 2, 3)):
        yield rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
