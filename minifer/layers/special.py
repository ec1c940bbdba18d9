"""Layers that apply a nonlinearity, alone or after their own product."""

from __future__ import annotations

from .. import nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from .base import Layer

__all__ = ["ActivatedLayer", "NonlinearityLayer"]


class ActivatedLayer(Layer):
    """Base of layers that end in a nonlinearity.

    A subclass gives ``linear_forward(x) -> (z, cache)`` and
    ``linear_backward(dz, cache, need_dx) -> (dx, gradients)``; the
    nonlinearity is applied here, once for all. With ``logits=True`` it is left
    out, for losses that fuse it (cross-entropy with softmax or sigmoid).
    """

    def __init__(self, incoming: Layer | Shape,
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 name: str | None = None):
        super().__init__(incoming, name)
        self.nonlinearity = nonlinearities.as_nonlinearity(nonlinearity)

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
    nonlinearity : Nonlinearity, default rectify
        None means identity.
    name : str, optional
    """

    def linear_forward(self, x):
        return x, ()

    def linear_backward(self, dz, cache, need_dx=True):
        return dz, {}
