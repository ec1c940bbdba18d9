"""Convolutions of one to three axes, in groups or dilated."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from .. import init, nonlinearities
from .._types import Shape
from ..device.arrays import contiguous
from ..errors import SettingError
from ..nonlinearities import Nonlinearity
from ..ops.conv import conv2d_backward, conv2d_forward
from ..ops.conv_nd import conv_backward, conv_forward
from .base import Layer
from .options import count, several, shaped
from .padding import RULES, add_border, cut_border, is_even, pad_option, sides_of
from .param import Spec
from .special import ActivatedLayer

__all__ = ["BaseConvLayer", "Conv1DLayer", "Conv2DLayer", "Conv3DLayer",
           "DilatedConv2DLayer", "conv_output_length", "conv_input_length"]


def conv_output_length(input_length: int | None, filter_size: int, stride: int,
                       pad: int | tuple[int, int] | str = 0) -> int | None:
    """Length of a convolution's output along one axis.

    Parameters
    ----------
    input_length : int or None
    filter_size, stride : int >= 1
    pad : int, (int, int), 'valid', 'full', 'same' or a rule, default 0
        Zeros on each side, or at the beginning and at the end. 'same' keeps the length
        at stride 1, also for an even filter, as Lasagne's function has it, and so do
        'same_upper' and 'same_lower'.

    Returns
    -------
    int or None
        ``(input_length + zeros - filter_size) // stride + 1``; None for None.
    """
    if input_length is None:
        return None
    if isinstance(pad, str) and pad in ("same", *RULES):
        return (input_length - 1) // stride + 1
    zeros = sum(pad) if isinstance(pad, tuple) else 2 * _zeros(pad, filter_size)
    return (input_length + zeros - filter_size) // stride + 1


def conv_input_length(output_length: int | None, filter_size: int, stride: int,
                      pad: int | str = 0) -> int | None:
    """Least length of an input that gives an output of this length.

    Parameters
    ----------
    output_length : int or None
    filter_size, stride : int >= 1
    pad : int, 'valid', 'full' or 'same', default 0

    Returns
    -------
    int or None
        ``(output_length - 1) * stride - 2*pad + filter_size``: also the output of a
        transposed convolution. Inputs of up to ``stride - 1`` more give the same.
    """
    if output_length is None:
        return None
    return (output_length - 1) * stride - 2 * _zeros(pad, filter_size) + filter_size


def _zeros(pad, filter_size):
    """Zeros on each side, of a number or a name."""
    named = {"valid": 0, "full": filter_size - 1, "same": filter_size // 2}
    if isinstance(pad, str) and pad in named:
        return named[pad]
    if not isinstance(pad, numbers.Integral) or isinstance(pad, bool):
        raise SettingError("pad: expected a whole number, 'valid', 'full' or 'same', "
                           f"got {pad!r}.")
    return int(pad)


class BaseConvLayer(ActivatedLayer):
    """What all convolutions share: options, parameters, shapes.

    Parameters
    ----------
    incoming, num_filters, filter_size, stride, pad, untie_biases, W, b, nonlinearity, \
