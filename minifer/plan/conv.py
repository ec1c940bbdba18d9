"""Convolution, bias, ReLU and max-pooling in one step."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..errors import SettingError
from .geometry import Geometry
from .lowered import ColumnKernel, LoweredFilters, RowKernel
from .program import ZERO, cut, empty
from .winograd import WinogradFilters, WinogradKernel

__all__ = ["FusedConv", "ALGORITHMS", "choose"]

ALGORITHMS = ("auto", "im2col", "row", "winograd")

# A thread's buffers for one group of images should about fill its own cache.
CACHE_BYTES = 4 * 2 ** 20


def choose(layer, pool, algorithm="auto"):
    """Pick the algorithm for a convolution by its shape.

    Winograd needs stride 1 and square filters of side 3 or 5, and pays where
    there are enough channels for its products to outweigh its transforms.

    Parameters
    ----------
    layer : Conv2DLayer
    pool : bool
        Whether a 2×2 max-pooling follows.
    algorithm : {'auto', 'im2col', 'row', 'winograd'}
        A wish; 'winograd' falls back to 'row' where it is not possible.

    Returns
    -------
    name : str
    m : int
        Side of a tile.
    """
    if algorithm not in ALGORITHMS:
        raise SettingError(
            f"algorithm: expected one of {', '.join(ALGORITHMS)}, got {algorithm!r}.")
    C, (kh, kw) = layer.input_shape[1], layer.filter_size
    Ho, Wo = layer.output_shape[2:]
    fits = layer.stride == (1, 1) and kh == kw and kh in (3, 5)
    pays = C >= 8 and layer.num_filters >= 8 and min(Ho, Wo) >= 4
    if fits and (algorithm == "winograd" or (algorithm == "auto" and pays)):
        return "winograd", 4
    if algorithm == "im2col" or (algorithm == "auto" and C * kw < 32 and kh * kw > 1):
        return "im2col", 2 if pool else 1
    return "row", 2 if pool else 1


class FusedConv:
    """A Conv2DLayer with what can be done in the same breath.

    Parameters
    ----------
    conv : Conv2DLayer
    relu : bool
        Whether ReLU follows.
    pool : bool
        Whether a 2×2 max-pooling of stride 2 follows.
    batch : int
        Most images at once.
    training : bool
    need_dx : bool
        Whether anything below learns.
    algorithm : str
        See :func:`choose`.
    """

    def __init__(self, conv, relu, pool, batch, training, need_dx, algorithm="auto"):
        self.conv, self.relu, self.pool = conv, relu, pool
        self.training, self.need_dx = training, need_dx
        self.algorithm, m = choose(conv, pool, algorithm)
        _, C, H, Wd = conv.input_shape
        self.geometry = g = Geometry(H, Wd, C, conv.num_filters, *conv.filter_size,
                                     *conv.stride, *conv.pad, pool, m)
        Hp, Wp = g.padded
        self.x = np.zeros((batch, Hp, Wp, C), np.float32)
        self.inside = self.x[:, g.ph:g.ph + H, g.pw:g.pw + Wd]
        self.own_out = self.out = None
        self.filters = (WinogradFilters if self.algorithm == "winograd"
                        else LoweredFilters)(g)
        self.bias = np.zeros(g.F, np.float32)
        if training and pool:
            size = batch * g.tiles[0] * g.tiles[1] * g.F * g.step ** 2
            self.row_mask = np.empty(size, bool)
            self.column_mask = np.empty(2 * size, bool)

    @property
    def group(self):
        """How many images at a time fill the cache."""
        g = self.geometry
        numbers = (g.m + g.kh - 1) ** 2 * g.tiles[0] * g.tiles[1] * max(g.C, g.F) * 4
        return max(1, CACHE_BYTES // (4 * numbers))

    def write_to(self, target=None):
        """Choose where the output goes: the next convolution's input, say.

        Parameters
        ----------
        target : array, shape (batch, Ho', Wo', F), optional
            Default: a buffer of its own.
        """
        if target is None:
            shape = (len(self.x),) + self.geometry.out_size + (self.geometry.F,)
            target = self.own_out = np.empty(shape, np.float32)
        self.out = target

    def make_workers(self, count, k):
        """One kernel and scratch for each thread."""
        g = self.geometry
        Kernel = {"winograd": WinogradKernel, "im2col": ColumnKernel,
                  "row": RowKernel}[self.algorithm]
        self.kernels = [Kernel(g, k, self.training) for _ in range(count)]
        pooled = k * g.tiles[0] * g.tiles[1] * g.F * g.step ** 2
        self.scratch = [_Scratch(pooled, g) for _ in range(count)]

    def begin(self):
        """Take over the parameters' current values."""
        W = self.conv.W.value
        self.filters.set(W[:, :, ::-1, ::-1] if self.conv.flip_filters else W)
        if self.conv.b is not None:
            self.bias[...] = self.conv.b.value
        if self.training:
            for kernel, scratch in zip(self.kernels, self.scratch):
                kernel.dU[...] = 0
                scratch.db[...] = 0

    def forward(self, do, worker, images):
        """Note the calls that fill ``out[images]`` from ``x[images]``."""
        g, s = self.geometry, self.scratch[worker]
        p = y = self.kernels[worker].forward(do, self.x[images], self.filters)
        if self.pool:
            left, right = y[:, 0::2], y[:, 1::2]
            wide = cut(s.wide, *left.shape)
            top, bottom = wide[0::2], wide[1::2]
            p = cut(s.small, *top.shape)
            do(np.maximum, left, right, out=wide)
            do(np.maximum, top, bottom, out=p)
            if self.training:
                columns, rows = self._masks(images)
                do(np.greater_equal, left, right, out=columns)
                do(np.greater_equal, top, bottom, out=rows)
        if self.conv.b is not None:
            do(np.add, p, self.bias, out=p)
        out = self.out[images]
        if self.exact:
            if self.relu:
                do(np.maximum, p, ZERO, out=p)
            do(np.copyto, self._tiled(out), p.transpose(2, 3, 0, 4, 1, 5))
            return
        for i, j, rows, cols in self._places():
            place, tiles = out[:, i::g.step, j::g.step], p[i, j, :, :rows, :cols]
            if self.relu:
                do(np.maximum, tiles, ZERO, out=place)
            else:
                do(np.copyto, place, tiles)

    def backward(self, do, worker, images, dout):
        """Note the calls that collect the parameters' gradients.

        Parameters
        ----------
        dout : array of ``out[images]``'s shape

        Returns
        -------
        array, shape (k, H, W, C), or None
            Where dx will stand, if it is needed.
        """
        g, s, kernel = self.geometry, self.scratch[worker], self.kernels[worker]
        k = images.stop - images.start
        dp = cut(s.small, g.step, g.step, k, *g.tiles, g.F)
        out = self.out[images]
        if self.exact:
            if self.relu:
                on, masked = cut(s.on, *out.shape), cut(s.masked, *out.shape)
                do(np.greater, out, ZERO, out=on)
                do(np.multiply, dout, on, out=masked)
                dout = masked
            do(np.copyto, dp.transpose(2, 3, 0, 4, 1, 5), self._tiled(dout))
        for i, j, rows, cols in () if self.exact else self._places():
            d, place = dout[:, i::g.step, j::g.step], dp[i, j]
            inside = place[:, :rows, :cols]
            if rows < g.tiles[0]:
                do(np.copyto, place[:, rows:], ZERO)
            if cols < g.tiles[1]:
                do(np.copyto, place[:, :, cols:], ZERO)
            if self.relu:
                on = cut(s.on, *inside.shape)
                do(np.greater, out[:, i::g.step, j::g.step], ZERO, out=on)
                do(np.multiply, d, on, out=inside)
            else:
                do(np.copyto, inside, d)
        flat = dp.reshape(-1, g.F)
        do(np.matmul, s.ones[:len(flat)], flat, out=s.db_part)
        do(np.add, s.db, s.db_part, out=s.db)
        dy = kernel.gradient_buffer(k)
        if self.pool:  # to the first maximum: rows first, then columns
            columns, rows = self._masks(images)
            wide = cut(s.wide, *columns.shape)
            do(np.multiply, dp, rows, out=wide[0::2])
            do(np.subtract, dp, wide[0::2], out=wide[1::2])
            do(np.multiply, wide, columns, out=dy[:, 0::2])
            do(np.subtract, wide, dy[:, 0::2], out=dy[:, 1::2])
        else:
            do(np.copyto, dy, dp)
        dx = kernel.backward(do, self.x[images], dy, self.filters, self.need_dx)
        if dx is None:
            return None
        return dx[:, g.ph:g.ph + g.H, g.pw:g.pw + g.W]

    def gradients(self):
        """Parameter gradients of all images, summed over threads in order."""
        dW = self.filters.gradient(sum(kernel.dU for kernel in self.kernels))
        if self.conv.flip_filters:
            dW = np.ascontiguousarray(dW[:, :, ::-1, ::-1])
        found = {self.conv.W: dW}
        if self.conv.b is not None:
            found[self.conv.b] = sum(s.db for s in self.scratch)
        return found

    @property
    def nbytes(self):
        """Bytes in all buffers."""
        arrays = [self.x] + ([] if self.own_out is None else [self.own_out])
        if self.training and self.pool:
            arrays += [self.row_mask, self.column_mask]
        for kernel, scratch in zip(self.kernels, self.scratch):
            arrays += kernel.buffers + scratch.buffers
        return sum(a.nbytes for a in arrays)

    def _masks(self, images):
        """Where the left column, and the upper row, held the maximum."""
        g, k = self.geometry, images.stop - images.start
        size = g.tiles[0] * g.tiles[1] * g.F * g.step ** 2
        tail = (k,) + g.tiles + (g.F,)
        part = slice(images.start * size, images.stop * size)
        rows = self.row_mask[part].reshape((g.step, g.step) + tail)
        part = slice(images.start * 2 * size, images.stop * 2 * size)
        return self.column_mask[part].reshape((g.m, g.step) + tail), rows

    @property
    def exact(self):
        """Whether tiles larger than a pixel cover the output without overhang."""
        g = self.geometry
        return g.step > 1 and all(n * g.step == size
                                  for n, size in zip(g.tiles, g.out_size))

    def _tiled(self, out):
        """Images (k, Ho, Wo, F) as tiles (k, th, step, tw, step, F)."""
        g, (sk, sr, sc, s1) = self.geometry, out.strides
        shape = (len(out), g.tiles[0], g.step, g.tiles[1], g.step, g.F)
        return as_strided(out, shape, (sk, g.step * sr, sr, g.step * sc, sc, s1))

    def _places(self):
        """Places (i, j) in a pooled tile, and how many tiles have them inside."""
        g = self.geometry
        Ho, Wo = g.out_size
        for i in range(g.step):
            for j in range(g.step):
                yield i, j, -(-(Ho - i) // g.step), -(-(Wo - j) // g.step)


class _Scratch:
    """One thread's buffers around a kernel."""

    def __init__(self, pooled, geometry):
        self.small = empty(pooled)
        self.wide = empty(2 * pooled if geometry.pool else 0)
        self.ones = np.ones(pooled // geometry.F, np.float32)
        self.db = np.zeros(geometry.F, np.float32)
        self.db_part = np.zeros(geometry.F, np.float32)
        self.on, self.masked = np.empty(pooled, bool), empty(pooled)

    @property
    def buffers(self):
        return list(vars(self).values())
