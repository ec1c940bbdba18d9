"""Convolution with all that follows it, in one kernel, of ``fused_conv.cu``.

Images are channels-last: device arrays (N, H, W, C), contiguous float32. They and the
packed filters begin at multiples of 16 bytes, as every newly made array does. Nothing
is allocated, and nothing is done but to launch kernels, so that a step may be captured.

``codes``, uint8 of the output's shape, say where the gradient of each value goes: 0...3
is 2 * row + column of the first maximum in its 2x2 window (0 without pooling), 4 is
nowhere, because ReLU or dropout let nothing through.
"""

import functools
from dataclasses import dataclass, replace

from ..device.arrays import device_of, shared_memory
from ..errors import KernelError, SettingError, ShapeError
from . import wide_conv
from .loader import kernel

__all__ = ["supported", "pack_filters", "forward", "input_gradient", "Tiling",
           "compiled_for"]

FILE = "fused_conv.cu"

#: Registers that a thread may have, and warps a block: two for each quarter of a
#: multiprocessor, which has registers for no more of this size.
REGISTERS, WARPS = 254, 8
RESERVED = 1024  # bytes of shared memory that each block takes besides its own


def supported(C, F, kh, kw, pad):
    """Whether the kernels can do a convolution of stride 1.

    Parameters
    ----------
    C, F : int
        Channels of the input, and filters.
    kh, kw : int
        Size of a filter.
    pad : (int, int)
        Zeros around the image, (ph, pw).

    Returns
    -------
    bool

    Examples
    --------
    >>> supported(32, 64, 3, 3, (1, 1)), supported(1, 32, 5, 5, (0, 0))
    (True, False)
    """
    ph, pw = pad
    return (C > 0 and F > 0 and C % 8 == 0 and F % 8 == 0
            and 1 <= kh <= 7 and 1 <= kw <= 7 and 0 <= ph < kh and 0 <= pw < kw)


def pack_filters(W, packed, transposed, *, flip):
    """Sort filters into the order in which the kernels take them.

    Parameters
    ----------
    W : device array, shape (F, C, kh, kw)
    packed : device array of W.size elements
        Written: the filters for :func:`forward`.
    transposed : device array of W.size elements, or None
        Written: those for :func:`input_gradient`.
    flip : bool
        Whether the layer convolves, so that it correlates with
        ``W[:, :, ::-1, ::-1]``.
    """
    for target, swapped in ((packed, False), (transposed, True)):
        if target is not None:
            kernel(FILE, "fused_pack", W)(W, target, *W.shape, bool(flip) != swapped,
                                          swapped, threads=W.size)


def forward(x, packed, b, out, codes, *, filter_size, pad, relu, pool, keep=None,
            scale=1.0, after=None, precision):
    """Correlate, add a bias, and as wanted rectify, pool, drop out.

    ``z = max over the window of correlate(x, W) + b``, ``out = max(z, 0) * keep *
    scale``. NaN comes through all of it.

    Parameters
    ----------
    x : device array, shape (N, H, W, C)
    packed : device array of F*C*kh*kw elements
        Filters from :func:`pack_filters`.
    b : device array, shape (F,), or None
    out : device array, shape (N, Ho, Wo, F)
        Written. Ho = H + 2 ph - kh + 1, halved (rounded down) if ``pool``; so is Wo.
    codes : device array of uint8, shape (N, Ho, Wo, F), or None
        Written.
    filter_size, pad : (int, int)
        (kh, kw) and the zeros around an image, (ph, pw).
    relu, pool : bool
        Whether ReLU follows, and a 2x2 max-pooling of stride 2.
    keep : device array of bool or uint8, shape (N, F, Ho, Wo), or None
        Channels first. What is not kept becomes 0, what is kept is multiplied by
        ``scale``.
    scale : float
    after : device array, shape (3, F), or None
        What :func:`minifer.cuda.folding.fold` left to be done behind pooling.
    precision : {'tf32', 'fp32'}
        Products of numbers of 11 bits (relative error about 3e-4), or three of them,
        as accurate as float32.

    Raises
    ------
    ShapeError, SettingError, KernelError
        If the layer is not :func:`supported`, for another precision, if an array does
        not fit.
    """
    macros, tiles, _ = compiled_for(
        x.shape, out.shape, filter_size=filter_size, pad=pad, pool=bool(pool),
        precision=precision, memory=_memory(device_of(x)))
    macros = macros if after is None else {**macros, "AFTER": 1}
    scale = 1 if keep is None else scale
    if wide_conv.chosen(x, out, filter_size, precision):
        return wide_conv.forward(x, packed, b, out, codes, macros, pool=bool(pool),
                                 relu=bool(relu), keep=keep, scale=scale, after=after)
    kernel(FILE, "fused_forward", x, **macros)(
        x, packed, b, keep, out, codes, after, len(x), bool(relu), scale,
        grid=tiles.blocks(len(x)), block=tiles.threads, shared=tiles.shared)


