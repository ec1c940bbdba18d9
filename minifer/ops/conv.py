r"""Convolution in two dimensions, by im2col and one matrix product.

The plain version, to be read: every window of the image is copied into a
column, and the convolution is then ``W @ columns``. Chellapilla, Puri & Simard
(2006), "High performance convolutional neural networks for document
processing", introduced the trick.
"""

import math

import numpy as np

from ..cuda import conv as conv_kernels, reduce as reduce_kernels
from ..device.arrays import contiguous, on_gpu
from ..errors import ShapeError
from .windows import check_windows, pad_hw, window_count, window_slices

__all__ = ["conv2d_forward", "conv2d_backward", "im2col", "col2im"]

# Columns of a few images at a time: they stay in the cache, and a batch needs
# no more memory than a single image of the largest layer.
CHUNK_BYTES = 8 * 2 ** 20


def im2col(x, size, stride, out_size):
    """Copy every window of ``x`` into a column.

    Parameters
    ----------
    x : array, shape (N, C, H, W)
        Images, already padded.
    size, stride, out_size : (int, int)
        Window size (kh, kw), step (sh, sw), number of windows (Ho, Wo).

    Returns
    -------
    array, shape (N, C*kh*kw, Ho*Wo)
        Row ``(c*kh + u)*kw + v`` holds the element at row u and column v of
        channel c of each window.
    """
    N, C = x.shape[:2]
    columns = np.empty((N, C) + size + out_size, x.dtype)  # (N, C, kh, kw, Ho, Wo)
    for u, v, rows, cols in window_slices(size, stride, out_size):
        columns[:, :, u, v] = x[:, :, rows, cols]
    return columns.reshape(N, C * size[0] * size[1], -1)


def col2im(columns, shape, size, stride, out_size):
    """Add every column back to where its window stood: im2col's gradient.

    Parameters
    ----------
    columns : array, shape (N, C*kh*kw, Ho*Wo)
    shape : (int, int, int, int)
        Shape (N, C, H, W) of the padded images.

    Returns
    -------
    array, shape (N, C, H, W)
        Pixels that several windows share receive the sum.
    """
    columns = columns.reshape(shape[:2] + size + out_size)
    x = np.zeros(shape, columns.dtype)
    for u, v, rows, cols in window_slices(size, stride, out_size):
        x[:, :, rows, cols] += columns[:, :, u, v]
    return x


def conv2d_forward(x, W, b=None, stride=(1, 1), pad=(0, 0), flip_filters=True):
    r"""Convolve images with a bank of filters.

    .. math:: y_{n,f,i,j} = b_f + \sum_{c,u,v} W_{f,c,k_h-1-u,k_w-1-v}\,
              p_{n,c,s_h i+u,s_w j+v}

    where :math:`p` is ``x`` padded with zeros. With ``flip_filters=False`` it is
    :math:`W_{f,c,u,v}` (cross-correlation).

    Parameters
    ----------
    x : array, shape (N, C, H, W)
    W : array, shape (F, C, kh, kw)
    b : array, shape (F,) or (F, Ho, Wo), or None
        One bias a filter, or one for each output position.
    stride, pad : (int, int)
        Step (sh, sw) >= 1 and zero-padding on each side (ph, pw) >= 0.
    flip_filters : bool, default True
        True convolution, as in Lasagne's ``Conv2DLayer``.

    Returns
    -------
    y : array, shape (N, F, Ho, Wo)
        Ho = (H + 2*ph - kh) // sh + 1, and Wo likewise.
    cache : tuple
        For :func:`conv2d_backward`.

    Raises
    ------
    ShapeError
        If the channels differ, the filter is larger than the padded image, or the
        stride less than 1.
    """
    if x.ndim != 4 or W.ndim != 4:
        raise ShapeError(
            f"conv2d: expected x (N, C, H, W) and W (F, C, kh, kw), got {x.shape} "
            f"and {W.shape}.")
    F, C, *size = W.shape
    check_windows("conv2d", size, stride, pad)
    out_size = tuple(window_count(*axis)
                     for axis in zip(x.shape[2:], size, stride, pad))
    if x.shape[1] != C or min(out_size) < 1:
        raise ShapeError(
            f"conv2d: expected x (N, C, H, W) with C = {C} and at least "
            f"{size[0]}x{size[1]} pixels once padded by {pad}, got {x.shape}.")
    if b is not None and b.shape not in ((F,), (F, *out_size)):
        raise ShapeError(
            f"conv2d: expected a bias ({F},) or {(F, *out_size)}, got {b.shape}.")
    W = W.astype(x.dtype, copy=False)
    cache = (x, W, None if b is None else b.ndim, stride, pad, flip_filters)
    if b is not None:
        b = b.astype(x.dtype, copy=False).reshape((F, 1, 1) if b.ndim == 1 else b.shape)
    correlate = conv_kernels.correlate if on_gpu(x) else _correlate
    return correlate(x, _as_matrix(W, flip_filters), b, tuple(size), stride, pad,
                     out_size), cache


