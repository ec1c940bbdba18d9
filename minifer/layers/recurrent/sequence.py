"""What all recurrent layers share: what they read, where they start, their limits."""

from __future__ import annotations

import math
import numbers

import numpy as np

from ...device.arrays import contiguous
from ...device.threads import Helper
from ...expressions import Expression, Param
from ..base import Layer, MergeLayer
from ..input import ValueLayer
from .gate import Gate

__all__ = ["SequenceLayer", "GatedLayer"]


class SequenceLayer(MergeLayer):
    """Base of recurrent layers, with the options that all have.

    Their incomings are the sequences (N, T, ...), then, where they are layers, the mask
    (N, T) and the initial states.
    """

    def __init__(self, incoming, mask_input, states, backwards, learn_init,
                 gradient_steps, grad_clipping, unroll_scan, precompute_input,
                 only_return_final, name):
        below = {"incoming": incoming, "mask_input": mask_input}
        for option, spec in states.items():
            if isinstance(spec, Expression) and not isinstance(spec, Param):
                # Known with the data: what the last batch ended in, say.
                spec = ValueLayer((None,) * (spec.ndim or 2), spec)
            if isinstance(spec, Layer):
                below[option] = spec
        below = {option: one for option, one in below.items() if one is not None}
        super().__init__(list(below.values()), name)
        self.places = {option: place for place, option in enumerate(below)}
        self.mask_input = mask_input
        self.backwards, self.learn_init = bool(backwards), bool(learn_init)
        self.unroll_scan = bool(unroll_scan)
        self.precompute_input = bool(precompute_input)
        self.only_return_final = bool(only_return_final)
        self.gradient_steps = self._whole("gradient_steps", gradient_steps)
        if not isinstance(grad_clipping, numbers.Real) or not (
                0 <= grad_clipping < math.inf):
            self.fail("grad_clipping as a number >= 0", repr(grad_clipping),
                      "0 does not limit gradients.")
        self.grad_clipping = float(grad_clipping)
        shape = self.input_shapes[0]
        if len(shape) < 3:
            self.fail("sequences (N, T, ...)", f"input_shape={shape}",
                      "Numbers of words (N, T) go through an EmbeddingLayer first.")
        if self.unroll_scan and (self.gradient_steps != -1 or shape[1] is None):
            self.fail("gradient_steps=-1 and a known number of steps with unroll_scan",
                      f"gradient_steps={gradient_steps} and input_shape={shape}")
        if mask_input is not None:
            self._check_fits("mask_input", shape[:2])

    def _whole(self, option, value):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or (
                value < 1 and value != -1):
            self.fail(f"{option} as a whole number >= 1, or -1 for all", repr(value))
        return int(value)

    def _check_fits(self, option, shape):
        """Fail unless an incoming layer has this shape, where both are known."""
        found = self.input_shapes[self.places[option]]
        if len(found) != len(shape) or any(
                a is not None and b is not None and a != b
                for a, b in zip(found, shape)):
            self.fail(f"{option} of shape {tuple(shape)}", str(found))

    def add_state(self, option, spec, shape):
        """An initial state: a layer's output (N, ...), or a parameter (1, ...)."""
        if option in self.places:
            self._check_fits(option, (self.input_shapes[0][0], *shape))
            return self.input_layers[self.places[option]]
        return self.add_param(spec, (1, *shape), option, trainable=self.learn_init,
                              regularizable=False)

    def given(self, option, xs):
        """The value of an incoming layer, or of an initial state's parameter."""
        if option in self.places:
            return xs[self.places[option]]
        state = getattr(self, option)
        return None if state is None else state.value

    def check_steps(self, x):
        """Sequences of no step have no last state, and no first gradient."""
        if x.ndim < 3 or not x.shape[1]:
            self.fail("sequences (N, T, ...) of one step or more", str(x.shape))

    def final(self, y):
        """What the layer puts out, of the states (N, T, ...) of all steps."""
        if not self.only_return_final:
            return y
        return y[:, 0] if self.backwards else y[:, -1]

    def of_all_steps(self, dy, T):
        """The way back from :meth:`final`."""
        if not self.only_return_final:
            return dy
        whole = np.zeros_like(dy, shape=(len(dy), T, *dy.shape[1:]))
        whole[:, 0 if self.backwards else -1] = dy
        return whole

    def to_incomings(self, dx, mask, states, need_dx):
        """Gradients of the incomings in order, and of the states' parameters.

        Parameters
        ----------
        dx : array
        mask : array or None
            It has no gradient: a step is taken or not.
        states : dict of str -> array
            Gradients of the initial states.
        need_dx : bool
        """
        found: list = [None] * len(self.places)
        if need_dx:
            found[0] = dx
            if mask is not None:
                found[self.places["mask_input"]] = np.zeros_like(mask, dtype=dx.dtype)
        of_params = {}
        for option, gradient in states.items():
            if option in self.places:
                found[self.places[option]] = gradient
            else:
                of_params[getattr(self, option)] = gradient
        return found, of_params

    def of_steps(self, shape, trailing):
        """The output's shape for sequences of a shape."""
        leading = shape[:1] if self.only_return_final else shape[:2]
        return (*leading, *trailing)


