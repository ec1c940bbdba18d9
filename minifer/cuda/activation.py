"""Nonlinearities and biases on a device; the kernels are in ``activation.cu``.

The pairs have the names, arguments and results of :mod:`minifer.ops.activation`,
where their formulas are.
"""

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel
from .order import alike
from .reduce import block_for, channel_shape, column_sums, pieces

__all__ = [
    "rectify_forward", "rectify_backward",
    "leaky_rectify_forward", "leaky_rectify_backward",
    "elu_forward", "elu_backward", "selu_forward", "selu_backward",
    "tanh_forward", "tanh_backward",
    "scaled_tanh_forward", "scaled_tanh_backward",
    "sigmoid_forward", "sigmoid_backward",
    "softplus_forward", "softplus_backward",
    "clipped_rectify_forward", "clipped_rectify_backward",
    "hard_sigmoid_forward", "hard_sigmoid_backward",
    "softsign_forward", "softsign_backward",
    "bias_add", "bias_rectify_forward", "bias_rectify_backward"]


def rectify_forward(x):
    """``y = max(0, x)``; the cache holds y."""
    y = _each("rectify_forward", x)
    return y, (y,)


def rectify_backward(dy, cache):
    """``dx = dy`` where ``y > 0``."""
    return _each("rectify_backward", dy, *cache)


def leaky_rectify_forward(x, leakiness=0.01):
    """``y = x`` where ``x > 0``, else ``leakiness * x``; the cache holds x."""
    return _each("leaky_rectify_forward", x, options=(leakiness,)), (x, leakiness)


def leaky_rectify_backward(dy, cache):
    """``dx = dy`` where ``x > 0``, else ``leakiness * dy``."""
    x, leakiness = cache
    return _each("leaky_rectify_backward", dy, x, options=(leakiness,))


def elu_forward(x):
    """``y = x`` where ``x > 0``, else ``exp(x) - 1``; the cache holds y."""
    y, _ = selu_forward(x)
    return y, (y,)


def elu_backward(dy, cache):
    """``dx = dy`` where ``y > 0``, else ``dy * (y + 1)``."""
    return _each("elu_backward", dy, *cache)


def selu_forward(x, scale=1.0, scale_neg=1.0):
    """``scale`` times x, or times ``scale_neg * (exp(x) - 1)``; the cache holds x."""
    y = _each("selu_forward", x, options=(scale, scale_neg))
    return y, (x, scale, scale_neg)


def selu_backward(dy, cache):
    """``dx = dy * scale``, times ``scale_neg * exp(x)`` where x is negative."""
    x, scale, scale_neg = cache
    return _each("selu_backward", dy, x, options=(scale, scale_neg))


def tanh_forward(x):
    """``y = tanh(x)``; the cache holds y."""
    y, _ = scaled_tanh_forward(x)
    return y, (y,)


def tanh_backward(dy, cache):
    """``dx = dy * (1 - y²)``."""
    return _each("tanh_backward", dy, *cache)


def scaled_tanh_forward(x, scale_in=1.0, scale_out=1.0):
    """``y = scale_out * tanh(scale_in * x)``; the cache holds x."""
    y = _each("scaled_tanh_forward", x, options=(scale_in, scale_out))
    return y, (x, scale_in, scale_out)


def scaled_tanh_backward(dy, cache):
    """``dx = dy * scale_in * scale_out * (1 - tanh²)``."""
    x, scale_in, scale_out = cache
    return _each("scaled_tanh_backward", dy, x, options=(scale_in, scale_out))


def sigmoid_forward(x):
    """``y = 1 / (1 + exp(-x))``; the cache holds y."""
    y = _each("sigmoid_forward", x)
    return y, (y,)


def sigmoid_backward(dy, cache):
    """``dx = dy * y * (1 - y)``."""
    return _each("sigmoid_backward", dy, *cache)


def softplus_forward(x):
    """``y = log(1 + exp(x))``; the cache holds x."""
    return _each("softplus_forward", x), (x,)


def softplus_backward(dy, cache):
    """``dx = dy * sigmoid(x)``."""
    return _each("softplus_backward", dy, *cache)


def clipped_rectify_forward(x, ceiling=6.0):
    """``y = min(max(0, x), ceiling)``; the cache holds x."""
    return _each("clipped_rectify_forward", x, options=(ceiling,)), (x, ceiling)


def clipped_rectify_backward(dy, cache):
    """``dx = dy`` where ``0 < x < ceiling``."""
    x, ceiling = cache
    return _each("clipped_rectify_backward", dy, x, options=(ceiling,))


def hard_sigmoid_forward(x, slope=1 / 6, shift=0.5):
    """``y = slope * x + shift`` within [0, 1]; the cache holds y."""
    y = _each("hard_sigmoid_forward", x, options=(slope, shift))
    return y, (y, slope)


def hard_sigmoid_backward(dy, cache):
    """``dx = dy * slope`` where ``0 < y < 1``."""
    y, slope = cache
    return _each("hard_sigmoid_backward", dy, y, options=(slope,))


def softsign_forward(x):
    """``y = x / (1 + |x|)``; the cache holds x."""
    return _each("softsign_forward", x), (x,)


def softsign_backward(dy, cache):
    """``dx = dy / (1 + |x|)²``."""
    return _each("softsign_backward", dy, *cache)


def bias_add(x, b, out=None):
    """Add a bias to each channel.

    Parameters
    ----------
    x : device array, shape (N, C, ...)
    b : device array, shape (C,)
    out : device array of x's shape, contiguous, optional
        Where the sum goes, which may be x itself. Default: a new array.

    Returns
    -------
    device array of x's shape
    """
    return _with_bias("bias_add", x, b, out)


def bias_rectify_forward(x, b, out=None):
    """``max(0, x + b)`` in one go; arguments as for :func:`bias_add`.

    Returns
    -------
    y : device array of x's shape
    cache : tuple
    """
    y = _with_bias("bias_rectify_forward", x, b, out)
    return y, (y,)


def bias_rectify_backward(dy, cache):
    """Gradients of :func:`bias_rectify_forward`.

    Returns
    -------
    dx : device array of dy's shape
    db : device array, shape (C,)
    """
    (y,) = cache
    N, C, S = channel_shape(y)
    if S == 1:  # neighbours in memory belong to different sums: a pass of their own
        dx = rectify_backward(dy, cache)
        return dx, column_sums(dx.reshape(N, C))
    P = pieces(N * S)
    dx, partial = np.empty_like(y), np.empty_like(y, shape=(P, C))
    kernel("activation.cu", "bias_rectify_backward", y)(
        contiguous(dy), y, dx, partial, N, C, S, P, grid=(C, P),
        block=block_for(-(-N * S // P)))
    return dx, column_sums(partial)


def _each(name, *arrays, options=()):
    """Launch a kernel that makes one new array of one or two of the same shape."""
    arrays, shaped = alike(*arrays)
    new = np.empty_like(arrays[0])
    kernel("activation.cu", name, new)(*arrays, new, *options, new.size,
                                       threads=new.size)
    return shaped(new)


def _with_bias(name, x, b, out):
    x = contiguous(x)
    out = np.empty_like(x) if out is None else out
    kernel("activation.cu", name, x)(x, contiguous(b), out, *channel_shape(x),
                                     threads=x.size)
    return out
