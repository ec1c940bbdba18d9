"""Convolution and pooling of one to three dimensions, in loops.

As :mod:`helpers.reference`: slow, plain, in float64, with nothing from minifer.
Letters: n axes behind the channels; a place is a tuple of n numbers.
"""

import math

import numpy as np

from helpers.reference import pooled_length


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


def pool_nd(x, pool_size, stride=None, pad=0, ignore_border=True, mode="max"):
    """Largest or average value of each window of x (N, C, ...).

    A cell of a window is in the image, in the padding, or (``ignore_border=False``)
    beyond both: the last never counts, the one before it as 0 in ``average_inc_pad``.
    """
    n, lengths = x.ndim - 2, x.shape[2:]
    pool_size, pad = numbers(pool_size, n), numbers(pad, n)
    stride = pool_size if stride is None else numbers(stride, n)
    out = [pooled_length(*axis, ignore_border)
           for axis in zip(lengths, pool_size, stride, pad)]
    y = np.zeros((*x.shape[:2], *out))
    for image, c, *i in places(y.shape):
        values = []
        for u in places(pool_size):
            at = [a * s + v - p for a, s, v, p in zip(i, stride, u, pad)]
            if all(0 <= a < length for a, length in zip(at, lengths)):
                values.append(float(x[(image, c, *at)]))
            elif mode == "average_inc_pad" and all(
                    a < length + p for a, length, p in zip(at, lengths, pad)):
                values.append(0.0)
        y[(image, c, *i)] = (max(values) if mode == "max"
                             else sum(values) / len(values))
    return y


def upscale(x, factor, mode="repeat"):
    """Each pixel of x (N, C, ...) at every place of its box, or at the first alone."""
    y = np.zeros((*x.shape[:2], *(k * f for k, f in zip(x.shape[2:], factor))))
    for image, c, *i in places(y.shape):
        if mode == "repeat" or all(a % f == 0 for a, f in zip(i, factor)):
            y[(image, c, *i)] = x[(image, c, *(a // f for a, f in zip(i, factor)))]
    return y


def joined(x, factor):
    """Pixels of x (N, C, ...) joined by lines, axis by axis."""
    for axis, f in enumerate(factor, 2):
        n = x.shape[axis]
        at = (np.arange(n * f) + 0.5) / f - 0.5
        x = np.apply_along_axis(lambda row: np.interp(at, np.arange(n), row), axis, x)
    return x


def feature_groups(x, pool_size, axis):
    """For each group along an axis: where it would stand, and where its members do."""
    shape = list(x.shape)
    shape[axis] //= pool_size
    for at in places(shape):
        yield at, [(*at[:axis], at[axis] * pool_size + member, *at[axis + 1:])
                   for member in range(pool_size)]


def feature_pool(x, pool_size, axis=1, mode="max"):
    """One number for each group of neighbours along an axis."""
    shape = list(x.shape)
    shape[axis] //= pool_size
    y = np.zeros(shape)
    for at, members in feature_groups(x, pool_size, axis):
        values = [float(x[member]) for member in members]
        y[at] = {"max": max(values), "sum": sum(values),
                 "mean": sum(values) / len(values)}[mode]
    return y


def winner(x, pool_size, axis=1):
    """The first largest of each group of neighbours along an axis; 0 for the rest."""
    y = np.zeros(x.shape)
    for _, members in feature_groups(x, pool_size, axis):
        best = members[0]
        for member in members:
            if x[member] > x[best]:
                best = member
        y[best] = x[best]
    return y


def pyramid(x, pool_dims, mode="max", implementation="fast"):
    """One number for each bin of each grid of x (N, C, H, W)."""
    (H, W), columns = x.shape[2:], []
    for n, i, j in [(grid, *at) for grid in pool_dims for at in places((grid, grid))]:
        box = []
        for length, place in ((H, i), (W, j)):
            start = (place * (length // n) if implementation == "fast"
                     else math.floor(place * length / n))
            stop = (start + math.ceil(length / n) if implementation == "fast"
                    else math.ceil((place + 1) * length / n))
            box.append(range(start, stop))
        column = np.zeros(x.shape[:2])
        for image, c in places(column.shape):
            values = [float(x[image, c, a, b]) for a in box[0] for b in box[1]]
            column[image, c] = (max(values) if mode == "max"
                                else sum(values) / len(values))
        columns.append(column)
    return np.stack(columns, axis=2)