class GatedLayer(SequenceLayer):
    """Base of LSTM and GRU: gates side by side, one product for all.

    A subclass names its ``GATES`` in the order in which they lie side by side, and its
    ``STATES``, and has ``_walk`` and ``_walk_back``.
    """

    GATES: tuple[str, ...] = ()
    STATES: tuple[str, ...] = ()
    #: The names of the nonlinearities that need not be told.
    USUAL: tuple[str, ...] = ()

    def add_gate(self, name, gate):
        """Make a gate's parameters; the layer keeps the gate that holds them."""
        if not isinstance(gate, Gate):
            self.fail(f"{name} as a Gate", repr(gate))
        shape = self.input_shapes[0][2:]
        if None in shape:
            self.fail("sequences whose axes are all known but the first two",
                      f"input_shape={self.input_shapes[0]}")
        H = self.num_units
        made = Gate(self.add_param(gate.W_in, (math.prod(shape), H), f"W_in_to_{name}"),
                    self.add_param(gate.W_hid, (H, H), f"W_hid_to_{name}"), None,
                    self.add_param(gate.b, (H,), f"b_{name}", regularizable=False),
                    gate.nonlinearity)
        setattr(self, name, made)
        setattr(self, f"W_in_to_{name}", made.W_in)
        setattr(self, f"W_hid_to_{name}", made.W_hid)
        setattr(self, f"b_{name}", made.b)
        setattr(self, f"nonlinearity_{name}", made.nonlinearity)

    @property
    def gates(self):
        """The gates, in the order in which they lie side by side."""
        return [getattr(self, name) for name in self.GATES]

    def unusual(self, functions):
        """The nonlinearities, or None if they are those that the op knows."""
        names = tuple(getattr(one, "name", None) for one in functions)
        return None if names == self.USUAL else list(functions)

    def get_output_shape_for(self, input_shapes):
        return self.of_steps(input_shapes[0], (self.num_units,))

    def forward(self, xs):
        return self.walk(xs, Helper())

    def walk(self, xs, helper):
        """:meth:`forward`, with another thread for what can be done beside the steps;
        :meth:`backward` will have it too."""
        x, mask = xs[0], self.given("mask_input", xs)
        self.check_steps(x)
        stacked = [np.concatenate([getattr(gate, part).value for gate in self.gates],
                                  axis=-1) for part in ("W_in", "W_hid", "b")]
        states = [self.given(option, xs) for option in self.STATES]
        rows = x.reshape(*x.shape[:2], len(stacked[0]))
        y, cache = self._walk(rows, *stacked, *states, mask=mask, helper=helper)
        return self.final(y), (x.shape, mask, cache)

    def backward(self, dy, cache, need_dx=True):
        shape, mask, cache = cache
        limits = {"clip": self.grad_clipping, "gradient_steps": self.gradient_steps}
        dx, *stacked, states, gradients = self._walk_back(
            self.of_all_steps(dy, shape[1]), cache, need_dx=need_dx, **limits)
        for part, whole in zip(("W_in", "W_hid", "b"), stacked):
            for gate, one in zip(self.gates, np.split(whole, len(self.GATES), axis=-1)):
                param = getattr(gate, part)
                gradients[param] = (gradients[param] + one if param in gradients
                                    else contiguous(one))
        dxs, of_states = self.to_incomings(
            dx.reshape(shape) if need_dx else None, mask,
            dict(zip(self.STATES, states)), need_dx)
        return dxs, {**gradients, **of_states}

    def _walk(self, x, W_in, W_hid, b, *states, mask, helper):
        """The states (N, T, H), and a cache."""
        raise NotImplementedError

    def _walk_back(self, dy, cache, **limits):
        """dx, dW_in, dW_hid, db, [gradients of the states], {param: gradient}."""
        raise NotImplementedError
