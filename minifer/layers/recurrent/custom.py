"""Recurrence through networks of one's own, and the plain one through dense layers."""

from __future__ import annotations

import numpy as np

from ... import init, nonlinearities
from ..._types import Shape
from ...nonlinearities import Nonlinearity, as_nonlinearity
from ...ops.backpropagation import collect
from ...ops.sequence import (as_flags, batch_first, first_step, limited, time_first)
from ..base import Layer
from ..dense import DenseLayer
from ..input import InputLayer, takes_data
from ..options import count
from ..param import Spec
from ..tape import get_all_layers, run
from .sequence import SequenceLayer

__all__ = ["CustomRecurrentLayer", "RecurrentLayer"]


class _Inside:
    """A network inside a layer, with one input and one output."""

    def __init__(self, layer, option, output):
        if not isinstance(output, Layer):
            layer.fail(f"{option} as a network", repr(output))
        self.output, self.order = output, get_all_layers(output)
        inputs = [one for one in self.order if takes_data(one)]
        if len(inputs) != 1:
            layer.fail(f"{option} as a network with one InputLayer", f"{len(inputs)}")
        self.input, = inputs

    def forward(self, x, options):
        """Output, and the tape."""
        (y,), tape = run(self.order, [self.output], {self.input: x}, options)
        return y, tape

    def backward(self, dy, tape, gradients, need_dx=True):
        """The input's gradient; those of parameters are added to ``gradients``."""
        found = tape.backward([dy], wrt_inputs=need_dx)
        for param, gradient in found.items():
            collect(gradients, param, gradient)
        return found.inputs.get(self.input)


class CustomRecurrentLayer(SequenceLayer):
    r"""Recurrence through two networks.

    .. math:: h_t = \sigma(f_i(x_t) + f_h(h_{t-1}))

    Parameters
    ----------
    incoming : Layer or tuple
        Sequences (N, T, ...).
    input_to_hidden : Layer
        f_i: a network on an InputLayer of its own, for a step's input (None, ...).
    hidden_to_hidden : Layer
        f_h: a network on an InputLayer of its own, from a hidden state (None, ...) to
        one of the same shape.
    nonlinearity : Nonlinearity or None, default rectify
    hid_init : Param, array, initialiser or Layer, default Constant(0)
        The state before the first step: a parameter (1, ...), or what a layer puts
        out, (N, ...).
    grad_clipping : float, default 0
        Limit of the gradient of what enters the nonlinearity, at every step; 0 is none.
    precompute_input : bool, default True
        Whether f_i sees all steps at once, as one batch of T·N, or one after the other.
    backwards, learn_init, gradient_steps, unroll_scan
        As for :class:`LSTMLayer`; so are the next three.
    mask_input, only_return_final, name

    Examples
    --------
    Convolution in both, so that the state is an image:

    >>> from minifer.layers import (Conv2DLayer, CustomRecurrentLayer, DenseLayer,
    ...                             InputLayer)
    >>> films = InputLayer((None, 7, 1, 5, 6))
    >>> seen = Conv2DLayer(InputLayer((None, 1, 5, 6)), 3, 3, pad="same")
    >>> kept = Conv2DLayer(InputLayer((None, 3, 5, 6)), 3, 3, pad="same")
    >>> CustomRecurrentLayer(films, seen, kept).output_shape
    (None, 7, 3, 5, 6)
    """

    def __init__(self, incoming: Layer | Shape, input_to_hidden: Layer,
                 hidden_to_hidden: Layer,
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 hid_init: Spec | Layer = init.Constant(0.), backwards: bool = False,
                 learn_init: bool = False, gradient_steps: int = -1,
                 grad_clipping: float = 0, unroll_scan: bool = False,
                 precompute_input: bool = True, mask_input: Layer | None = None,
                 only_return_final: bool = False, *, name: str | None = None):
        super().__init__(incoming, mask_input, {"hid_init": hid_init}, backwards,
                         learn_init, gradient_steps, grad_clipping, unroll_scan,
                         precompute_input, only_return_final, name)
        self.input_to_hidden, self.hidden_to_hidden = input_to_hidden, hidden_to_hidden
        self.nonlinearity = as_nonlinearity(nonlinearity)
        self.inner = _Inside(self, "input_to_hidden", input_to_hidden)
        self.again = _Inside(self, "hidden_to_hidden", hidden_to_hidden)
        self._check_networks()
        shape = hidden_to_hidden.output_shape[1:]
        self.hid_init = self.add_state("hid_init", hid_init, shape)
        layers = self.inner.order + self.again.order
        for one in layers:  # with their sets of tags: what is frozen there is frozen
            self.params.update(one.params)
        self.forward_options = frozenset().union(
            *(one.forward_options for one in layers)) - {"logits"}

    def _check_networks(self):
        shape, below = self.hidden_to_hidden.output_shape, self.input_shapes[0]
        batch = below[0]
        if self.precompute_input and None not in below[:2]:
            batch = below[0] * below[1]
        for what, found, expected in (
                ("input_to_hidden's input", self.inner.input.shape,
                 (None if self.precompute_input and None in below[:2] else batch,
                  *below[2:])),
                ("input_to_hidden's output", self.input_to_hidden.output_shape,
                 (None, *shape[1:])),
                ("hidden_to_hidden's input", self.again.input.shape,
                 (below[0], *shape[1:]))):
            if len(found) != len(expected) or any(
                    a is not None and b is not None and a != b
                    for a, b in zip(found, expected)):
                self.fail(f"{what} of shape {expected}", str(found))

    def get_output_shape_for(self, input_shapes):
        return self.of_steps(input_shapes[0], self.hidden_to_hidden.output_shape[1:])

    def forward(self, xs, **options):
        x, mask = xs[0], self.given("mask_input", xs)
        self.check_steps(x)
        N, T = x.shape[:2]
        steps, tape = time_first(x, self.backwards), None
        if self.precompute_input:
            z, tape = self.inner.forward(steps.reshape(T * N, *x.shape[2:]), options)
            steps = z.reshape(T, N, *z.shape[1:])
        flags = as_flags(mask, self.backwards, x.dtype)
        h0 = self.given("hid_init", xs).astype(x.dtype, copy=False)
        h, hs, caches = np.broadcast_to(h0, (N, *h0.shape[1:])), [], []
        for t in range(T):
            z, again = self.again.forward(h, options)
            inner, inner_tape = (
                (steps[t], None) if self.precompute_input
                else self.inner.forward(steps[t], options))
            new, f_cache = self.nonlinearity.forward(z + inner)
            flag = None if flags is None else flags[t].reshape(N, *(new.ndim - 1) * [1])
            h = new if flag is None else np.where(flag != 0, new, h)
            hs.append(h)
            caches.append((again, inner_tape, f_cache, flag))
        y = batch_first(np.stack(hs), self.backwards)
        return self.final(y), (x.shape, mask, tape, caches, len(h0))

    def backward(self, dy, cache, need_dx=True):
        shape, mask, tape, caches, starts = cache
        N, T = shape[:2]
        dy = time_first(self.of_all_steps(dy, T), self.backwards)
        first, gradients = first_step(T, self.gradient_steps), {}
        dh = np.zeros_like(dy[0])
        dzs, dxs = [np.zeros_like(dh)] * first, []
        for t in reversed(range(first, T)):
            again, inner_tape, f_cache, flag = caches[t]
            dh, kept = dy[t] + dh, 0
            if flag is not None:
                kept, dh = dh * (1 - flag), dh * flag
            dz = self.nonlinearity.backward(dh, f_cache)
            if self.grad_clipping:
                dz = limited(dz.copy(), self.grad_clipping)
            dh = self.again.backward(dz, again, gradients) + kept
            if self.precompute_input:
                dzs.insert(first, dz)
            else:
                dxs.insert(0, self.inner.backward(dz, inner_tape, gradients, need_dx))
        if first:  # it does not reach the initial state
            dh = np.zeros_like(dh)
        if self.precompute_input:
            dz = np.stack(dzs)
            dx = self.inner.backward(dz.reshape(T * N, *dz.shape[2:]), tape, gradients,
                                     need_dx)
        elif need_dx:
            dx = np.stack([np.zeros_like(dxs[0])] * first + dxs)
        if need_dx:
            dx = batch_first(dx.reshape(T, N, *shape[2:]), self.backwards)
        if starts != N:
            dh = dh.sum(axis=0, keepdims=True)
        dxs, of_states = self.to_incomings(dx if need_dx else None, mask,
                                           {"hid_init": dh}, need_dx)
        return dxs, {**gradients, **of_states}


