"""Transposed convolutions: each pixel adds its filters to a larger output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, nonlinearities
from .._types import Shape
from ..device.arrays import contiguous
from ..nonlinearities import Nonlinearity
from ..ops.conv_nd import transposed_conv_backward, transposed_conv_forward
from .base import Layer
from .conv import BaseConvLayer, conv_input_length, conv_output_length
from .options import several
from .padding import (RULES, add_border, cut_border, is_even, pad_option, sides_of,
                      total)
from .param import Spec

__all__ = ["TransposedConv2DLayer", "Deconv2DLayer", "TransposedConv3DLayer",
           "Deconv3DLayer"]


class _TransposedConvLayer(BaseConvLayer):
    """What transposed convolutions of all axes share."""

    def __init__(self, *args, output_size, **options):
        self.output_size = output_size
        super().__init__(*args, **options)

    @property
    def crop(self) -> tuple[Any, ...]:
        """Pixels cut off the output on each side, or at both ends of an axis."""
        return self.pad

    def _padding(self, pad):
        if not isinstance(pad, str) or pad not in RULES:
            return super()._padding(pad)
        wanted = tuple(n and n * s for n, s in zip(self.input_shape[2:], self.stride))
        if self.output_size is None and any(
                r < s for r, s in zip(self.reach, self.stride)):
            if None in wanted:
                self.fail(f"output_size beside crop={pad!r}, where a filter is smaller "
                          "than its stride", "None")
            self.output_size = wanted
        # How much is cut off depends on the strides alone.
        return pad_option(self, "crop", pad, self.stride, self.reach, self.stride)

    def _check_size(self):
        if self.untie_biases and not is_even(self.crop):
            self.fail("the same crop on both sides with untie_biases=True",
                      str(self.crop))
        if self.output_size is not None:
            self.output_size = several(self, "output_size", self.output_size, self.n)
            for length, given, *how in zip(
                    self.output_size, self.input_shape[2:], self.filter_size,
                    self.stride, self.crop):
                if given is not None and conv_output_length(length, *how) != given:
                    least = self._least(self.input_shape)
                    self.fail(f"output_size as {least} or up to a step less one more",
                              str(self.output_size))
        if any(length is not None and length < 1 for length in self.output_shape[2:]):
            self.fail("something left of the output", f"{self.output_shape}",
                      "Use a larger filter or a smaller crop.")

    def get_W_shape(self) -> tuple[int, ...]:
        """Shape of the filters, (C, F / num_groups, filter_size...)."""
        return (self.input_shape[1], self.num_filters // self.num_groups,
                *self.filter_size)

    def _least(self, input_shape):
        return tuple(conv_input_length(length, size, stride) and conv_input_length(
            length, size, stride) - total(crop) for length, size, stride, crop in zip(
                input_shape[2:], self.filter_size, self.stride, self.crop))

    def get_output_shape_for(self, input_shape):
        lengths = (self._least(input_shape) if self.output_size is None
                   else self.output_size)
        return (input_shape[0], self.num_filters, *lengths)

    def linear_forward(self, x):
        even = is_even(self.crop)
        size, sides = self.output_size, sides_of(self.crop, (), (), ())
        if not even:
            out = self.get_output_shape_for(x.shape)[2:]
            size = tuple(n + sum(one) for n, one in zip(out, sides))
        z, cache = transposed_conv_forward(
            x, self.W.value, self.bias, self.stride, self.crop if even else None, None,
            self.num_groups, self.flip_filters, size)
        return (z if even else contiguous(cut_border(z, sides))), (sides, cache)

    def linear_backward(self, dz, cache, need_dx=True):
        sides, cache = cache
        if not is_even(self.crop):
            dz = add_border(dz, sides)
        return self._gradients(*transposed_conv_backward(dz, cache, need_dx))


class TransposedConv2DLayer(_TransposedConvLayer):
    """A convolution the other way round: images grow by the stride.

    It computes what a convolution's gradient with respect to its input is, also called
    fractionally strided convolution, or (wrongly) deconvolution. Dumoulin & Visin
    (2016), "A guide to convolution arithmetic for deep learning".

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    num_filters : int >= 1
        F, channels of the output.
    filter_size : int or (int, int)
        (kh, kw).
    stride : int or (int, int), default (1, 1)
        Steps in the output from one pixel to the next.
    crop : int, (int, int), 'valid', 'same', 'full', or sides that differ, default 0
        Cut off the output on each side: the padding of the convolution whose gradient
        this is. 'full' is k - 1, 'same' is k // 2 (odd filters only). Pairs and rules
        as for :class:`Conv2DLayer`: 'same_upper', Keras's "same", makes the output
        stride times as large.
    untie_biases : bool, default False
        One bias for each output position, (F, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (C, F / num_groups, kh, kw).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default False
        Weights of PyTorch's ConvTranspose2d want True, those of Lasagne what they were
        trained with.
    output_size : int, (int, int) or None
        Which of the outputs that stride leaves open; by default the least,
        ``(H - 1)*sh + kh - 2*crop``.
    num_groups : int, default 1
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int], stride: int | Sequence[int] = (1, 1),
                 crop: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = False,
                 output_size: int | Sequence[int] | None = None, *,
                 num_groups: int = 1, name: str | None = None):
        super().__init__(incoming, num_filters, filter_size, stride, crop, untie_biases,
                         W, b, nonlinearity, flip_filters, num_groups, 2,
                         output_size=output_size, name=name)


class TransposedConv3DLayer(_TransposedConvLayer):
    """:class:`TransposedConv2DLayer` with one axis more.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, D, H, W).
    num_filters : int >= 1
        F, channels of the output.
    filter_size : int or (int, int, int)
        (kd, kh, kw).
    stride : int or (int, int, int), default (1, 1, 1)
    crop : int, (int, int, int), 'valid', 'same' or 'full', default 0
    untie_biases : bool, default False
        One bias for each output position, (F, Do, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (C, F / num_groups, kd, kh, kw).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default False
    output_size : int, (int, int, int) or None
    num_groups : int, default 1
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int],
                 stride: int | Sequence[int] = (1, 1, 1),
                 crop: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = False,
                 output_size: int | Sequence[int] | None = None, *,
                 num_groups: int = 1, name: str | None = None):
        super().__init__(incoming, num_filters, filter_size, stride, crop, untie_biases,
                         W, b, nonlinearity, flip_filters, num_groups, 3,
                         output_size=output_size, name=name)


Deconv2DLayer = TransposedConv2DLayer
Deconv3DLayer = TransposedConv3DLayer
