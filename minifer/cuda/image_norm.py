"""Batch norm of images with channels last, and what follows it; ``image_norm.cu``.

Images are device arrays (N, H, W, C), contiguous, float32 or float64; they begin at
multiples of 16 bytes, as every newly made array does. All is written into arrays that
the caller gives, by kernel launches alone, so that a step may be captured.
"""

import math
from typing import NamedTuple

from ..device.arrays import address
from .loader import kernel

__all__ = ["Layer", "workspace", "statistics", "forward", "gradients",
           "input_gradient"]

FILE = "image_norm.cu"
THREADS = 256
#: Blocks that share the sums of a channel, at most. A constant, so that results have
#: the same bits on every GPU.
PIECES = 512
#: Blocks of a launch that sums nothing, about: enough for the largest GPU.
BLOCKS = 4096


class Layer(NamedTuple):
    """A batch norm, and what is done with it in one.

    Attributes
    ----------
    mean, inv_std : device arrays, shape (C,)
        Statistics of the batch, or running averages.
    gamma, beta : device arrays, shape (C,), or None
    relu, pool : bool
        Whether ReLU follows, and a 2x2 max-pooling, in whatever order.
    keep : device array of bool or uint8, shape (N, C, Ho, Wo), or None
        Channels first. What dropout does not keep becomes 0, what it keeps is
        multiplied by ``scale``.
    scale : float
    """

    mean: object
    inv_std: object
    gamma: object = None
    beta: object = None
    relu: bool = False
    pool: bool = False
    keep: object = None
    scale: float = 1.0

    @property
    def step(self):
        """Rows and columns of a window."""
        return 2 if self.pool else 1


def workspace(shape):
    """How many numbers of scratch :func:`statistics` and :func:`gradients` need.

    Parameters
    ----------
    shape : (int, int, int, int)
        (N, H, W, C).
    """
    return 2 * min(PIECES, math.prod(shape[:3])) * shape[3]


def statistics(z, mean, inv_std, work, *, epsilon, averages=None, alpha=0.0, step=1):
    """Mean and ``1 / sqrt(variance + epsilon)`` of each channel.

    Parameters
    ----------
    z : device array, shape (N, H, W, C)
    mean, inv_std : device arrays, shape (C,)
        Written.
    work : device array of at least :func:`workspace` numbers
    epsilon : float
    averages : pair of device arrays, shape (C,), or None
        Running averages of both, which are moved.
    alpha : float
        By this share of the batch's.
    step : int
        The layer's, so that its kernels are compiled together.
    """
    M, C = math.prod(z.shape[:3]), z.shape[3]
    _, block, across = _layout(z, C)
    P = _pieces(M, block, across)
    partial = work.reshape(-1)[:2 * P * C]  # for (P, 2, C)
    _kernel("image_moments", z, step)(z, partial, M, C, P, grid=(across, P),
                                      block=block)
    _kernel("image_statistics", z, step)(
        partial, mean, inv_std, *(averages or (None, None)), M, C, P, epsilon, alpha,
        **_of_channels(C))


def forward(z, layer, y):
    """``y = keep * scale * maxpool(relu((z - mean) * inv_std * gamma + beta))``.

    Parameters
    ----------
    z : device array, shape (N, H, W, C)
    layer : Layer
    y : device array, shape (N, Ho, Wo, C)
        Written. Ho = H and Wo = W, halved (rounded down) with pooling.
    """
    (N, H, W, C), step = z.shape, layer.step
    windows = N * (H // step) * (W // step)
    _kernel("image_norm", z, step)(
        z, layer.mean, layer.inv_std, layer.gamma, layer.beta, layer.keep, y, N, H, W,
        C, layer.relu, layer.scale, **_each(z, C, windows))


def gradients(dy, z, layer, sums, dgamma, dbeta, work):
    """Gradients of gamma and beta, and the sums of which they are made.

    Parameters
    ----------
    dy : device array, shape (N, Ho, Wo, C)
    z, layer
        As in :func:`forward`.
    sums : device array, shape (2, C)
        Written: of the gradient d that is left behind dropout, ReLU and pooling, and of
        d * (z - mean).
    dgamma, dbeta : device arrays, shape (C,), or None
        Written.
    work : device array of at least :func:`workspace` numbers
    """
    (N, H, W, C), step = z.shape, layer.step
    _, block, across = _layout(z, C)
    P = _pieces(N * (H // step) * (W // step), block, across)
    partial = work.reshape(-1)[:2 * P * C]  # for (P, 2, C)
    _kernel("image_norm_sums", z, step)(
        dy, z, layer.mean, layer.inv_std, layer.gamma, layer.beta, layer.keep, partial,
        N, H, W, C, P, layer.relu, layer.scale, grid=(across, P), block=block)
    _kernel("image_norm_gradients", z, step)(
        partial, layer.inv_std, sums, dgamma, dbeta, C, P, **_of_channels(C))


def input_gradient(dy, z, layer, sums, dz, count=None):
    """The gradient of z.

    Parameters
    ----------
    dy, z, layer
        As in :func:`gradients`.
    sums : device array, shape (2, C), or None
        What :func:`gradients` wrote; None where mean and inv_std are constants.
    dz : device array, shape (N, H, W, C)
        Written.
    count : int, optional
        Numbers of which mean and inv_std are. Default: those of a channel of z.
    """
    (N, H, W, C), step = z.shape, layer.step
    windows = N * -(-H // step) * -(-W // step)
    _kernel("image_norm_input_gradient", z, step)(
        dy, z, layer.mean, layer.inv_std, layer.gamma, layer.beta, layer.keep, sums, dz,
        N, H, W, C, count or N * H * W, layer.relu, layer.scale, **_each(z, C, windows))


def _kernel(name, z, step):
    return kernel(FILE, name, z, PACK=_layout(z, z.shape[3])[0], STEP=step)


def _layout(z, C):
    """Channels of a thread, the block, and blocks side by side."""
    pack = 16 // z.dtype.itemsize
    pack = pack if C % pack == 0 and address(z) % 16 == 0 else 1
    wide = min(32, 1 << (C // pack - 1).bit_length())
    return pack, (wide, THREADS // wide), -(-C // (pack * wide))


def _pieces(length, block, across):
    """Into how many pieces so many pixels or windows are cut."""
    return max(1, min(PIECES // across, -(-length // (8 * block[1]))))


def _each(z, C, windows):
    """Grid and block where each thread takes some windows."""
    _, block, across = _layout(z, C)
    return {"grid": (across, max(1, min(BLOCKS // across, -(-windows // block[1])))),
            "block": block}


def _of_channels(C):
    """Grid and block for what is left of each channel."""
    return {"grid": -(-C // 32), "block": (32, THREADS // 32)}
