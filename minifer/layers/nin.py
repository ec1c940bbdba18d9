"""Network in network: a dense layer at each pixel."""

from __future__ import annotations

import math

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from ..ops.conv_nd import conv_backward, conv_forward
from .base import Layer
from .options import count
from .param import Spec
from .special import ActivatedLayer

__all__ = ["NINLayer"]


class NINLayer(ActivatedLayer):
    """The same dense layer at each pixel, over its channels.

    Lin, Chen & Yan (2013), "Network in network". A convolution with filters of one
    pixel computes the same, with W the other way round.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, ...).
    num_units : int >= 1
        U, channels of the output.
    untie_biases : bool, default False
        One bias for each position, (U, ...), in place of (U,).
    W : Param, array or initialiser, default GlorotUniform()
        Weights, shape (C, U).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_units: int,
                 untie_biases: bool = False, W: Spec = init.GlorotUniform(),
                 b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify, *,
                 name: str | None = None):
        super().__init__(incoming, nonlinearity, name)
        self.num_units = count(self, "num_units", num_units)
        self.untie_biases = untie_biases
        if len(self.input_shape) < 2 or self.input_shape[1] is None:
            self.fail("an input (N, C, ...) of a known number of channels",
                      f"input_shape={self.input_shape}")
        self.W = self.add_param(W, (self.input_shape[1], self.num_units), "W")
        b_shape = (self.num_units, *(self.input_shape[2:] if untie_biases else ()))
        self.b = None if b is None else self.add_param(
            b, b_shape, "b", regularizable=False)

    def get_output_shape_for(self, input_shape):
        return (input_shape[0], self.num_units, *input_shape[2:])

    def linear_forward(self, x):
        N, C, *lengths = x.shape
        P = math.prod(lengths)
        b = None if self.b is None else self.b.value.reshape(
            (self.num_units, P) if self.untie_biases else (self.num_units,))
        z, cache = conv_forward(x.reshape(N, C, P), self.W.value.T[:, :, None], b)
        return z.reshape(N, self.num_units, *lengths), (cache, x.shape)

    def linear_backward(self, dz, cache, need_dx=True):
        cache, shape = cache
        dx, dW, db = conv_backward(
            dz.reshape(*dz.shape[:2], math.prod(shape[2:])), cache, need_dx)
        gradients = {self.W: dW[:, :, 0].T.copy()}
        if self.b is not None:
            gradients[self.b] = db.reshape(self.b.shape)
        return dx if dx is None else dx.reshape(shape), gradients