flip_filters, num_groups, name
        As in :class:`Conv2DLayer`.
    n : int, optional
        Axes behind the channels; by default as many as the input has.
    dilation : int or tuple of int, default 1
        Steps between the elements of a filter.
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int], stride: int | Sequence[int] = 1,
                 pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = True, num_groups: int = 1, n: int | None = None,
                 *, dilation: int | Sequence[int] = 1, name: str | None = None):
        super().__init__(incoming, nonlinearity, name)
        self.n = min(3, max(1, len(self.input_shape) - 2)) if n is None else n
        shaped(self, self.n)
        self.num_filters = count(self, "num_filters", num_filters)
        self.filter_size = several(self, "filter_size", filter_size, self.n)
        self.stride = several(self, "stride", stride, self.n)
        self.dilation = several(self, "dilation", dilation, self.n)
        self.pad = self._padding(pad)
        self.untie_biases = untie_biases
        self.flip_filters = flip_filters
        self.num_groups = count(self, "num_groups", num_groups)
        C = self.input_shape[1]
        if C is None:
            self.fail("a known number of channels", f"input_shape={self.input_shape}")
        if C % self.num_groups or self.num_filters % self.num_groups:
            self.fail(f"num_groups as a divisor of {C} channels and "
                      f"{self.num_filters} filters", str(num_groups))
        self._check_size()
        self.W = self.add_param(W, self.get_W_shape(), "W")
        b_shape = (self.num_filters, *(self.output_shape[2:] if untie_biases else ()))
        self.b = None if b is None else self.add_param(
            b, b_shape, "b", regularizable=False)

    @property
    def reach(self) -> tuple[int, ...]:
        """Pixels from a filter's first element to its last, both counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.filter_size, self.dilation))

    def _padding(self, pad):
        if not isinstance(pad, str) or pad in RULES:
            return pad_option(self, "pad", pad, self.input_shape[2:], self.reach,
                              self.stride)
        if pad == "same" and any(r % 2 == 0 for r in self.reach):
            self.fail("odd filter sizes for pad='same'", str(self.filter_size),
                      "Use an odd size, 'same_upper', or give pad in numbers.")
        if pad not in ("valid", "full", "same"):
            self.fail("pad as a number, a tuple, 'valid', 'same' or 'full', or "
                      f"{' or '.join(RULES)}", repr(pad))
        return tuple(_zeros(pad, r) for r in self.reach)

    def _check_size(self):
        """Refuse an input that is smaller than a filter."""
        if any(length is not None and length < 1 for length in self.output_shape[2:]):
            self.fail(f"an image of at least {self.reach} pixels once padded "
                      f"by {self.pad}", f"input_shape={self.input_shape}",
                      "Use a smaller filter or more padding.")

    def get_W_shape(self) -> tuple[int, ...]:
        """Shape of the filters, (F, C / num_groups, filter_size...)."""
        return (self.num_filters, self.input_shape[1] // self.num_groups,
                *self.filter_size)

    def get_output_shape_for(self, input_shape):
        pads = (self.pad,) * self.n if isinstance(self.pad, str) else self.pad
        return (input_shape[0], self.num_filters) + tuple(
            conv_output_length(*axis) for axis in zip(input_shape[2:], self.reach,
                                                      self.stride, pads))

    @property
    def bias(self) -> Any:
        """The bias's value, or None."""
        return None if self.b is None else self.b.value

    def linear_forward(self, x):
        if is_even(self.pad):
            return self.convolve(x, self.pad)
        sides = sides_of(self.pad, x.shape[2:], self.reach, self.stride)
        z, cache = self.convolve(add_border(x, sides), (0,) * self.n)
        return z, (sides, cache)

    def linear_backward(self, dz, cache, need_dx=True):
        if is_even(self.pad):
            return self._gradients(*self.convolve_backward(dz, cache, need_dx))
        sides, cache = cache
        dx, dW, db = self.convolve_backward(dz, cache, need_dx)
        return self._gradients(cut_border(dx, sides) if need_dx else None, dW, db)

    def convolve(self, x, pad):
        """The convolution alone, and a cache, with a number of zeros for each axis."""
        return conv_forward(x, self.W.value, self.bias, self.stride, pad,
                            self.dilation, self.num_groups, self.flip_filters)

    def convolve_backward(self, dz, cache, need_dx=True):
        """Gradients of :meth:`convolve`: dx, dW, db."""
        return conv_backward(dz, cache, need_dx)

    def _gradients(self, dx, dW, db):
        """What ``linear_backward`` returns."""
        return dx, {self.W: dW} if self.b is None else {self.W: dW, self.b: db}

    def _no_choice(self, convolution):
        """There is one implementation: another cannot be asked for."""
        if convolution is not None:
            self.fail("no choice of a convolution, of which there is one",
                      repr(convolution), "Leave the argument out.")
        self.convolution = None


