"""Dropout."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

from .._types import Rng, Shape
from ..ops.dropout import (dropout_backward, dropout_drawn_forward, dropout_forward,
                           keep_mask)
from ..random import Stream, draw_seed
from .base import Layer

__all__ = ["DropoutLayer", "dropout"]


class DropoutLayer(Layer):
    """Set each unit to zero with probability ``p`` while training.

    With ``deterministic=True`` (prediction, validation) units pass unchanged.

    Parameters
    ----------
    incoming : Layer or tuple
    p : float in [0, 1), default 0.5
        Probability of dropping a unit.
    rescale : bool, default True
        Divide what stays by 1 - p, so that means are kept.
    shared_axes : tuple of int, default ()
        Axes along which units are dropped together: (2, 3) drops whole maps.
    rng : int, generator or None
        Seed of the masks; None draws one from :func:`minifer.random.get_rng`.
    name : str, optional

    Attributes
    ----------
    stream : minifer.random.Stream
        Where the masks come from. Its ``step`` grows by one each forward pass.
    """

    def __init__(self, incoming: Layer | Shape, p: float = 0.5, rescale: bool = True,
                 shared_axes: Sequence[int] = (), rng: Rng | None = None,
                 name: str | None = None):
        super().__init__(incoming, name)
        if not isinstance(p, numbers.Real) or not 0 <= p < 1:
            self.fail("p, the probability of dropping a unit, in [0, 1)", repr(p))
        self.p = float(p)
        self.rescale = bool(rescale)
        ndim = len(self.input_shape)
        if not isinstance(shared_axes, (tuple, list)) or any(
                not isinstance(axis, numbers.Integral) or not -ndim <= axis < ndim
                for axis in shared_axes):
            self.fail(f"shared_axes among the {ndim} axes", repr(shared_axes))
        self.shared_axes = tuple(axis % ndim for axis in shared_axes)
        self.stream = Stream(draw_seed(rng), "dropout")

    def forward(self, x, deterministic=False):
        if deterministic or self.p == 0:
            return x, None
        if not self.shared_axes and self.stream.part is None:
            return dropout_drawn_forward(x, self.stream, self.p, self.rescale)
        shape = tuple(1 if axis in self.shared_axes else n
                      for axis, n in enumerate(x.shape))
        start = 0 if 0 in self.shared_axes else None  # one mask for the whole batch
        mask = keep_mask(self.stream, shape, self.p, x, start)
        return dropout_forward(x, mask, self.p, self.rescale)

    def backward(self, dy, cache):
        return (dy if cache is None else dropout_backward(dy, cache)), {}


#: Lasagne's name in composed definitions: ``DenseLayer(dropout(net, p=.5), 10)``.
dropout = DropoutLayer
