"""Dense layers on Hopper's tensor cores: the products of :mod:`minifer.cuda.gemm`.

The kernels are in ``wide_gemm.cu``. They are for large products in tf32, which
:func:`chosen` tells: elsewhere tiles of 128 would be empty for the most part.
:mod:`minifer.cuda.gemm` asks it, and has the arguments' meaning.
"""

import numpy as np

from ..device.arrays import address, compute_capability, device_of
from .loader import kernel
from .tensor_map import TensorMap

__all__ = ["chosen", "splits_for", "width", "forward", "input_gradient",
           "weight_gradient", "weight_gradient_update"]

FILE = "wide_gemm.cu"
BM, BK, THREADS = 128, 32, 288
STAGES = {64: 6, 128: 4}  # steps in shared memory, by the columns of a tile
BLOCKS = 132   # multiprocessors of a large GPU: the same on every GPU
PIECE = 8 * BK  # the least length of a sum that is worth a block of its own
LEAST = 64     # images, inputs and units from which on it is worth while


def chosen(x, dz, D, channels, precision, *written):
    """Whether a product is made here.

    Parameters
    ----------
    x, dz : device arrays, shapes (N, D or any) and (N, U), or W in the place of one
    D : int
        Inputs.
    channels : int
    precision : {'tf32', 'fp32'}
    *written : device arrays
        What else is read or written, as large as one of the products.
    """
    return (precision == "tf32" and compute_capability(device_of(x)) == 90
            and min(*x.shape, *dz.shape) >= LEAST
            and supported(D, channels, x, dz, *written))


def supported(D, channels, *arrays):
    """Whether there are boxes of W, and all rows begin at multiples of 16 bytes.

    Examples
    --------
    >>> supported(14112, 32), supported(14112, 8), supported(14114, 1)
    (True, False, False)
    """
    return (channels == 1 or channels % 32 == 0) and D % channels == D % 4 == 0 and all(
        array.shape[-1] % 4 == 0 and address(array) % 16 == 0 for array in arrays)


def splits_for(N, D, U):
    """Into how many pieces :func:`forward` cuts its sums over D.

    No more than there are multiprocessors: one block more takes as long as all.
    """
    tiles = -(-N // width(N)) * -(-U // BM)
    return max(1, min(BLOCKS // tiles, D // PIECE))


def forward(x, W, work, splits, channels):
    """``work[s] = x W``, summed over piece s of D; return how many pieces there are.

    Parameters
    ----------
    x : device array, shape (N, D)
    W : device array, shape (D, U)
    work : device array of at least splits * N * U floats
    splits : int
        At most so many pieces.
    channels : int
    """
    (N, D), U = x.shape, W.shape[1]
    wide = width(N)
    length = -(-D // splits // BK) * BK
    splits = -(-D // length)
    work = work.reshape(-1)[:splits * N * U]  # for (splits, N, U)
    _launch("wide_forward", x, wide, channels, (N, wide), (U, BM), splits)(
        _rows(x, wide, rounds=True), _weights(W, channels), work, N, D, U, splits,
        length)
    return splits


def input_gradient(dz, W, dx, channels):
    """``dx = dz Wᵀ``."""
    (N, U), D = dz.shape, len(W)
    wide = width(D)
    _launch("wide_input_gradient", dz, wide, channels, (N, BM), (D, wide))(
        _rows(dz, BM), _weights(W, channels, rounds=True), dx, N, D, U)


def weight_gradient(x, dz, dW, channels):
    """``dW = xᵀ dz``."""
    (N, D), U = x.shape, dz.shape[1]
    wide = width(U)
    _launch("wide_weight_gradient", x, wide, channels, (D, BM), (U, wide))(
        _rows(x, BK), _turned(dz, wide, channels), dW, N, D, U)


def weight_gradient_update(x, dz, W, slots, fine, numbers, rule, channels):
    """A step of an update rule with ``xᵀ dz``, which is never stored."""
    (N, D), U = x.shape, dz.shape[1]
    wide, state = width(U), [*slots, None, None, None][:3]
    how = {"RULE": f"{rule}_rule", "SLOTS": len(slots)}
    _launch("wide_weight_update", x, wide, channels, (D, BM), (U, wide), **how)(
        _rows(x, BK), _turned(dz, wide, channels, **how), W, *state, fine, numbers, N,
        D, U)


def shared(wide):
    """Bytes of shared memory: barriers, and stages; the tile takes their place."""
    stages = STAGES[wide] * (BM + wide) * BK
    return 1024 + 4 * max(stages, BM * (wide + 8), wide * (BM + 8))


def width(n):
    """The columns of a tile where C, as the kernel makes it, has n in all."""
    return 64 if n <= 64 else 128


def _launch(name, like, wide, channels, rows, columns, splits=1, **defines):
    """The kernel, which then only wants its arguments.

    ``rows`` and ``columns`` are those of C, each with how many of them a tile has.
    """
    run = _compiled(name, like, wide, channels, **defines)
    grid = *(-(-n // tile) for n, tile in (rows, columns)), splits
    return lambda *args: run(*args, grid=grid, block=THREADS, shared=shared(wide))


def _compiled(name, like, wide, channels, **defines):
    """A kernel. Those that belong together have the same macros: one file compiled."""
    return kernel(FILE, name, like, WIDE=wide, STAGES=STAGES[wide], CHANNELS=channels,
                  **defines)


def _rows(matrix, rows, rounds=False):
    """A map of a matrix, in boxes of so many rows by 32 columns."""
    return TensorMap(matrix, (*matrix.shape[::-1], 1), (BK, rows, 1), rounds=rounds)


def _weights(W, channels, rounds=False):
    """A map of W (D, U) in boxes of 32 inputs that lie side by side in x."""
    D, U = W.shape
    box = (BK, BK, 1) if channels == 1 else (BK, 1, BK)
    return TensorMap(W, (U, D // channels, channels), box, rounds=rounds)


def _turned(dz, wide, channels, **defines):
    """A map of dz transposed, (U, N), which is made first."""
    N, U = dz.shape
    pitch = -(-N // 4) * 4
    turned = np.empty_like(dz, shape=(U, pitch))
    _compiled("wide_turn", dz, wide, channels, **defines)(
        dz, turned, N, U, pitch, grid=(-(-N // 32), -(-U // 32)), block=(32, 8))
    return TensorMap(turned, (N, U, 1), (BK, wide, 1), strides=(pitch, pitch * U),
                     rounds=True)