def input_gradient(dout, codes, transposed, dx, *, filter_size, pad, pool, scale=1.0,
                   precision):
    """Gradient of :func:`forward` with respect to ``x``.

    Each value of ``dout`` goes to the place that its code names, and what results is
    correlated with the turned filters, with zeros around it.

    Parameters
    ----------
    dout : device array, shape (N, Ho, Wo, F)
    codes : device array of uint8, shape (N, Ho, Wo, F), or None
        As :func:`forward` wrote them; None if there was neither ReLU nor pooling nor
        dropout.
    transposed : device array of F*C*kh*kw elements
        Filters from :func:`pack_filters`.
    dx : device array, shape (N, H, W, C)
        Written.
    filter_size, pad, pool, scale, precision
        As in :func:`forward`.

    Raises
    ------
    ShapeError, SettingError, KernelError
        As :func:`forward`; if ``codes`` are missing with ``pool``.
    """
    if pool and codes is None:
        raise SettingError("input_gradient: expected codes with pool=True, got none. "
                           "Give the codes that forward wrote.")
    macros, _, tiles = compiled_for(
        dx.shape, dout.shape, filter_size=filter_size, pad=pad, pool=bool(pool),
        precision=precision, memory=_memory(device_of(dx)))
    kernel(FILE, "fused_input_gradient", dout, **macros)(
        dout, codes, transposed, dx, len(dx), scale,
        grid=tiles.blocks(len(dx)), block=tiles.threads, shared=tiles.shared)


# --- tiles ------------------------------------------------------------------

