"""The dense layer."""

from __future__ import annotations

import math

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from ..ops.dense import dense_backward, dense_forward
from .base import Layer
from .options import count
from .param import Spec
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
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_units: int,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 name: str | None = None):
        super().__init__(incoming, nonlinearity, name)
        self.num_units = count(self, "num_units", num_units)
        if len(self.input_shape) < 2:
            self.fail("an input of at least 2 axes (N, ...)", str(self.input_shape))
        if None in self.input_shape[1:]:
            self.fail("an input whose axes are all known but the first",
                      str(self.input_shape), "Give the InputLayer its full shape.")
        D = math.prod(self.input_shape[1:])
        self.W = self.add_param(W, (D, self.num_units), "W")
        self.b = None if b is None else self.add_param(
            b, (self.num_units,), "b", regularizable=False)

    def get_output_shape_for(self, input_shape):
        return (input_shape[0], self.num_units)

    def linear_forward(self, x):
        b = None if self.b is None else self.b.value
        z, cache = dense_forward(x.reshape(len(x), -1), self.W.value, b)
        return z, (x.shape, cache)

    def linear_backward(self, dz, cache, need_dx=True):
        shape, cache = cache
        dx, dW, db = dense_backward(dz, cache, need_dx)
        gradients = {self.W: dW}
        if self.b is not None:
            gradients[self.b] = db
        return (dx.reshape(shape) if need_dx else None), gradients
