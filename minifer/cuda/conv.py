"""Convolution on a device: im2col, one matrix product, col2im.

Columns are laid out ``(C*kh*kw, N*Ho*Wo)``, with the images of a chunk side by side:
each product is then one of two plain matrices, which a GPU's library does best.
"""

import math

import numpy as np

from ..device.arrays import contiguous
from .loader import kernel
from .matmul import matmul
from .order import channels_last, images

__all__ = ["correlate", "correlate_backward", "im2col", "col2im"]

# A batch is worked on in parts whose columns take this much memory at most (one image
# may take more). A 5x5 filter's columns are 25 times the image.
COLUMN_BYTES = 2 ** 30


def im2col(x, size, stride, pad, out_size):
    """Copy every window of ``x`` into a column.

    Parameters
    ----------
    x : device array, shape (N, C, H, W)
        Contiguous.
    size, stride, pad, out_size : (int, int)
        Window (kh, kw), step (sh, sw), zeros around the image (ph, pw), number of
        windows (Ho, Wo).

    Returns
    -------
    device array, shape (C*kh*kw, N*Ho*Wo)

    Raises
    ------
    KernelError
        If ``x`` is no contiguous float array on a device.
    """
    (N, C), (kh, kw), (Ho, Wo) = x.shape[:2], size, out_size
    columns = np.empty_like(x, shape=(C * kh * kw, N * Ho * Wo))
    kernel("conv.cu", "im2col", x)(
        x, columns, *x.shape, *size, *stride, *pad, *out_size, threads=C * N * Ho * Wo)
    return columns


def col2im(columns, shape, size, stride, pad, out_size):
    """Sum for each pixel what came from it: im2col's gradient.

    Parameters
    ----------
    columns : device array, shape (C*kh*kw, N*Ho*Wo)
    shape : (int, int, int, int)
        Shape of the images, (N, C, H, W).
    size, stride, pad, out_size : (int, int)
        As in :func:`im2col`.

    Returns
    -------
    device array, shape (N, C, H, W)
    """
    dx = np.empty_like(columns, shape=shape)  # (N, C, H, W)
    kernel("conv.cu", "col2im", columns)(
        columns, dx, *shape, *size, *stride, *pad, *out_size, threads=dx.size)
    return dx


def correlate(x, W_flat, b, size, stride, pad, out_size):
    """What :func:`minifer.ops.conv.conv2d_forward` computes, on a device.

    Parameters
    ----------
    x : device array, shape (N, C, H, W)
    W_flat : device array, shape (F, C*kh*kw)
        The filters as rows, turned already if they are to be.
    b : device array, shape (F, 1, 1) or (F, Ho, Wo), or None
    size, stride, pad, out_size : (int, int)
        As in :func:`im2col`.

    Returns
    -------
    device array, shape (N, F, Ho, Wo)
    """
    if channels_last(x) is not None:
        return _correlate_last(x, W_flat, b, size, stride, pad, out_size)
    x, F = contiguous(x), len(W_flat)
    y = np.empty_like(x, shape=(len(x), F, *out_size))  # (N, F, Ho, Wo)
    for part in _chunks(x, size, out_size):
        # (F, N*Ho*Wo), of the images of this chunk; then (N, F, Ho, Wo)
        product = matmul(W_flat, im2col(x[part], size, stride, pad, out_size))
        product = product.reshape(F, -1, *out_size).transpose(1, 0, 2, 3)
        np.add(product, 0 if b is None else b, out=y[part])  # while it is copied
    return y


def correlate_backward(dy, x, W_flat, size, stride, pad, need_dx):
    """Gradients of :func:`correlate`: ``dW = dY columns^T``, ``dX = W^T dY``.

    Parameters
    ----------
    dy : device array, shape (N, F, Ho, Wo)
    x, W_flat, size, stride, pad
        As in :func:`correlate`.
    need_dx : bool

    Returns
    -------
    dx : device array, shape (N, C, H, W), or None
    dW_flat : device array, shape (F, C*kh*kw)
    """
    if channels_last(x) is not None:
        return _correlate_last_backward(dy, x, W_flat, size, stride, pad, need_dx)
    x, F, out_size = contiguous(x), len(W_flat), dy.shape[2:]
    dx = np.empty_like(x) if need_dx else None
    dW_flat = np.zeros_like(W_flat)
    for part in _chunks(x, size, out_size):
        # (F, N*Ho*Wo), of the images of this chunk
        dY = contiguous(dy[part].transpose(1, 0, 2, 3)).reshape(F, -1)
        dW_flat += matmul(dY, im2col(x[part], size, stride, pad, out_size).T)
        if need_dx:
            dx[part] = col2im(matmul(W_flat.T, dY), x[part].shape, size, stride,
                              pad, out_size)
    return dx, dW_flat


def _correlate_last(x, W_flat, b, size, stride, pad, out_size):
    """:func:`correlate` of images whose channels are last: so are those of y."""
    F, W_rows = len(W_flat), _for_rows(W_flat, size)
    y = np.empty_like(W_flat, shape=(len(x), *out_size, F))
    for part in _chunks(x, size, out_size):
        rows = _im2row(x[part], size, stride, pad, out_size)
        matmul(rows, W_rows, out=y[part].reshape(-1, F))
    if b is not None:
        y += b.transpose(1, 2, 0)
    return images(y)


def _correlate_last_backward(dy, x, W_flat, size, stride, pad, need_dx):
    """Its gradients."""
    (F, K), C, out_size = W_flat.shape, x.shape[1], dy.shape[2:]
    W_rows = _for_rows(W_flat, size)
    dx = np.empty_like(channels_last(x)) if need_dx else None
    dW_rows = np.zeros_like(W_flat, shape=(K, F))
    for part in _chunks(x, size, out_size):
        dY = contiguous(dy[part].transpose(0, 2, 3, 1)).reshape(-1, F)
        dW_rows += matmul(_im2row(x[part], size, stride, pad, out_size).T, dY)
        if need_dx:
            kernel("conv.cu", "row2im", dY)(
                matmul(dY, W_rows.T), dx[part], *x[part].shape, *size, *stride, *pad,
                *out_size, threads=dx[part].size)
    dW_flat = contiguous(dW_rows.reshape(-1, C, F).transpose(2, 1, 0)).reshape(F, K)
    return images(dx) if need_dx else None, dW_flat


def _im2row(x, size, stride, pad, out_size):
    """Each window as a row, (N*Ho*Wo, kh*kw*C), of x (N, C, H, W), channels last."""
    rows = np.empty_like(x, shape=(len(x) * math.prod(out_size),
                                   math.prod(size) * x.shape[1]))
    kernel("conv.cu", "im2row", x)(
        channels_last(x), rows, *x.shape, *size, *stride, *pad, *out_size,
        threads=rows.size)
    return rows


def _for_rows(W_flat, size):
    """Filters (F, C*kh*kw) as a matrix (kh*kw*C, F), in the order of the rows."""
    F = len(W_flat)
    return contiguous(W_flat.reshape(F, -1, math.prod(size)).transpose(2, 1, 0)
                      ).reshape(-1, F)


def _chunks(x, size, out_size):
    """Slices of the batch whose columns take COLUMN_BYTES at most."""
    N, C = x.shape[:2]
    per_image = math.prod((C, *size, *out_size)) * x.itemsize
    step = max(1, COLUMN_BYTES // max(1, per_image))
    return [slice(n, n + step) for n in range(0, N, step)]
