"""What all recurrent ops share: time, masks, gradients that are limited.

Sequences come as (N, T, D), N of them, T steps, D numbers a step. Inside, time comes
first, (T, N, D): the numbers of a step lie side by side then. A sequence that is to be
walked backwards is turned around on its way in and out, so that no loop knows of it.

The recurrence alone goes step by step. The input's product for all steps is one, and so
are the gradients of both matrices of weights.
"""

import numpy as np

from ..device.arrays import contiguous, on_gpu
from ..cuda import reduce as reduce_kernels

__all__ = ["time_first", "batch_first", "as_flags", "first_step", "column_sums",
           "states", "limited"]


def time_first(x, backwards):
    """(N, T, ...) as (T, N, ...), contiguous; turned around if ``backwards``."""
    steps = np.swapaxes(x, 0, 1)
    return contiguous(steps[::-1] if backwards else steps)


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


def states(T, first):
    """Room for a state before the first step, ``first`` (N, H), and after each of T."""
    N, H = first.shape
    room = np.empty_like(first, shape=(T + 1, N, H))
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
