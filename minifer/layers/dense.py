"""The dense layer."""

from __future__ import annotations

import math
import numbers

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from ..ops.dense import dense_backward, dense_forward
from .base import Layer
from .options import count
from .param import Param, Spec
from .special import ActivatedLayer

__all__ = ["DenseLayer"]


class DenseLayer(ActivatedLayer):
    """A fully connected layer: ``y = nonlinearity(x W + b)``.

    Parameters
    ----------
    incoming : Layer or tuple
        Images (N, C, H, W) are flattened, row by row, to (N, C*H*W).
    num_units : int >= 1
        U, the number of outputs.
    W : Param, array or initialiser, default GlorotUniform()
        Weights, shape (D, U).
    b : Param, array, initialiser or None, default Constant(0)
        Bias, shape (U,); None for no bias.
    nonlinearity : Nonlinearity or None, default rectify
    num_leading_axes : int, default 1
        How many axes are kept as they are: 2 for sequences (N, T, D), to which the
        layer is applied step by step, y (N, T, U). Negative counts from the end:
        -1 keeps all axes but the last. All others become D.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_units: int,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 num_leading_axes: int = 1, *, name: str | None = None):
        super().__init__(incoming, nonlinearity, name)
        self.num_units = count(self, "num_units", num_units)
        ndim = len(self.input_shape)
        if ndim < 2 and num_leading_axes == 1:
            self.fail("an input of at least 2 axes (N, ...)", str(self.input_shape))
        if (not isinstance(num_leading_axes, numbers.Integral)
                or isinstance(num_leading_axes, bool)
                or not -ndim <= num_leading_axes < ndim):
            self.fail(f"num_leading_axes as a whole number that leaves one or more of "
                      f"the {ndim} axes of input_shape={self.input_shape}",
                      repr(num_leading_axes))
        self.num_leading_axes = int(num_leading_axes)
        inputs = self.input_shape[self.num_leading_axes:]
        if None in inputs:
            self.fail("an input whose axes are all known but the leading "
                      f"{self.num_leading_axes % ndim}", str(self.input_shape),
                      "Give the InputLayer its full shape.")
        self.W: Param = self.add_param(W, (math.prod(inputs), self.num_units), "W")
        self.b: Param | None = None if b is None else self.add_param(
            b, (self.num_units,), "b", regularizable=False)

    def get_output_shape_for(self, input_shape):
        return tuple(input_shape[:self.num_leading_axes]) + (self.num_units,)

    def rows_of(self, batch):
        """How many rows of D numbers a batch has, or None where it is not known."""
        leading = self.input_shape[1:self.num_leading_axes % len(self.input_shape)]
        if self.num_leading_axes == 0 or None in leading:
            return None
        return batch * math.prod(leading)

    def forward(self, x, logits=False):
        y, cache = super().forward(x.reshape(-1, len(self.W.value)), logits)
        return y.reshape(self.get_output_shape_for(x.shape)), (x.shape, cache)

    def backward(self, dy, cache, need_dx=True):
        shape, cache = cache
        dx, gradients = super().backward(dy.reshape(-1, self.num_units), cache, need_dx)
        return (dx.reshape(shape) if need_dx else None), gradients

    def linear_forward(self, x):
        b = None if self.b is None else self.b.value
        return dense_forward(x, self.W.value, b)

    def linear_backward(self, dz, cache, need_dx=True):
        dx, dW, db = dense_backward(dz, cache, need_dx)
        gradients = {self.W: dW}
        if self.b is not None:
            gradients[self.b] = db
        return dx, gradients
