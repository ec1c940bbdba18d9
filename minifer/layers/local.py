"""The locally connected layer: a convolution whose filters differ by place."""

from __future__ import annotations

from collections.abc import Sequence

from .. import init, nonlinearities
from .._types import Shape
from ..nonlinearities import Nonlinearity
from ..ops.conv_nd import bias_gradient
from ..ops.local import local_backward, local_forward
from .base import Layer
from .conv import BaseConvLayer
from .param import Spec

__all__ = ["LocallyConnected2DLayer"]


class LocallyConnected2DLayer(BaseConvLayer):
    """Filters that are not shared: each place of the output has its own.

    Faces are always cropped alike, so that an eye is where an eye was. Taigman et al.
    (2014), "DeepFace: closing the gap to human-level performance in face verification".

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W), all but N known.
    num_filters : int >= 1
        F.
    filter_size : int or (int, int)
        (kh, kw).
    stride : int or (int, int), default (1, 1)
        (Lasagne has 1 only.)
    pad : int, (int, int), 'valid', 'same' or 'full', default 'same'
        As in :class:`~minifer.layers.conv.Conv2DLayer`. (Lasagne has 'same' only.)
    untie_biases : bool, default False
        One bias for each output position, (F, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (F, C, kh, kw, Ho, Wo), or (F, kh, kw, Ho, Wo) if channelwise.
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default True
    channelwise : bool, default False
        Filter c sees channel c alone; then F = C.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int], stride: int | Sequence[int] = (1, 1),
                 pad: int | Sequence[int] | str = "same", untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = True, channelwise: bool = False, *,
                 name: str | None = None):
        self.channelwise = bool(channelwise)
        super().__init__(incoming, num_filters, filter_size, stride, pad, untie_biases,
                         W, b, nonlinearity, flip_filters, n=2, name=name)

    def _check_size(self):
        if None in self.input_shape[1:]:
            self.fail("a known shape but for the batch",
                      f"input_shape={self.input_shape}")
        if self.channelwise and self.num_filters != self.input_shape[1]:
            self.fail(f"as many filters as channels, {self.input_shape[1]}, with "
                      "channelwise=True", f"num_filters={self.num_filters}")
        super()._check_size()

    def get_W_shape(self):
        """Shape of the filters, (F, C, kh, kw, Ho, Wo) or (F, kh, kw, Ho, Wo)."""
        channels = () if self.channelwise else (self.input_shape[1],)
        return (self.num_filters, *channels, *self.filter_size, *self.output_shape[2:])

    def convolve(self, x, pad):
        z, cache = local_forward(x, self.W.value, self.stride, pad, self.flip_filters)
        if self.b is not None:
            z += self.b.value if self.untie_biases else self.b.value[:, None, None]
        return z, cache

    def convolve_backward(self, dz, cache, need_dx=True):
        dx, dW = local_backward(dz, cache, need_dx)
        return dx, dW, None if self.b is None else bias_gradient(dz, self.b.value.ndim)