@dataclass(frozen=True)
class Tiling:
    """How a correlation is cut into tiles; see Tiling of ``fused_conv.cuh``.

    Attributes
    ----------
    C, F, rows, cols, kh, kw, top, left, cell : int
        Sizes of the correlation.
    precision : {'tf32', 'fp32'}
    memory : int
        Bytes of shared memory that a block can have.
    octets, wide, across, down : int
        Filters of a block, by eight; columns of a warp; warps of a block side by side
        and one below another.
    """

    C: int
    F: int
    rows: int
    cols: int
    kh: int
    kw: int
    top: int
    left: int
    cell: int
    precision: str
    memory: int
    octets: int = 1
    wide: int = 2
    across: int = 1
    down: int = 1

    @property
    def threads(self):
        return 32 * self.across * self.down

    @property
    def col_tiles(self):
        return -(-self.cols // (self.wide * self.across))

    def blocks(self, N):
        """Number of blocks in the grid for N images."""
        row_tiles = -(-N * self._pairs // (8 * self.down))
        return row_tiles * self.col_tiles * (self.F // 8 // self.octets)

    @property
    def _pairs(self):
        return -(-self.rows // 2)

    @property
    def stage_rows(self):
        """Image rows held in shared memory."""
        tile, pairs = 8 * self.down, self._pairs
        images = (1 if pairs % tile == 0 else tile // pairs if tile % pairs == 0
                  else 1 - (1 - tile) // pairs)
        return 2 * (tile + images * ((self.kh + self.top % self.cell) // 2))

    @property
    def stage_cols(self):
        cols = self.wide * self.across + self.kw - 1 + self.left % self.cell
        return -(-cols // self.cell) * self.cell

    @property
    def cells(self):
        """Cells of a stage; each brings four channels."""
        return 2 * self.stage_rows * self.stage_cols // self.cell ** 2

    @property
    def shared(self):
        """Bytes of shared memory: two stages of eight channels each, and a table."""
        stage = (self.stage_rows * (8 * self.stage_cols + 4)
                 + self.kh * self.kw * self.octets * 64)
        return 2 * 4 * stage + 8 * self.cells

    @property
    def registers(self):
        """Registers of a thread, about: sums, image fragments, loads, the rest."""
        splits = 2 if self.precision == "fp32" else 1
        sums = 4 * self.wide * self.octets
        fragments = 4 * (self.wide + self.kw - 1) * splits
        loaded = (7 * -(-self.cells // (self.kh * self.threads))
                  + 4 * -(-16 * self.kw * self.octets // self.threads))
        return sums + fragments + loaded + 45

    @property
    def cost(self):
        """Cost of one output, roughly in cycles of a multiprocessor.

        A product takes 2 where all four quarters are at work, a load of a fragment 1
        or 2, a copy of 16 bytes 1/2. A block that is alone there has nothing to do
        while it waits: at barriers, for its first octet, for its results to leave.
        """
        warps, taps = self.across * self.down, self.kh * self.kw
        product = 6 if self.precision == "fp32" else 2
        products = product * taps * self.octets * self.wide
        loads = 4 * self.kh * (self.wide + self.kw - 1) + 2 * taps * self.octets
        copies = self.stage_rows * self.stage_cols + 8 * taps * self.octets
        cycles = ((products + loads) * 4 * -(-warps // 4) + copies) * self.C // 8
        two_fit = 2 * (self.shared + RESERVED) <= self.memory + RESERVED
        if not two_fit or warps > WARPS // 2:
            cycles = 1.2 * cycles + 5000
        return cycles * self.col_tiles / (16 * self.down * self.cols * self.octets)


@functools.lru_cache(maxsize=None)
def compiled_for(x_shape, out_shape, *, filter_size, pad, pool, precision,
                 memory=227 * 1024):
    """How the kernels are made for a layer.

    Parameters
    ----------
    x_shape, out_shape : tuple of int
        (N, H, W, C) and (N, Ho, Wo, F).
    filter_size, pad, pool, precision
        As in :func:`forward`.
    memory : int
        Bytes of shared memory that a block can have; by default, Hopper's.

    Returns
    -------
    macros : dict of str -> int
        Macros with which ``fused_conv.cu`` is compiled.
    forward, back : Tiling
        The tiles that the macros describe.

    Raises
    ------
    ShapeError
        If the shapes do not belong together, or the layer is not :func:`supported`.
    SettingError
        For another precision.
    """
    (N, H, W, C), F = x_shape, out_shape[-1]
    (kh, kw), (ph, pw), cell = filter_size, pad, 2 if pool else 1
    if precision not in ("tf32", "fp32"):
        raise SettingError("precision: expected 'tf32' or 'fp32', got "
                           f"{precision!r}.")
    if not supported(C, F, kh, kw, pad):
        raise ShapeError(
            "fused convolution: expected channels and filters in multiples of 8, of "
            f"1x1 to 7x7, larger than the padding, got {C} channels, {F} filters of "
            f"{kh}x{kw}, padding {tuple(pad)}.")
    Ho, Wo = (H + 2 * ph - kh + 1) // cell, (W + 2 * pw - kw + 1) // cell
    if tuple(out_shape) != (N, Ho, Wo, F) or min(Ho, Wo) < 1:
        raise ShapeError(f"fused convolution: expected (N, Ho, Wo, F) = {N, Ho, Wo, F} "
                         f"of (N, H, W, C) = {N, H, W, C}, got {tuple(out_shape)}.")
    forward = _best(Tiling(C, F, cell * Ho, cell * Wo, kh, kw, ph, pw, 1, precision,
                           memory))
    back = _best(Tiling(F, C, H, W, kh, kw, kh - 1 - ph, kw - 1 - pw, cell, precision,
                        memory))
    macros = {"CHANNELS": C, "FILTERS": F, "HEIGHT": H, "WIDTH": W, "KH": kh, "KW": kw,
              "PH": ph, "PW": pw, "POOL": int(pool), "OUT_H": Ho, "OUT_W": Wo,
              "TF32": int(precision == "tf32")}
    for name, tiles in (("FORWARD", forward), ("BACK", back)):
        macros |= {f"{name}_OCTETS": tiles.octets, f"{name}_WIDE": tiles.wide,
                   f"{name}_ACROSS": tiles.across, f"{name}_DOWN": tiles.down}
    return macros, forward, back


def _best(tiling):
    """The cheapest tiles that fit into shared memory and registers."""
    found = [replace(tiling, octets=octets, wide=wide, across=across, down=down)
             for octets in (4, 3, 2, 1) if tiling.F // 8 % octets == 0
             for wide in (6, 4, 2) for across in range(1, WARPS + 1)
             for down in range(1, WARPS // across + 1)]
    fitting = [one for one in found
               if one.shared <= one.memory and one.registers <= REGISTERS]
    if not fitting:
        least = min(one.shared for one in found)
        raise KernelError(f"fused convolution: expected at least {least} bytes of "
                          f"shared memory for a block, got {tiling.memory}.")
    return min(fitting, key=lambda one: one.cost)


@functools.lru_cache(maxsize=None)
def _memory(device):
    """Bytes of shared memory that a block can have; asking takes a while."""
    return shared_memory(device)
