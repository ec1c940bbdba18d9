"""The convolutional layer."""

from __future__ import annotations

from collections.abc import Sequence

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from ..ops.conv import conv2d_backward, conv2d_forward
from ..ops.windows import window_count
from .base import Layer
from .options import count, pair
from .param import Spec
from .special import ActivatedLayer

__all__ = ["Conv2DLayer"]


class Conv2DLayer(ActivatedLayer):
    """A bank of F filters that slides over the image.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    num_filters : int >= 1
        F.
    filter_size : int or (int, int)
        (kh, kw).
    stride : int or (int, int), default (1, 1)
    pad : int, (int, int), 'valid', 'same' or 'full', default 0
        Zeros on each side. 'valid' is 0, 'full' is k - 1, 'same' is k // 2
        (odd filters only), which keeps the size at stride 1.
    untie_biases : bool, default False
        One bias for each output position, (F, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (F, C, kh, kw).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default True
        True convolution, as Lasagne's Conv2DLayer. Weights that come from
        another library (or Lasagne's GPU layers) want False.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int], stride: int | Sequence[int] = (1, 1),
                 pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = True, name: str | None = None):
        super().__init__(incoming, nonlinearity, name)
        if len(self.input_shape) != 4:
            self.fail("a 4D input (N, C, H, W)", f"input_shape={self.input_shape}",
                      "Put it before the FlattenLayer, or use DenseLayer.")
        self.num_filters = count(self, "num_filters", num_filters)
        self.filter_size = pair(self, "filter_size", filter_size)
        self.stride = pair(self, "stride", stride)
        self.pad = self._padding(pad)
        self.untie_biases = untie_biases
        self.flip_filters = flip_filters
        Ho, Wo = self.output_shape[2:]
        if (Ho is not None and Ho < 1) or (Wo is not None and Wo < 1):
            self.fail(f"an image of at least {self.filter_size} pixels once padded "
                      f"by {self.pad}", f"input_shape={self.input_shape}",
                      "Use a smaller filter or more padding.")
        if self.input_shape[1] is None:
            self.fail("a known number of channels", f"input_shape={self.input_shape}")
        self.W = self.add_param(
            W, (self.num_filters, self.input_shape[1]) + self.filter_size, "W")
        b_shape = (self.num_filters,) + ((Ho, Wo) if untie_biases else ())
        self.b = None if b is None else self.add_param(
            b, b_shape, "b", regularizable=False)

    def _padding(self, pad):
        if not isinstance(pad, str):
            return pair(self, "pad", pad, least=0)
        kh, kw = self.filter_size
        if pad == "same" and kh % 2 and kw % 2:
            return (kh // 2, kw // 2)
        if pad == "same":
            self.fail("odd filter sizes for pad='same'", str(self.filter_size),
                      "Use an odd size, or give pad in numbers.")
        if pad not in ("valid", "full"):
            self.fail("pad as a number, a pair, 'valid', 'same' or 'full'", repr(pad))
        return (0, 0) if pad == "valid" else (kh - 1, kw - 1)

    def get_output_shape_for(self, input_shape):
        return (input_shape[0], self.num_filters) + tuple(
            window_count(*axis) for axis in zip(input_shape[2:], self.filter_size,
                                                self.stride, self.pad))

    def linear_forward(self, x):
        b = None if self.b is None else self.b.value
        return conv2d_forward(x, self.W.value, b, self.stride, self.pad,
                              self.flip_filters)

    def linear_backward(self, dz, cache, need_dx=True):
        dx, dW, db = conv2d_backward(dz, cache, need_dx)
        gradients = {self.W: dW}
        if self.b is not None:
            gradients[self.b] = db
        return dx, gradients
