"""What all recurrent ops share: time, masks, gradients that are limited.

Sequences come as (N, T, D), N of them, T steps, D numbers a step. Inside, time comes
first, (T, N, D): the numbers of a step lie side by side then. A sequence that is to be
walked backwards is turned around on its way in and out, so that no loop knows of it.

The recurrence alone goes step by step. The input's product for all steps is one, and so
are the gradients of both matrices of weights.
"""

import functools

import numpy as np

from ..cuda import reduce as reduce_kernels
from ..device.arrays import contiguous, on_gpu
from .products import matmul

__all__ = ["time_first", "in_time", "batch_first", "as_flags", "first_step",
           "column_sums", "states", "limited", "Projection", "WeightGradients"]

#: Steps whose products are one.
PIECE = 10


def time_first(x, backwards):
    """(N, T, ...) as (T, N, ...), contiguous; turned around if ``backwards``."""
    return contiguous(in_time(x, backwards))


def in_time(x, backwards):
    """As :func:`time_first`; a view."""
    steps = np.swapaxes(x, 0, 1)
    return steps[::-1] if backwards else steps


def batch_first(steps, backwards):
    """The way back from :func:`time_first`; a view."""
    return np.swapaxes(steps[::-1] if backwards else steps, 0, 1)


def as_flags(mask, backwards, dtype):
    """A mask (N, T) as ones and zeros (T, N, 1) of a type; None if there is none."""
    if mask is None:
        return None
    return time_first((mask != 0).astype(dtype)[:, :, None], backwards)


def first_step(T, gradient_steps):
    """The first of T steps through which the gradient goes back."""
    return 0 if gradient_steps < 0 else max(0, T - gradient_steps)


def states(name, T, first, N, helper):
    """Room for a state before the first step, ``first``, and after each of T."""
    room = helper.empty(name, first, (T + 1, N, first.shape[1]))
    room[0] = first
    return room


def column_sums(rows):
    """Sums over all rows (..., U), shape (U,)."""
    rows = rows.reshape(-1, rows.shape[-1])
    return reduce_kernels.column_sums(rows) if on_gpu(rows) else rows.sum(axis=0)


def limited(gradient, clip):
    """The gradient with each element limited to ±clip, in place; 0 is no limit."""
    if clip:
        np.clip(gradient, -clip, clip, out=gradient)
    return gradient


class Projection:
    """``x W + b`` of all steps, in pieces, a little ahead of who walks over them.

    Parameters
    ----------
    x : array, shape (T, N, D)
    W : array, shape (D, G)
    b : array, shape (G,)
    helper : minifer.device.threads.Helper

    Attributes
    ----------
    y : array, shape (T, N, G)
        A step of it may be changed once :meth:`steps` has given its number.
    """

    def __init__(self, x, W, b, helper):
        self.x, self.W, self.b, self.helper = x, W, b, helper
        self.y = helper.empty("projection", x, (*x.shape[:2], W.shape[1]))

    def steps(self):
        """The numbers of all steps, each when its y is there."""
        T = len(self.x)
        pieces = [slice(start, min(T, start + PIECE)) for start in range(0, T, PIECE)]
        handles = [self.helper.submit(functools.partial(self._project, piece))
                   for piece in pieces]
        try:
            for piece, handle in zip(pieces, handles):
                self.helper.need(handle)
                yield from range(piece.start, piece.stop)
        finally:
            self.helper.finish(handles)

    def _project(self, piece):
        y = self.y[piece].reshape(-1, self.W.shape[1])
        matmul(self.x[piece].reshape(-1, len(self.W)), self.W, out=y)
        y += self.b


class WeightGradients:
    """The products of the way back, in pieces, a little behind who walks back.

    Parameters
    ----------
    x, dz, W : arrays, shapes (T, N, D), (T, N, G), (D, G)
        The input, the gradient of its product, and its weights.
    h, dproduct : arrays, shapes (T, N, H), (T, N, G)
        The states before each step, and the gradient of their product.
    need_dx : bool
    helper : minifer.device.threads.Helper
    """

    def __init__(self, x, dz, W, h, dproduct, need_dx, helper):
        self.x, self.dz, self.W, self.h, self.dproduct = x, dz, W, h, dproduct
        self.helper, self.handles, self.parts = helper, [], {}
        self.dx = helper.empty("dx", x, x.shape) if need_dx else None
        self.stop = len(x)

    def reached(self, t, first):
        """The walk back has done step ``t``; ``first`` is its last."""
        if t == first or t == self.stop - PIECE:
            piece, self.stop = slice(t, self.stop), t
            self.handles.append(self.helper.submit(
                functools.partial(self._multiply, piece)))

    def _multiply(self, piece):
        dz, dproduct = (_rows(a[piece]) for a in (self.dz, self.dproduct))
        self.parts[piece.start] = (matmul(_rows(self.x[piece]).T, dz),
                                   matmul(_rows(self.h[piece]).T, dproduct),
                                   column_sums(dz))
        if self.dx is not None:
            matmul(dz, self.W.T, out=_rows(self.dx[piece]))

    def finish(self):
        """dx, shape (T, N, D), or None; then dW, dW_hid and db."""
        if self.dx is not None:
            self.dx[:self.stop] = 0  # where no gradient came
        self.helper.finish(self.handles)
        parts = [self.parts[start] for start in sorted(self.parts)]
        return self.dx, *(sum(more, first) for first, *more in zip(*parts))


def _rows(steps):
    return steps.reshape(-1, steps.shape[-1])
