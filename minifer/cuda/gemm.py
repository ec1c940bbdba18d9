"""Dense layers on a GPU's tensor cores: three products of matrices.

The kernels are in ``gemm.cu`` and ``gemm_update.cu``, what they share in ``gemm.cuh``.

``x`` (N, D) may be images that have been flattened with channels last, as they lie in
memory, while ``W`` (D, U) keeps its rows in the order of channels first: input k of x
meets row ``k % channels * (D // channels) + k // channels`` of W. ``channels=1`` is
the plain order.

All arrays are of float32. With ``precision="tf32"`` the tensor core's inputs are
rounded to 10 bits after the point; ``"fp32"`` is as exact as float, with three
products for each. Relative errors against float64, random numbers, on the emulator:
fp32 up to 5.5e-7, tf32 up to 3.1e-4 (forward with sums of up to 14,112, where NumPy's
float32 has 3.9e-7; the gradients with sums of up to 256). Large products in tf32 are
made by :mod:`minifer.cuda.wide_gemm` on Hopper, which rounds just so.

Everything is written into arrays that the caller gives, by kernel launches alone.
"""

from typing import NamedTuple

from ..device.arrays import address
from ..errors import KernelError, SettingError
from . import wide_gemm
from .loader import kernel

__all__ = ["workspace", "forward", "input_gradient", "mask_gradient", "weight_gradient",
           "weight_gradient_update", "bias_gradient"]

BLOCKS = 264   # twice the multiprocessors of a large GPU: the same on every GPU
PIECE = 256    # the least length of a sum that is worth a block of its own


