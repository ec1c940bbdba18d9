"""A layer of a function."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import config
from .._types import Shape
from .base import Layer
from .pairs import as_pair

__all__ = ["ExpressionLayer"]


class ExpressionLayer(Layer):
    """Apply a function.

    Parameters
    ----------
    incoming : Layer or tuple
    function : function, pair or nonlinearity
        A function of one of minifer's expressions, whose gradient is known; or what has
        a forward and a backward, an object or a pair of functions: ``forward(x)``
        returns ``y, cache``, and ``backward(dy, cache)`` returns dx.
    output_shape : None, 'auto', tuple or function, default None
        Shape of the output. None: that of the input; 'auto': found by trying; a
        function is given the shape of the input. A tuple may have None where a length
        is not known.
    name : str, optional

    Examples
    --------
    >>> from minifer.layers import ExpressionLayer, InputLayer, get_output
    >>> layer = ExpressionLayer(InputLayer((None, 2)), lambda x: x * 2 + 1)
    >>> get_output(layer, np.array([[1., 2.]]))
    array([[3., 5.]])
    """

    def __init__(self, incoming: Layer | Shape, function: Any,
                 output_shape: Any = None, *, name: str | None = None):
        super().__init__(incoming, name)
        self.function = function
        self.pair: Any = as_pair(self, "function", function, [len(self.input_shape)])
        if not callable(output_shape) and output_shape not in (None, "auto"):
            output_shape = self.check_shape(output_shape)
        self.given_shape = output_shape
        self._tried: dict = {}
        self.get_output_shape_for(self.input_shape)

    def option(self, name):
        return self.given_shape if name == "output_shape" else super().option(name)

    def get_output_shape_for(self, input_shape):
        if self.given_shape is None:
            return tuple(input_shape)
        if callable(self.given_shape):
            return self.check_shape(self.given_shape(tuple(input_shape)))
        if self.given_shape != "auto":
            return self.given_shape
        if input_shape not in self._tried:
            self._tried[input_shape] = self._try(input_shape)
        return self._tried[input_shape]

    def _try(self, input_shape):
        """The output's shape, None where it depends on what is not known."""
        shapes = []
        for unknown in (2, 3):
            x = np.ones([unknown if n is None else n for n in input_shape],
                        config.floatX)
            with np.errstate(all="ignore"):
                shapes.append(np.shape(self.pair.forward(x)[0]))
        if len(shapes[0]) != len(shapes[1]):
            self.fail("a function whose output has as many axes for any batch",
                      " and ".join(map(str, shapes)))
        return tuple(a if a == b else None for a, b in zip(*shapes))

    def forward(self, x):
        y, cache = self.pair.forward(x)
        if self.given_shape != "auto":
            shape = self.get_output_shape_for(x.shape)
            if len(shape) != y.ndim or any(n not in (None, have)
                                           for n, have in zip(shape, y.shape)):
                self.fail(f"an output of shape {shape}", str(y.shape),
                          "Give output_shape='auto'.")
        return y, cache

    def backward(self, dy, cache):
        (dx,), found = self.pair.backward(dy, cache)
        return dx, found
