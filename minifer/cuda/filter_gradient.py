"""Gradients of a convolution's filters and biases on a GPU's tensor core.

The text is in ``filter_gradient.cu``. It is compiled for the sizes of one layer; what
a block of threads works on is chosen here, see :func:`tiling`.
"""

import functools
import math

from ..device.arrays import device_of, shared_memory
from ..errors import SettingError, ShapeError
from .loader import kernel

__all__ = ["filter_gradient", "workspace", "tiling", "PRECISIONS"]

FILE = "filter_gradient.cu"
#: Blocks of a launch. A constant, and not the device's number of multiprocessors, so
#: that sums have the same order, and results the same bits, on every GPU.
BLOCKS = 132
#: Columns of a band, at most; fewer where two bands do not fit into shared memory.
MOST_COLUMNS = 16
MOST_WARPS = 20
PRECISIONS = ("tf32", "fp32")


@functools.lru_cache(maxsize=None)
def tiling(C, F, kh, kw, precision):
    """How a block of threads is made up.

    Parameters
    ----------
    C, F : int
        Channels and filters, multiples of 8.
    kh, kw : int
        Size of a filter, 1 to 7.
    precision : {'tf32', 'fp32'}

    Returns
    -------
    dict of str -> int
        ``WARPS_F`` by ``WARPS_C`` warps for each row of the filter, each with 16
        filters and ``TILES_C`` times 8 channels.
    """
    choices = [(f, c, tiles) for f in (1, 2, 4, 8) for c in (1, 2, 4, 8)
               for tiles in (1, 2, 4)
               if _registers(kw, tiles, precision) <= _registers_for(kh * f * c)]

    def cycles(choice):
        """Cycles of a multiprocessor for one column of a band, all channels, about."""
        f, c, tiles = choice
        blocks, warps = -(-F // (16 * f)) * -(-C // (8 * tiles * c)), kh * f * c
        products = (1.5 if precision == "tf32" else 4.5) * kw * tiles * warps
        reads = (4 + 2 * tiles) * warps
        # There are four schedulers, each with two warps at least, or it waits.
        turns = max(2, -(-warps // 4))
        return blocks * (max(products, reads) * 4 * turns / warps
                         + 16 * f + 8 * tiles * c)

    f, c, tiles = min(choices, key=cycles)
    return {"WARPS_F": f, "WARPS_C": c, "TILES_C": tiles}


def _registers(kw, tiles, precision):
    """How many registers a thread needs, about: for sums, columns of x, dz, the rest.

    In fp32 numbers are in two parts, and the sums of one band are kept apart. The
    rest is as the compiler has it: more for wide filters, of which more is unrolled.
    """
    parts = 1 if precision == "tf32" else 2
    return parts * (kw * tiles * (4 + 2) + 4) + (28 if kw <= 5 else 48)


def _registers_for(warps):
    """How many registers a thread can have in a block of so many warps."""
    return min(255, 512 // -(-warps // 4) // 8 * 8) if warps <= MOST_WARPS else 0


def workspace(N, H, W, C, F, filter_size):
    """How many floats of scratch :func:`filter_gradient` needs, in any precision.

    Parameters
    ----------
    N, H, W, C : int
        Shape of the layer's input, channels last.
    F : int
        Filters.
    filter_size : (int, int)

    Returns
    -------
    int
    """
    kh, kw = filter_size
    most = max(_splits(C, F, tiling(C, F, kh, kw, each)) for each in PRECISIONS)
    return most * (kh * kw * F * C + F)


def filter_gradient(x, dout, codes, dW, db, work, *, pad, pool, flip, scale=1.0,
                    precision):
    """The gradients of a convolution's filters and biases.

    The output was ``maxpool2x2(rectify(correlate(x, W) + b)) * keep * scale``, each
    part but the correlation being optional.

    Parameters
    ----------
    x : device array, shape (N, H, W, C)
        The input.
    dout : device array, shape (N, Ho, Wo, F)
        The gradient of the output.
    codes : device array of uint8, shape (N, Ho, Wo, F), or None
        The element of its window to which each number of ``dout`` goes, 0 … 3 =
        2*row + column (0 without pool), 4 = none. None: each goes to its one place.
    dW : device array, shape (F, C, kh, kw)
        Written.
    db : device array, shape (F,), or None
        Written.
    work : device array
        Scratch of at least :func:`workspace` numbers.
    pad : (int, int)
        Zeros around x.
    pool : bool
        Whether a 2×2 max-pooling was part of it.
    flip : bool
        Whether the layer turns its filters, as a true convolution does.
    scale : float
        Factor by which kept values were multiplied.
    precision : {'tf32', 'fp32'}

    Raises
    ------
    KernelError
        If an array's size does not fit the others'.
    ShapeError
        If a filter is larger than an image, or the kernel cannot do these sizes.
    SettingError
        If there is no such precision.
    """
    N, H, W, C = x.shape
    F, _, kh, kw = dW.shape
    if precision not in PRECISIONS:
        raise SettingError(f"precision: expected one of {', '.join(PRECISIONS)}, got "
                           f"{precision!r}.")
    if C % 8 or F % 8 or max(kh, kw) > 7:
        raise ShapeError("filter_gradient: expected channels and filters in multiples "
                         f"of 8, filters of 7x7 at most, got {C} channels, {F} filters "
                         f"of {kh}x{kw}.")
    tiles = tiling(C, F, kh, kw, precision)
    geometry = {"CHANNELS": C, "FILTERS": F, "HEIGHT": H, "WIDTH": W, "KH": kh,
                "KW": kw, "PH": pad[0], "PW": pad[1], "POOL": int(pool),
                "CODES": int(codes is not None), "TF32": int(precision == "tf32")}
    Ho, Wo = _out_size(geometry)
    defines, strips = _bands(shared_memory(device_of(x)), **geometry, **tiles)
    items = -(-N * Ho * (1 + pool) // 8) * strips
    splits = max(1, min(_splits(C, F, tiles), items))
    count = kh * kw * F * C + F
    # for (splits, kh*kw*F*C + F): each (kh, kw, F, C) of W, then (F,) of b
    partial = work.reshape(-1)[:splits * count]
    kernel(FILE, "filter_gradient", x, **defines)(
        x, dout, codes, partial, N, splits, items, N * Ho * Wo * F,
        grid=(splits, _blocks(C, F, tiles)), block=_threads(defines),
        shared=_shared(defines))
    kernel(FILE, "filter_gradient_sum", x, **defines)(
        partial, dW, db, splits, int(flip), scale, grid=-(-count // 32), block=(32, 8))


def _blocks(C, F, tiles):
    """Blocks of filters times blocks of channels."""
    return (-(-F // (16 * tiles["WARPS_F"]))
            * -(-C // (8 * tiles["TILES_C"] * tiles["WARPS_C"])))


def _splits(C, F, tiles):
    """Into how many sums each number of the gradient is split, at most."""
    return max(1, BLOCKS // _blocks(C, F, tiles))


@functools.lru_cache(maxsize=None)
def _bands(limit, **geometry):
    """Cut images into bands for which there is shared memory.

    Parameters
    ----------
    limit : int
        Bytes of shared memory that a block can have.
    **geometry : int
        All macros but those of the bands.

    Returns
    -------
    defines : dict of str -> int
        All macros.
    strips : int
        Bands side by side.
    """
    step = 2 if geometry["POOL"] else 1
    rows, columns = (n * step for n in _out_size(geometry))
    # Bands begin at multiples of 8 rows, so within an image at multiples of this:
    common = math.gcd(8, rows)
    d = {**geometry, "SPAN": 1 + (rows - common + 7) // rows}
    for strips in range(-(-columns // MOST_COLUMNS), columns // step + 1):
        d["COLS"] = -(-columns // (strips * step)) * step
        if _shared(d) <= limit:
            break
    return d, -(-columns // d["COLS"])


def _out_size(d):
    """Rows and columns of the output, (Ho, Wo)."""
    size = tuple((d[n] + 2 * d[p] - d[k] + 1) // (2 if d["POOL"] else 1)
                 for n, p, k in (("HEIGHT", "PH", "KH"), ("WIDTH", "PW", "KW")))
    if min(size) < 1:
        raise ShapeError("filter_gradient: expected images with at least one window of "
                         f"{d['KH']}x{d['KW']}, got {d['HEIGHT']}x{d['WIDTH']}.")
    return size


def _threads(d):
    """Threads of a block: a warp for each row of the filter and part of its tile."""
    return 32 * d["KH"] * d["WARPS_F"] * d["WARPS_C"]


def _shared(d):
    """Bytes of shared memory, as in the .cu: two bands of x and of dz, and of each
    thread, sums for the biases and what it has fetched of dout."""
    block_f, block_c = 16 * d["WARPS_F"], 8 * d["TILES_C"] * d["WARPS_C"]
    x = _pitch((d["COLS"] + d["KW"] - 1) * block_c) * (8 + d["SPAN"] * (d["KH"] - 1))
    dz = _pitch(d["COLS"] * block_f) * 8
    windows = 8 * d["COLS"] // (4 if d["POOL"] else 1)
    loads = -(-windows * block_f // (4 * _threads(d)))
    return 4 * (2 * (x + dz) + 4 * (1 + loads) * _threads(d))


def _pitch(n):
    """The next number that leaves 8 when divided by 32."""
    return n + (40 - n % 32) % 32