def conv2d_backward(dy, cache, need_dx=True):
    """Gradients of :func:`conv2d_forward`.

    With the windows as columns X, ``Y = W X`` for each image, so
    ``dW = sum over n of dY X^T`` and ``dX = W^T dY``, added back to the image
    by :func:`col2im`; ``db`` sums ``dy`` over all that shared the bias.

    Parameters
    ----------
    dy : array, shape (N, F, Ho, Wo)
    cache : tuple
    need_dx : bool, default True
        False saves the work where nothing below learns.

    Returns
    -------
    dx : array, shape (N, C, H, W), or None
    dW : array, shape (F, C, kh, kw)
    db : array of b's shape, or None if there was no bias
    """
    x, W, b_ndim, stride, pad, flip_filters = cache
    backward = conv_kernels.correlate_backward if on_gpu(x) else _correlate_backward
    dx, dW_flat = backward(dy, x, _as_matrix(W, flip_filters), W.shape[2:], stride, pad,
                           need_dx)
    dW = dW_flat.reshape(W.shape)
    if flip_filters:
        dW = contiguous(dW[:, :, ::-1, ::-1])
    if b_ndim is None:
        return dx, dW, None
    total = reduce_kernels.sum_over if on_gpu(dy) else np.sum
    return dx, dW, total(dy, (0, 2, 3) if b_ndim == 1 else (0,))


def _correlate(x, W_flat, b, size, stride, pad, out_size):
    """y on a CPU; ``W_flat`` (F, C*kh*kw) are the filters as rows."""
    F, per_image = len(W_flat), W_flat.shape[1] * math.prod(out_size) * x.itemsize
    y = np.empty((len(x), F) + out_size, x.dtype)
    for part in _chunks(len(x), per_image):
        columns = im2col(pad_hw(x[part], pad), size, stride, out_size)
        np.matmul(W_flat, columns, out=y[part].reshape(-1, F, columns.shape[2]))
    if b is not None:
        y += b
    return y


def _correlate_backward(dy, x, W_flat, size, stride, pad, need_dx):
    """dx and dW_flat of :func:`_correlate`."""
    (N, F), out_size, (H, Wd) = dy.shape[:2], dy.shape[2:], x.shape[2:]
    per_image = W_flat.shape[1] * math.prod(out_size) * x.itemsize
    dW_flat = np.zeros_like(W_flat)
    dx = np.empty_like(x, order="C") if need_dx else None
    for part in _chunks(N, per_image):
        dY = dy[part].reshape(-1, F, math.prod(out_size))
        padded = pad_hw(x[part], pad)
        columns = im2col(padded, size, stride, out_size)
        dW_flat += np.matmul(dY, columns.transpose(0, 2, 1)).sum(axis=0)
        if need_dx:
            dpadded = col2im(np.matmul(W_flat.T, dY), padded.shape, size, stride,
                             out_size)
            dx[part] = dpadded[:, :, pad[0]:pad[0] + H, pad[1]:pad[1] + Wd]
    return dx, dW_flat


def _as_matrix(W, flip_filters):
    """Filters as rows, (F, C*kh*kw), in the order of the columns."""
    if flip_filters:
        W = W[:, :, ::-1, ::-1]
    return contiguous(W).reshape(len(W), -1)


def _chunks(N, bytes_per_image):
    """Slices of the batch whose columns together take about CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // max(1, bytes_per_image))
    return [slice(n, n + step) for n in range(0, N, step)]
