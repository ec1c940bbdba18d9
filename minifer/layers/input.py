"""The input of a network."""

from __future__ import annotations

from typing import Any

from .. import config
from .._types import Shape
from ..device.arrays import as_array
from ..expressions import Variable
from .base import Layer

__all__ = ["InputLayer"]


class InputLayer(Layer):
    """Where data come in.

    Parameters
    ----------
    shape : tuple
        Shape of a batch, None where it may vary: ``(None, 1, 96, 96)``.
    input_var : minifer.expressions.Variable, optional
        The variable that :func:`minifer.function` binds to this input. One is
        made when none is given.
    name : str, optional
    """

    def __init__(self, shape: Shape, input_var: Variable | None = None,
                 name: str | None = None):
        super().__init__(shape, name)
        self.shape = self.input_shape
        self.input_var: Any = input_var

    @property
    def output_shape(self):
        return self.shape

    def forward(self, x):
        """Check the shape; whole numbers (pixels) become ``config.floatX``."""
        x = as_array(x)
        fits = x.ndim == len(self.shape) and all(
            want in (None, have) for want, have in zip(self.shape, x.shape))
        if not fits:
            self.fail(f"an array of shape {self.shape}", str(x.shape),
                      "None stands for any length.")
        if x.dtype.kind != "f":
            x = x.astype(config.floatX)
        return x, ()

    def backward(self, dy, cache):
        return dy, {}
