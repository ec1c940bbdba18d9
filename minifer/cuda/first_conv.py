"""A network's first convolution, of one to four channels, and its gradients.

The text is in ``first_conv.cu``. It is compiled for the sizes of one layer.
"""

import functools

from ..errors import ShapeError
from .loader import kernel

__all__ = ["supported", "forward", "filter_gradient", "workspace"]

FILE = "first_conv.cu"
#: Blocks that share the gradient's sum: three for each multiprocessor of an H200. A
#: constant, so that results have the same bits on every GPU.
BLOCKS = 396
#: Columns of z that a block works on at most, so that x fits into shared memory.
MOST_COLUMNS = 128


def supported(C, F, kh, kw, pad):
    """Whether the kernels can do a convolution of stride 1.

    Parameters
    ----------
    C, F : int
        Channels and filters.
    kh, kw : int
        Size of a filter.
    pad : (int, int)
        Zeros around x.

    Returns
    -------
    bool

    Examples
    --------
    >>> supported(1, 32, 5, 5, (0, 0))
    True
    >>> supported(32, 32, 5, 5, (0, 0))
    False
    """
    ph, pw = pad
    return (1 <= C <= 4 and F % 8 == 0 and 1 <= kh <= 7 and 1 <= kw <= 7
            and 0 <= ph < kh and 0 <= pw < kw)


def forward(x, W, b, out, codes, *, pad, flip, relu, pool, keep=None, scale=1.0,
            after=None):
    """Convolution, 2×2 max-pooling, bias, ReLU and dropout in one.

    Parameters
    ----------
    x : device array, shape (N, H, W, C)
    W : device array, shape (F, C, kh, kw)
        The filters as the layer stores them.
    b : device array, shape (F,), or None
    out : device array, shape (N, Ho, Wo, F)
        Written.
    codes : device array of uint8, shape (N, Ho, Wo, F), or None
        Written: the element of its window to which the gradient goes, 0 … 3 = 2*row
        + column of the first maximum (0 without pool), 4 = none.
    pad : (int, int)
        Zeros around x.
    flip : bool
        Whether the layer turns its filters, as a true convolution does.
    relu, pool : bool
    keep : device array of bool or uint8, shape (N, F, Ho, Wo), or None
        The outputs that dropout keeps.
    scale : float
        Factor by which dropout multiplies them.
    after : device array, shape (3, F), or None
        What :func:`minifer.cuda.folding.fold` left to be done behind pooling.

    Raises
    ------
    ShapeError
        If a filter is larger than an image, or the kernels cannot do these sizes.
    KernelError
        If an array's size does not fit the others'.
    """
    N, H, width, C = x.shape
    F, _, kh, kw = W.shape
    d, bands, outputs = _plan((H, width, C), F, (kh, kw), tuple(pad), bool(pool),
                              bool(relu))
    window = -(-(d["STRIP"] + kw - 1) // 4) * 4
    pixels = (16 + kh - 1) * ((d["STRIPS"] - 1) * d["STRIP"] + window)
    d = d if after is None else {**d, "AFTER": 1}
    kernel(FILE, "first_conv_forward", x, **d)(
        x, W, b, out, codes, keep, after, N, int(flip), scale, N * outputs,
        grid=(N * bands, F // d["LANES"]), block=256,
        shared=4 * C * (pixels + kh * kw * d["LANES"]))


def workspace(N, H, W, C, F, filter_size):
    """How many floats of scratch :func:`filter_gradient` needs.

    Parameters
    ----------
    N, H, W, C : int
        Shape of the input, channels last.
    F : int
        Filters.
    filter_size : (int, int)

    Returns
    -------
    int
    """
    kh, kw = filter_size
    return BLOCKS * (kh * kw * F * C + F)


def filter_gradient(x, dout, codes, dW, db, work, *, pad, pool, flip, scale=1.0):
    """The gradients of the filters and biases.

    Parameters
    ----------
    x : device array, shape (N, H, W, C)
        The input.
    dout : device array, shape (N, Ho, Wo, F)
        The gradient of the output.
    codes : device array of uint8, shape (N, Ho, Wo, F), or None
        Codes from :func:`forward`. None: each number goes to its one place.
    dW : device array, shape (F, C, kh, kw)
        Written.
    db : device array, shape (F,), or None
        Written.
    work : device array
        Scratch of at least :func:`workspace` numbers.
    pad, pool, flip, scale
        As for :func:`forward`.

    Raises
    ------
    ShapeError, KernelError
        As :func:`forward`.
    """
    N, H, W, C = x.shape
    F, _, kh, kw = dW.shape
    d, bands, outputs = _plan((H, W, C), F, (kh, kw), tuple(pad), bool(pool), True)
    splits = max(1, min(BLOCKS // (F // d["LANES"]), N * bands))
    # for (splits, kh*kw*F*C + F): each (kh, kw, F, C) of W, then (F,) of b
    partial = work.reshape(-1)[:splits * (kh * kw * F * C + F)]
    step, chunk = (2, 4) if pool else (1, 8)
    cols = -(-d["STRIP"] * d["STRIPS"] // (step * chunk)) * step * chunk + kw - 1
    pixels = (16 + kh - 1) * (cols + (3 if (cols + 1) % 32 < 3 else 0))
    kernel(FILE, "first_conv_gradient", x, **d)(
        x, dout, codes, partial, N, splits, N * outputs,
        grid=(splits, F // d["LANES"]), block=32 * (8 // C * C),
        shared=4 * C * max(pixels, (kh * kw + 1) * d["LANES"]))
    kernel(FILE, "first_conv_gradient_sum", x, **d)(
        partial, dW, db, splits, int(flip), scale,
        grid=-(-(kh * kw * F * C + F) // 32), block=(32, 8))


@functools.lru_cache(maxsize=None)
def _plan(x_shape, F, size, pad, pool, relu):
    """The macros to compile with, and an image's number of bands and of outputs."""
    H, W, C = x_shape
    (kh, kw), (ph, pw) = size, pad
    if not supported(C, F, kh, kw, pad):
        raise ShapeError("first_conv: expected 1 to 4 channels, filters in multiples "
                         "of 8, of 7x7 at most and larger than the padding, got "
                         f"{C} channels, {F} filters of {kh}x{kw}, padding {pad}.")
    step = 2 if pool else 1
    Ho, Wo = ((n + 2 * p - k + 1) // step for n, p, k in zip((H, W), pad, size))
    if min(Ho, Wo) < 1:
        raise ShapeError("first_conv: expected images with at least one window of "
                         f"{kh}x{kw}, got {H}x{W}.")
    rows, columns = Ho * step, Wo * step
    # The longer a strip, the fewer reads; the better it divides the row, the less is
    # done in vain.
    strip = min((16, 12, 8), key=lambda n: (-(-columns // n) * n, -n))
    strips = min(-(-columns // strip), MOST_COLUMNS // strip)
    lanes = next(n for n in (32, 16, 8) if F % n == 0)
    bands = -(-rows // 16) * -(-columns // (strip * strips))
    defines = {"CHANNELS": C, "FILTERS": F, "HEIGHT": H, "WIDTH": W, "KH": kh,
               "KW": kw, "PH": ph, "PW": pw, "POOL": int(pool), "RELU": int(relu),
               "LANES": lanes, "STRIP": strip, "STRIPS": strips}
    return defines, bands, Ho * Wo * F
