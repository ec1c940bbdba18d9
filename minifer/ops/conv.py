r"""Convolution in two dimensions, by im2col and one matrix product.

The plain version, to be read: every window of the image is copied into a
column, and the convolution is then ``W @ columns``. Chellapilla, Puri & Simard
(2006), "High performance convolutional neural networks for document
processing", introduced the trick.
"""

import numpy as np

from ..errors import ShapeError
from .windows import pad_hw, window_count, window_slices

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
              \tilde x_{n,c,s_h i+u,s_w j+v}

    where :math:`\tilde x` is ``x`` padded with zeros. With
    ``flip_filters=False`` it is W_{f,c,u,v} (cross-correlation).

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
        If the channels differ or the filter is larger than the padded image.
    """
    if x.ndim != 4 or W.ndim != 4:
        raise ShapeError(
            f"conv2d: expected x (N, C, H, W) and W (F, C, kh, kw), got {x.shape} "
            f"and {W.shape}.")
    N, C, H, Wd = x.shape
    F, C_W, kh, kw = W.shape
    Ho = window_count(H, kh, stride[0], pad[0])
    Wo = window_count(Wd, kw, stride[1], pad[1])
    if C != C_W or Ho < 1 or Wo < 1:
        raise ShapeError(
            f"conv2d: expected x (N, C, H, W) with C = {C_W} and at least "
            f"{kh}x{kw} pixels once padded by {pad}, got {x.shape}.")
    if b is not None and b.shape not in ((F,), (F, Ho, Wo)):
        raise ShapeError(
            f"conv2d: expected a bias ({F},) or {(F, Ho, Wo)}, got {b.shape}.")
    W = W.astype(x.dtype, copy=False)
    W_flat = _as_matrix(W, flip_filters)  # (F, C*kh*kw)

    y = np.empty((N, F, Ho, Wo), x.dtype)
    for part in _chunks(N, C * kh * kw * Ho * Wo * x.itemsize):
        columns = im2col(pad_hw(x[part], pad), (kh, kw), stride, (Ho, Wo))
        np.matmul(W_flat, columns, out=y[part].reshape(-1, F, Ho * Wo))
    if b is not None:
        b = b.astype(x.dtype, copy=False)
        y += b.reshape(F, 1, 1) if b.ndim == 1 else b
    return y, (x, W, None if b is None else b.ndim, stride, pad, flip_filters)


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
    (N, C, H, Wd), (F, _, kh, kw), (Ho, Wo) = x.shape, W.shape, dy.shape[2:]
    (ph, pw), size = pad, (kh, kw)
    W_flat = _as_matrix(W, flip_filters)
    dW_flat = np.zeros_like(W_flat)
    dx = np.empty_like(x, order="C") if need_dx else None

    for part in _chunks(N, C * kh * kw * Ho * Wo * x.itemsize):
        dY = dy[part].reshape(-1, F, Ho * Wo)
        padded = pad_hw(x[part], pad)
        columns = im2col(padded, size, stride, (Ho, Wo))
        dW_flat += np.matmul(dY, columns.transpose(0, 2, 1)).sum(axis=0)
        if need_dx:
            dpadded = col2im(np.matmul(W_flat.T, dY), padded.shape, size,
                             stride, (Ho, Wo))
            dx[part] = dpadded[:, :, ph:ph + H, pw:pw + Wd]

    dW = dW_flat.reshape(W.shape)
    if flip_filters:
        dW = np.ascontiguousarray(dW[:, :, ::-1, ::-1])
    db = None
    if b_ndim is not None:
        db = dy.sum(axis=(0, 2, 3) if b_ndim == 1 else 0)
    return dx, dW, db


def _as_matrix(W, flip_filters):
    """Filters as rows, (F, C*kh*kw), in the order of the columns."""
    if flip_filters:
        W = W[:, :, ::-1, ::-1]
    return np.ascontiguousarray(W).reshape(len(W), -1)


def _chunks(N, bytes_per_image):
    """Slices of the batch whose columns together take about CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // max(1, bytes_per_image))
    return [slice(n, n + step) for n in range(0, N, step)]