class Conv1DLayer(BaseConvLayer):
    """A bank of F filters that slides along a sequence.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, L).
    num_filters : int >= 1
        F.
    filter_size : int or (int,)
    stride : int or (int,), default 1
    pad : int, (int,), 'valid', 'same' or 'full', default 0
        As in :class:`Conv2DLayer`.
    untie_biases : bool, default False
        One bias for each output position, (F, Lo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (F, C / num_groups, filter_size).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default True
    convolution : None
        Lasagne's choice of an implementation, of which there is one here.
    num_groups : int, default 1
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int], stride: int | Sequence[int] = 1,
                 pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = True, convolution: None = None, *,
                 num_groups: int = 1, name: str | None = None):
        super().__init__(incoming, num_filters, filter_size, stride, pad, untie_biases,
                         W, b, nonlinearity, flip_filters, num_groups, 1, name=name)
        self._no_choice(convolution)


class Conv2DLayer(BaseConvLayer):
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
    pad : int, (int, int), 'valid', 'same', 'full', or sides that differ, default 0
        Zeros on each side. 'valid' is 0, 'full' is k - 1, 'same' is k // 2
        (odd filters only), which keeps the size at stride 1. A pair in the place of a
        number is what stands at an axis's beginning and at its end. 'same_upper' and
        'same_lower' give ⌈size / stride⌉ outputs; where the zeros for that do not
        halve, the odd one is at the end (so Keras and TensorFlow have "same") or at the
        beginning.
    untie_biases : bool, default False
        One bias for each output position, (F, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (F, C / num_groups, kh, kw).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default True
        True convolution, as Lasagne's Conv2DLayer. Weights that come from
        another library (or Lasagne's GPU layers) want False.
    convolution : None
        Lasagne's choice of an implementation, of which there is one here.
    num_groups : int, default 1
        Divides channels and filters: each group of filters sees its group of channels
        alone. With C groups each channel has filters of its own (depthwise).
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int], stride: int | Sequence[int] = (1, 1),
                 pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = True, convolution: None = None, *,
                 num_groups: int = 1, name: str | None = None):
        super().__init__(incoming, num_filters, filter_size, stride, pad, untie_biases,
                         W, b, nonlinearity, flip_filters, num_groups, 2, name=name)
        self._no_choice(convolution)

    def convolve(self, x, pad):
        if self.num_groups > 1:
            return super().convolve(x, pad)
        return conv2d_forward(x, self.W.value, self.bias, self.stride, pad,
                              self.flip_filters)

    def convolve_backward(self, dz, cache, need_dx=True):
        if self.num_groups > 1:
            return super().convolve_backward(dz, cache, need_dx)
        return conv2d_backward(dz, cache, need_dx)


class Conv3DLayer(BaseConvLayer):
    """A bank of F filters that slides through a volume, or along a film.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, D, H, W).
    num_filters : int >= 1
        F.
    filter_size : int or (int, int, int)
        (kd, kh, kw).
    stride : int or (int, int, int), default (1, 1, 1)
    pad : int, (int, int, int), 'valid', 'same' or 'full', default 0
        As in :class:`Conv2DLayer`.
    untie_biases : bool, default False
        One bias for each output position, (F, Do, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape (F, C / num_groups, kd, kh, kw).
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default True
    convolution : None
        Lasagne's choice of an implementation, of which there is one here.
    num_groups : int, default 1
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int],
                 stride: int | Sequence[int] = (1, 1, 1),
                 pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = True, convolution: None = None, *,
                 num_groups: int = 1, name: str | None = None):
        super().__init__(incoming, num_filters, filter_size, stride, pad, untie_biases,
                         W, b, nonlinearity, flip_filters, num_groups, 3, name=name)
        self._no_choice(convolution)


class DilatedConv2DLayer(BaseConvLayer):
    """Filters with gaps: a wide view of the image from few numbers.

    Parameters
    ----------
    incoming : Layer or tuple
        Output shape (N, C, H, W).
    num_filters : int >= 1
        F.
    filter_size : int or (int, int)
        (kh, kw), elements without the gaps.
    dilation : int or (int, int), default (1, 1)
        Steps between elements: 1 is no gap.
    pad : int, (int, int), 'valid', 'same' or 'full', default 0
        As in :class:`Conv2DLayer`, of the filter with its gaps. (Lasagne has 0 only.)
    untie_biases : bool, default False
        One bias for each output position, (F, Ho, Wo), in place of (F,).
    W : Param, array or initialiser, default GlorotUniform()
        Filters, shape **(C, F, kh, kw)**: channels first, as Lasagne has it here.
    b : Param, array, initialiser or None, default Constant(0)
    nonlinearity : Nonlinearity or None, default rectify
    flip_filters : bool, default False
        As in :class:`Conv2DLayer`. (Lasagne has False only.)
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, num_filters: int,
                 filter_size: int | Sequence[int],
                 dilation: int | Sequence[int] = (1, 1),
                 pad: int | Sequence[int] | str = 0, untie_biases: bool = False,
                 W: Spec = init.GlorotUniform(), b: Spec | None = init.Constant(0.),
                 nonlinearity: Nonlinearity | None = nonlinearities.rectify,
                 flip_filters: bool = False, *, name: str | None = None):
        super().__init__(incoming, num_filters, filter_size, 1, pad, untie_biases, W, b,
                         nonlinearity, flip_filters, n=2, dilation=dilation, name=name)

    def get_W_shape(self):
        """Shape of the filters, (C, F, kh, kw)."""
        return (self.input_shape[1], self.num_filters, *self.filter_size)

    def convolve(self, x, pad):
        return conv_forward(x, self.W.value.swapaxes(0, 1), self.bias, self.stride,
                            pad, self.dilation, 1, self.flip_filters)

    def convolve_backward(self, dz, cache, need_dx=True):
        dx, dW, db = conv_backward(dz, cache, need_dx)
        return dx, contiguous(dW.swapaxes(0, 1)), db
