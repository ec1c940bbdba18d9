"""Layers that apply a nonlinearity, alone or after their own product."""

from __future__ import annotations

import contextlib
from typing import Any

from .. import nonlinearities
from .._types import Shape
from ..errors import SettingError
from ..nonlinearities import Nonlinearity
from .base import Layer
from .pairs import ExpressionPair, NoExpression

__all__ = ["ActivatedLayer", "NonlinearityLayer"]


class OfExpressions:
    """A nonlinearity that is a function of minifer's expressions.

    Parameters
    ----------
    function : function
    """

    def __init__(self, function):
        self.function, self.pair = function, ExpressionPair(function, [None])
        self.forward = self.pair.forward

    def backward(self, dy, cache):
        (dx,), of_params = self.pair.backward(dy, cache)
        if of_params:
            raise SettingError("nonlinearity: expected a function without parameters, "
                               f"got {self!r}. Put it into an ExpressionLayer.")
        return dx

    def __call__(self, x):
        return self.forward(x)[0]

    def __repr__(self):
        return repr(self.function)


class ActivatedLayer(Layer):
    """Base of layers that end in a nonlinearity.

    A subclass gives ``linear_forward(x) -> (z, cache)`` and
    ``linear_backward(dz, cache, need_dx) -> (dx, gradients)``; the
    nonlinearity is applied here, once for all. With ``logits=True`` it is left
    out, for losses that fuse it (cross-entropy with softmax or sigmoid).
    """

    def __init__(self, incoming: Layer | Shape,
                 nonlinearity: Any = nonlinearities.rectify,
                 name: str | None = None):
        super().__init__(incoming, name)
        f: Any = nonlinearity
        if callable(f) and not hasattr(f, "forward"):
            with contextlib.suppress(NoExpression):  # it is refused below
                f = OfExpressions(f)
        self.nonlinearity = nonlinearities.as_nonlinearity(f)

    def linear_forward(self, x):
        """The layer's output before its nonlinearity, and a cache."""
        raise NotImplementedError

    def linear_backward(self, dz, cache, need_dx=True):
        """Gradients of :meth:`linear_forward`: ``dx, {param: gradient}``."""
        raise NotImplementedError

    def forward(self, x, logits=False):
        f = nonlinearities.identity if logits else self.nonlinearity
        z, linear_cache = self.linear_forward(x)
        y, cache = f.forward(z)
        return y, (f, cache, linear_cache)

    def backward(self, dy, cache, need_dx=True):
        f, f_cache, linear_cache = cache
        return self.linear_backward(f.backward(dy, f_cache), linear_cache, need_dx)


class NonlinearityLayer(ActivatedLayer):
    """A nonlinearity as a layer of its own.

    Parameters
    ----------
    incoming : Layer or tuple
    nonlinearity : Nonlinearity, function of expressions or None, default rectify
        None means identity.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape,
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify, *,
                 name: str | None = None):
        super().__init__(incoming, nonlinearity, name)

    def linear_forward(self, x):
        return x, ()

    def linear_backward(self, dz, cache, need_dx=True):
        return dz, {}
