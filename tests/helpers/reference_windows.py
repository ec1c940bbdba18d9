"""Convolution and pooling of one to three dimensions, in loops.

As :mod:`helpers.reference`: slow, plain, in float64, with nothing from minifer.
Letters: n axes behind the channels; a place is a tuple of n numbers.
"""

import numpy as np


def numbers(value, n):
    """``value`` for each of n axes."""
    return (value,) * n if isinstance(value, int) else tuple(value)


def places(shape):
    return list(np.ndindex(*shape))


def conv_nd(x, W, b=None, stride=1, pad=0, dilation=1, groups=1, flip_filters=True):
    """Slide F filters W (F, C/groups, *k) over x (N, C, ...) padded with zeros.

    Filter f sees the channels of group f // (F / groups). Its element u meets the
    pixel at ``i*stride + u*dilation - pad``; with ``flip_filters`` it is the element
    on the other side, along all axes, that does.
    """
    n = x.ndim - 2
    stride, pad, dilation = (numbers(v, n) for v in (stride, pad, dilation))
    (N, _, *lengths), (F, per_group, *k) = x.shape, W.shape
    out = [len([i for i in range(0, length + 2 * p, s)
                if i + (size - 1) * d < length + 2 * p])
           for length, p, s, size, d in zip(lengths, pad, stride, k, dilation)]
    y = np.zeros((N, F, *out))
    for image, f, *i in places(y.shape):
        total = 0.0
        for c, *u in places((per_group, *k)):
            at = [a * s + v * d - p for a, s, v, d, p in zip(i, stride, u, dilation,
                                                             pad)]
            if all(0 <= a < length for a, length in zip(at, lengths)):
                element = [size - 1 - v for size, v in zip(k, u)] if flip_filters else u
                channel = f // (F // groups) * per_group + c
                total += float(W[(f, c, *element)]) * float(x[(image, channel, *at)])
        if b is not None:
            total += float(b[f] if b.ndim == 1 else b[(f, *i)])
        y[(image, f, *i)] = total
    return y


def transposed_conv_nd(x, W, b=None, stride=1, crop=0, dilation=1, groups=1,
                       flip_filters=False, output_size=None):
    """Add each pixel of x (N, C, ...), times its filters, to the output.

    W is (C, F/groups, *k). Without ``flip_filters`` it is turned round along all axes
    before it is added: so Lasagne has it. ``crop`` pixels are cut off each side.
    """
    n = x.ndim - 2
    stride, crop, dilation = (numbers(v, n) for v in (stride, crop, dilation))
    (N, C, *lengths), (_, per_group, *k) = x.shape, W.shape
    out = output_size or [
        (length - 1) * s + (size - 1) * d + 1 - 2 * p
        for length, s, size, d, p in zip(lengths, stride, k, dilation, crop)]
    y = np.zeros((N, per_group * groups, *out))
    for image, c, *i in places(x.shape):
        for f, *u in places((per_group, *k)):
            at = [a * s + v * d - p for a, s, v, d, p in zip(i, stride, u, dilation,
                                                             crop)]
            if all(0 <= a < length for a, length in zip(at, out)):
                element = u if flip_filters else [size - 1 - v for size, v
                                                  in zip(k, u)]
                filter_ = c // (C // groups) * per_group + f
                y[(image, filter_, *at)] += (float(x[(image, c, *i)])
                                             * float(W[(c, f, *element)]))
    if b is not None:
        for image, f, *i in places(y.shape):
            y[(image, f, *i)] += float(b[f] if b.ndim == 1 else b[(f, *i)])
    return y