class Tile(NamedTuple):
    """The tile that a block computes, and how: macros of ``gemm.cuh``."""

    BM: int
    BN: int
    BK: int
    WARPS_M: int
    WARPS_N: int
    STAGES: int
    RESIDENT: int

    @property
    def threads(self):
        return 32 * self.WARPS_M * self.WARPS_N

    def shared(self, a_down, b_down):
        """Bytes of shared memory, for matrices that lie along or down K."""
        def size(extent, down):
            return self.BK * (extent + 8) if down else extent * (self.BK + 4)
        stages = self.STAGES * (size(self.BM, a_down) + size(self.BN, b_down))
        return 4 * max(stages, self.BM * (self.BN + 8))

    def grid(self, M, N, splits=1):
        return -(-M // self.BM), -(-N // self.BN), splits


SMALL = Tile(64, 64, 32, 2, 2, 3, 3)    # many blocks, three or four at a time
LARGE = Tile(128, 128, 16, 2, 4, 4, 1)  # fewer reads of shared memory for each product


def tile_for(M, N, K):
    """The tile for a product (M, K) by (K, N)."""
    return LARGE if min(M, N) >= 128 and K >= 256 else SMALL


def splits_for(N, D, U):
    """Into how many pieces ``forward`` cuts its sums over D."""
    columns, rows, _ = tile_for(N, U, D).grid(N, U)
    return max(1, min(-(-BLOCKS // (columns * rows)), D // PIECE))


def workspace(N, D, U):
    """Floats that :func:`forward` wants as scratch for N images, or for fewer."""
    return splits_for(N, D, U) * N * U


def forward(x, W, b, out, work, *, channels=1, relu=False, keep=None, codes=None,
            scale=1.0, precision):
    """``out = scale * keep * relu(x W + b)``.

    Parameters
    ----------
    x : device array, shape (N, D)
    W : device array, shape (D, U)
    b : device array, shape (U,), or None
    out : device array, shape (N, U)
    work : device array of at least N * U floats
        See :func:`workspace`; fewer make it slower.
    channels : int
        A divisor of D.
    relu : bool
    keep : bool or uint8 device array, shape (N, U), or None
        Zero for what dropout drops; ``scale`` multiplies the rest.
    codes : uint8 device array, shape (N, U), or None
        Becomes 4 where no gradient goes through, else 0.
    precision : {'tf32', 'fp32'}

    Raises
    ------
    KernelError
        If ``work`` is too small.
    """
    (N, D), U = x.shape, W.shape[1]
    is_wide = (wide_gemm.chosen(x, W, D, channels, precision)
               and address(work) % 16 == 0)
    wanted = wide_gemm.splits_for(N, D, U) if is_wide else splits_for(N, D, U)
    splits = min(wanted, work.size // (N * U))
    if not splits:
        raise KernelError(f"dense forward: expected a workspace of at least {N * U} "
                          f"floats, got {work.size}. Ask gemm.workspace.")
    if is_wide:
        splits = wide_gemm.forward(x, W, work, splits, channels)
    else:
        splits = _forward(x, W, work, splits, channels, precision)
    work = work.reshape(-1)[:splits * N * U]
    kernel("gemm.cu", "dense_finish", x)(work, b, keep, out, codes, N, U, splits,
                                         int(relu), scale, threads=N * U)


def _forward(x, W, work, splits, channels, precision):
    """As :func:`minifer.cuda.wide_gemm.forward`."""
    (N, D), U = x.shape, W.shape[1]
    tile = tile_for(N, U, D)
    length = -(-D // splits // tile.BK) * tile.BK
    splits = -(-D // length)
    work = work.reshape(-1)[:splits * N * U]  # for (splits, N, U)
    _multiply("dense_forward", tile, (False, True), (N, U, splits), (x, W, (work, U)),
              (x, W, work, N, D, U, splits, length), channels, precision)
    return splits


def input_gradient(dz, W, dx, *, channels=1, precision):
    """``dx = dz Wᵀ``, (N, U) by (U, D); dx has the order of x."""
    (N, U), D = dz.shape, len(W)
    if wide_gemm.chosen(dz, W, D, channels, precision, dx):
        return wide_gemm.input_gradient(dz, W, dx, channels)
    _multiply("dense_input_gradient", tile_for(N, D, U), (False, False), (N, D),
              (dz, W, (dx, D)), (dz, W, dx, N, D, U), channels, precision)


def mask_gradient(dout, codes, dz, *, scale):
    """The gradient before ReLU and dropout: ``dz = dout * scale``, 0 where codes are 4.

    Parameters
    ----------
    dout, dz : device arrays, shape (N, U)
    codes : uint8 device array, shape (N, U)
        Codes from :func:`forward`.
    scale : float
        As in :func:`forward`.
    """
    kernel("gemm.cu", "dense_mask_gradient", dout)(dout, codes, dz, dz.size, scale,
                                                   threads=dz.size)


def weight_gradient(x, dz, dW, *, channels=1, precision):
    """``dW = xᵀ dz``, (D, N) by (N, U); dW's rows have the order of W's."""
    (N, D), U = x.shape, dz.shape[1]
    if wide_gemm.chosen(x, dz, D, channels, precision, dW):
        return wide_gemm.weight_gradient(x, dz, dW, channels)
    _multiply("dense_weight_gradient", tile_for(D, U, N), (True, True), (D, U),
              (x, dz, (dW, U)), (x, dz, dW, N, D, U), channels, precision)


def weight_gradient_update(x, dz, W, slots, fine, numbers, rule, *, channels=1,
                           precision):
    """A step of an update rule with ``xᵀ dz``, which is never stored.

    Elements whose gradient is not finite stay as they are, and ``fine[1]`` becomes 0.
    Nothing happens while ``fine[0]`` is 0.

    Parameters
    ----------
    x, dz : device arrays, shapes (N, D) and (N, U)
    W : device array, shape (D, U)
        Changed in place.
    slots : list of device arrays, shape (D, U)
        The rule's state, changed in place.
    fine : int32 device array, shape (2,)
    numbers : float64 device array, shape (8,)
        The numbers that the rule reads; see :mod:`minifer.cuda.update`.
    rule : str
        A kernel of ``update.cu``, such as ``'adam'``.
    """
    (N, D), U = x.shape, dz.shape[1]
    if wide_gemm.chosen(x, dz, D, channels, precision, W, *slots):
        return wide_gemm.weight_gradient_update(x, dz, W, slots, fine, numbers, rule,
                                                channels)
    state = [*slots, None, None, None][:3]
    _multiply("dense_weight_update", tile_for(D, U, N), (True, True), (D, U),
              (x, dz, *((array, U) for array in (W, *slots))),
              (x, dz, W, *state, fine, numbers, N, D, U), channels, precision,
              "gemm_update.cu", RULE=f"{rule}_rule", SLOTS=len(slots))


def bias_gradient(dz, db):
    """``db = sum over n of dz[n]``, (N, U) to (U,)."""
    N, U = dz.shape
    kernel("gemm.cu", "dense_bias_gradient", dz)(dz, db, N, U, grid=-(-U // 32),
                                                 block=(32, 32))


def _multiply(name, tile, down, shape, matrices, args, channels, precision,
              file="gemm.cu", **defines):
    """Launch C = A B; ``down``: whether A and B lie down K; ``shape``: that of C."""
    if precision not in ("tf32", "fp32"):
        raise SettingError("precision: expected 'tf32' or 'fp32', got "
                           f"{precision!r}.")
    A, B, *C = matrices
    vectors = dict(A_VECTOR=_vector(A, A.shape[1]), B_VECTOR=_vector(B, B.shape[1]),
                   C_VECTOR=min(_vector(*one) for one in C))
    kernel(file, name, A, TF32=int(precision == "tf32"), CHANNELS=channels,
           **tile._asdict(), **vectors, **defines)(
        *args, grid=tile.grid(*shape), block=tile.threads, shared=tile.shared(*down))


def _vector(array, columns):
    """How many neighbours are read at once: 4 if all rows begin at 16 bytes."""
    return 4 if columns % 4 == 0 and address(array) % 16 == 0 else 1