class RecurrentLayer(CustomRecurrentLayer):
    r"""The plain recurrent layer, with dense layers.

    .. math:: h_t = \sigma(x_t W_x + h_{t-1} W_h + b)

    Parameters
    ----------
    incoming : Layer or tuple
        Sequences (N, T, ...); what follows the first two axes is flattened to D.
    num_units : int >= 1
        H. The output is (N, T, H).
    W_in_to_hid, W_hid_to_hid : Param, array or initialiser, default Uniform()
        Weights, shapes (D, H) and (H, H).
    b : Param, array, initialiser or None, default Constant(0)
        Bias, shape (H,).
    nonlinearity, hid_init, backwards, learn_init, gradient_steps, grad_clipping
        As for :class:`CustomRecurrentLayer`; so are the next five.
    unroll_scan, precompute_input, mask_input, only_return_final, name
    """

    def __init__(self, incoming: Layer | Shape, num_units: int,
                 W_in_to_hid: Spec = init.Uniform(),
                 W_hid_to_hid: Spec = init.Uniform(),
                 b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 hid_init: Spec | Layer = init.Constant(0.), backwards: bool = False,
                 learn_init: bool = False, gradient_steps: int = -1,
                 grad_clipping: float = 0, unroll_scan: bool = False,
                 precompute_input: bool = True, mask_input: Layer | None = None,
                 only_return_final: bool = False, *, name: str | None = None):
        self.name = name
        self.num_units = count(self, "num_units", num_units)
        shape = tuple(incoming.output_shape if isinstance(incoming, Layer)
                      else self.check_shape(incoming))
        if len(shape) < 3 or None in shape[2:]:
            self.fail("sequences (N, T, ...) whose axes are all known but the first "
                      "two", f"input_shape={shape}")
        start = f"{name}." if name else ""
        inner = DenseLayer(InputLayer((None, *shape[2:])), num_units, W_in_to_hid, b,
                           None, name=f"{start}input_to_hidden")
        again = DenseLayer(InputLayer((None, num_units)), num_units, W_hid_to_hid, None,
                           None, name=f"{start}hidden_to_hidden")
        self.W_in_to_hid, self.W_hid_to_hid, self.b = inner.W, again.W, inner.b
        super().__init__(incoming, inner, again, nonlinearity, hid_init, backwards,
                         learn_init, gradient_steps, grad_clipping, unroll_scan,
                         precompute_input, mask_input, only_return_final, name=name)
