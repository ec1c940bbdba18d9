"""The dense (fully connected) layer: one matrix product."""

from ..cuda import activation as activation_kernels, reduce as reduce_kernels
from ..device.arrays import on_gpu
from ..errors import ShapeError
from .products import matmul

__all__ = ["dense_forward", "dense_backward"]


def dense_forward(x, W, b=None):
    r"""Multiply by weights and add a bias.

    .. math:: y_{n,u} = b_u + \sum_d x_{n,d} W_{d,u}

    Parameters
    ----------
    x : array, shape (N, D)
    W : array, shape (D, U)
    b : array, shape (U,), or None

    Returns
    -------
    y : array, shape (N, U)
    cache : tuple
    """
    if x.ndim != 2 or x.shape[1] != W.shape[0]:
        raise ShapeError(
            f"dense: expected x (N, D) with D = {W.shape[0]}, got {x.shape}.")
    if b is not None and b.shape != W.shape[1:]:
        raise ShapeError(f"dense: expected a bias {W.shape[1:]}, got {b.shape}.")
    W = W.astype(x.dtype, copy=False)
    y = matmul(x, W)
    if b is not None:
        y = _add_bias(y, b.astype(x.dtype, copy=False))
    return y, (x, W, b is not None)


def dense_backward(dy, cache, need_dx=True):
    """Gradients of :func:`dense_forward`.

    ``dx = dy W^T``, ``dW = x^T dy``, ``db = sum of dy over n``.

    Parameters
    ----------
    dy : array, shape (N, U)
    cache : tuple
    need_dx : bool, default True
        False saves the first product where nothing below learns.

    Returns
    -------
    dx : array, shape (N, D), or None
    dW : array, shape (D, U)
    db : array, shape (U,), or None if there was no bias
    """
    x, W, has_bias = cache
    dx = matmul(dy, W.T) if need_dx else None
    return dx, matmul(x.T, dy), _column_sums(dy) if has_bias else None


def _add_bias(y, b):
    if on_gpu(y):
        return activation_kernels.bias_add(y, b, out=y)
    y += b
    return y


def _column_sums(dy):
    return reduce_kernels.column_sums(dy) if on_gpu(dy) else dy.sum(axis=0)
