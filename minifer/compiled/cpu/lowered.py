"""Convolution as plain matrix products on a few images at a time.

Three ways to lower an image to a matrix, all with channels last:

- :class:`ColumnKernel`, im2col laid on its side: for few channels, where a
  window's row is only a handful of numbers, each of the kh·kw·C places in a
  window is copied as one long row.
- :class:`RowKernel`, lowered along the width only (Cho & Brand 2017, "MEC:
  memory-efficient convolution for deep neural network"): windows that lie below
  one another share their rows, so each kernel row is one product on a shifted
  view, and a fifth of im2col's memory suffices for a 5×5 filter.
- :class:`WindowKernel`, im2col with a row for each window, for strides, 1×1 filters
  and small images: one product for all windows of all images, where RowKernel has one
  for each image. 1×1 filters with stride 1 need no copy.

Axes: k images of a group; th, tw rows and columns of tiles; m the side of a tile; Hp,
Wp the padded input; Sh, Sw the side of what the windows of a tile cover.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..steps import pieces
from .program import ALONE, PIECE, ZERO, Desk

__all__ = ["LoweredFilters", "Kernel", "ColumnKernel", "RowKernel", "WindowKernel"]


class LoweredFilters:
    """What all threads share of one step: the filters as a matrix.

    Attributes
    ----------
    flat : array, shape (kh*kw*C + 1, F)
        The last row is the bias.
    rows : array, shape (kh, kw*C, F)
        The same without the bias, by rows of the filter.
    back : array of flat's shape
        What the gradient of the input is made with.
    """

    def __init__(self, geometry, training=True):
        g = self.geometry = geometry
        self.gradient_shape = g.kh, g.kw * g.C, g.F
        self.flat = np.empty((g.kh * g.kw * g.C + 1, g.F), np.float32)
        self.rows = self.flat[:-1].reshape(self.gradient_shape)
        self.back = self.flat

    @property
    def arrays(self):
        """All of its arrays."""
        return [self.flat] if self.back is self.flat else [self.flat, self.back]

    @property
    def gradient_bytes(self):
        """Bytes of the filters' gradient as kernels compute it."""
        return 4 * math.prod(self.gradient_shape)

    def set(self, W, bias, run=ALONE, back=True):
        """Lay out correlation filters W (F, C, kh, kw) and bias (F,)."""
        g = self.geometry
        elements, W = self.rows.reshape(g.kh, g.kw, g.C, g.F), W.transpose(2, 3, 1, 0)

        def share(worker, start, stop):
            np.copyto(elements[:, :, start:stop], W[:, :, start:stop])

        run(share, g.C, least=-(-PIECE // W[:, :, 0].size))
        self.flat[-1] = bias

    def scale(self, slope, run=ALONE):
        """Let gradients of the input count by slope (F,) for each filter."""
        if self.back is self.flat:
            self.back = np.empty_like(self.flat)

        def share(worker, start, stop):
            np.multiply(self.flat[start:stop], slope, out=self.back[start:stop])

        run(share, len(self.flat), least=-(-PIECE // len(slope)))

    def gradient(self, dU, out, run=ALONE, slope=None):
        """As that of :class:`minifer.compiled.cpu.winograd.WinogradFilters`."""
        g = self.geometry
        dU = dU.reshape(g.kh, g.kw, g.C, g.F)
        few = -(-PIECE // dU[:, :, 0].size)

        def share(worker, start, stop):
            for some in pieces(start, stop, few):
                dW = dU[:, :, some]
                if slope is not None:  # while the filters lie side by side
                    dW *= slope
                np.copyto(out[:, some], dW.transpose(3, 2, 0, 1))

        run(share, g.C, least=few)


class Kernel:
    """Sizes and buffers that the kernels share."""

    adds_bias = False

    def __init__(self, geometry, k, training, desk=None, dx="dx"):
        self.geometry, self.k, self.desk, self.dx = geometry, k, desk or Desk(), dx
        g, self.sizes = geometry, {}
        self.m, (self.th, self.tw), (self.Hp, self.Wp) = g.m, g.tiles, g.padded
        self._ask(y=g.m * g.m * k * self.th * self.tw * g.F)
        if training:
            self._ask(**{dx: k * self.Hp * self.Wp * g.C})  # for (k, Hp, Wp, C)

    def _ask(self, **sizes):
        self.sizes |= sizes
        self.desk.ask(**sizes)

    def gradient_buffer(self, k):
        """Where the caller writes dY."""
        return self.desk.cut("y", self.m, self.m, k, self.th, self.tw, self.geometry.F)

    @property
    def kept(self):
        """Arrays of its own."""
        return []

    @property
    def nbytes(self):
        """Bytes that it works on."""
        return 4 * sum(self.sizes.values()) + sum(a.nbytes for a in self.kept)


class ColumnKernel(Kernel):
    """im2col with one long row for each place in a window.

    One more row, of ones, meets the bias below the filters: the product adds the
    bias, and the product of backward sums up its gradient.

    Parameters
    ----------
    geometry, k, training
        As for :class:`minifer.compiled.cpu.winograd.WinogradKernel`.
    """

    adds_bias = True

    def __init__(self, geometry, k, training, desk=None, dx="dx"):
        super().__init__(geometry, k, training, desk, dx)
        g, m = geometry, geometry.m
        self.shifts = ((m - 1) * g.sh + g.kh, (m - 1) * g.sw + g.kw)
        P = k * self.th * self.tw
        # for (Sh, Sw, C, k, th, tw)
        self._ask(planes=self.shifts[0] * self.shifts[1] * g.C * P)
        # A buffer of its own, in which the row of ones stays.
        self.columns = np.ones((g.kh * g.kw * g.C + 1, m * m * P), np.float32)
        if training:
            self._ask(spare=(g.kh * g.kw * g.C + 1) * g.F)  # for (kh*kw*C + 1, F)

    def forward(self, do, x, filters):
        """See :meth:`WinogradKernel.forward`."""
        g, m, k = self.geometry, self.m, len(x)
        columns = self._columns(do, x)  # (kh*kw*C + 1, m*m*k*th*tw)
        Y = self.desk.cut("y", columns.shape[1], g.F)  # (m*m*k*th*tw, F)
        do(np.matmul, columns.T, filters.flat, out=Y)
        return Y.reshape(m, m, k, self.th, self.tw, g.F)

    def backward(self, do, x, dY, filters, sums, need_dx):
        """See :meth:`WinogradKernel.backward`."""
        columns = self._columns(do, x)  # (kh*kw*C + 1, m*m*k*th*tw)
        dY = dY.reshape(columns.shape[1], self.geometry.F)  # (m*m*k*th*tw, F)
        sums.add(do, sums.rows, self.desk, np.dot, columns, dY)
        return self._input_gradient(do, dY, filters, len(x)) if need_dx else None

    def _columns(self, do, x):
        """Windows as columns above a row of ones, (kh*kw*C + 1, m*m*k*th*tw)."""
        g, m, k = self.geometry, self.m, len(x)
        tail = (k, self.th, self.tw)
        # (Sh, Sw, C, k, th, tw)
        planes = self.desk.cut("planes", *self.shifts, g.C, *tail)
        do(np.copyto, planes, self._shifted(x))
        s = planes.strides
        # (kh, kw, C, m, m, k, th, tw)
        windows = as_strided(planes, (g.kh, g.kw, g.C, m, m) + tail,
                             (s[0], s[1], s[2], g.sh * s[0], g.sw * s[1]) + s[3:])
        columns = self.columns[:, :m * m * k * self.th * self.tw]
        do(np.copyto, columns[:-1].reshape(windows.shape), windows)
        return columns

    @property
    def kept(self):
        return [self.columns]

    def _shifted(self, x):
        """``x[k, m*sh*i + s, m*sw*j + t, c]`` as (s, t, c, k, i, j)."""
        g, m, k = self.geometry, self.m, len(x)
        sk, sr, sc, s1 = x.strides
        return as_strided(x, self.shifts + (g.C, k, self.th, self.tw),
                          (sr, sc, s1, sk, m * g.sh * sr, m * g.sw * sc))

    def _input_gradient(self, do, dY, filters, k):
        """Every column's gradient, added back to where its window was."""
        g, m = self.geometry, self.m
        # (kh*kw*C, m*m*k*th*tw)
        d = self.desk.cut("dcolumns", g.kh * g.kw * g.C, len(dY))
        do(np.matmul, filters.back[:-1], dY.T, out=d)
        d = d.reshape(g.kh, g.kw, g.C, m, m, k, self.th, self.tw)
        dx = self.desk.cut(self.dx, k, self.Hp, self.Wp, g.C)
        do(np.copyto, dx, ZERO)
        places = self._shifted(dx)  # (Sh, Sw, C, k, th, tw)
        for u in range(g.kh):
            for v in range(g.kw):
                for i in range(m):
                    for j in range(m):
                        target = places[i * g.sh + u, j * g.sw + v]  # (C, k, th, tw)
                        do(np.add, target, d[u, v, :, i, j], out=target)
        return dx


class WindowKernel(Kernel):
    """im2col with one row for each window.

    Parameters
    ----------
    geometry, k, training
        As for :class:`minifer.compiled.cpu.winograd.WinogradKernel`.
    """

    def __init__(self, geometry, k, training, desk=None, dx="dx"):
        super().__init__(geometry, k, training, desk, dx)
        g = geometry
        # 1×1: the image is its own lowered form.
        self.is_plain = (g.kh == g.kw == g.sh == g.sw == self.m == 1
                         and (self.Hp, self.Wp) == (self.th, self.tw))
        size = self.m ** 2 * k * self.th * self.tw * g.kh * g.kw * g.C
        if not self.is_plain:
            self._ask(windows=size)  # for (P, kh*kw*C)
        if training:
            self._ask(spare=g.kh * g.kw * g.C * g.F)  # for (kh*kw*C, F)

    def forward(self, do, x, filters):
        """See :meth:`WinogradKernel.forward`."""
        windows = self._lower(do, x)
        Y = self.desk.cut("y", len(windows), self.geometry.F)
        do(np.matmul, windows, filters.flat[:-1], out=Y)
        return self.gradient_buffer(len(x))

    def backward(self, do, x, dY, filters, sums, need_dx):
        """See :meth:`WinogradKernel.backward`."""
        g, k = self.geometry, len(x)
        windows = self._lower(do, x)
        dY = dY.reshape(len(windows), g.F)
        dU = sums.dU.reshape(-1, g.F)  # (kh*kw*C, F)
        sums.add(do, dU, self.desk, np.dot, windows.T, dY)
        if not need_dx:
            return None
        dx = self.desk.cut(self.dx, k, self.Hp, self.Wp, g.C)
        if self.is_plain:
            do(np.matmul, dY, filters.back[:-1].T, out=dx.reshape(-1, g.C))
            return dx
        d = self.desk.cut("dwindows", *windows.shape)
        do(np.matmul, dY, filters.back[:-1].T, out=d)
        do(np.copyto, dx, ZERO)
        places = self._windows(dx)
        d = d.reshape(places.shape)  # (m, m, k, th, tw, kh, kw*C)
        for i, j, u in np.ndindex(self.m, self.m, g.kh):
            for v in range(g.kw):  # windows side by side may overlap
                part = slice(v * g.C, (v + 1) * g.C)
                target = places[i, j, :, :, :, u, part]
                do(np.add, target, d[i, j, :, :, :, u, part], out=target)
        return dx

    def _lower(self, do, x):
        """Windows as rows (P, kh*kw*C), in the order of the tiles."""
        g = self.geometry
        if self.is_plain:
            return x.reshape(-1, g.C)
        places = self._windows(x)
        windows = self.desk.cut("windows", *places.shape)
        do(np.copyto, windows, places)
        return windows.reshape(-1, g.kh * g.kw * g.C)

    def _windows(self, x):
        """``x``'s windows, (m, m, k, th, tw, kh, kw*C), where they are."""
        g, m, (sk, sr, sc, s1) = self.geometry, self.m, x.strides
        shape = m, m, len(x), self.th, self.tw, g.kh, g.kw * g.C
        return as_strided(x, shape, (g.sh * sr, g.sw * sc, sk, m * g.sh * sr,
                                     m * g.sw * sc, sr, s1))


class RowKernel(Kernel):
    """Lowered along the width; one product for each row of the filter.

    Parameters
    ----------
    geometry, k, training
        As for :class:`minifer.compiled.cpu.winograd.WinogradKernel`.
    """

    def __init__(self, geometry, k, training, desk=None, dx="dx"):
        super().__init__(geometry, k, training, desk, dx)
        g = geometry
        lowered = g.m * k * self.Hp * self.tw * g.kw * g.C
        # for (m, k, Hp, tw, kw*C), and (m, k, th, m, tw, F)
        self._ask(lowered=lowered, y_part=self.sizes["y"])
        if training:
            # for (m, k, Hp, tw, kw*C) twice, (kw*C, F) and (m, k, [rows,] kw*C, F)
            self._ask(dlowered=lowered, dlowered_part=lowered,
                      spare=g.kw * g.C * g.F,
                      dU_parts=g.m * k * g.m * self.th * g.kw * g.C * g.F)

    def forward(self, do, x, filters):
        """See :meth:`WinogradKernel.forward`."""
        L = self._lower(do, x)  # (m, k, Hp, tw, kw*C)
        Y, part = self._rows("y", len(x)), self._rows("y_part", len(x))
        for u, rows in enumerate(filters.rows):
            do(np.matmul, self._shift(L, u), rows, out=part if u else Y)
            if u:
                do(np.add, Y, part, out=Y)
        return self._tiles(len(x))

    def gradient_buffer(self, k):
        """Where the caller writes dY."""
        return self._tiles(k)

    def backward(self, do, x, dY, filters, sums, need_dx):
        """See :meth:`WinogradKernel.backward`; dY is :meth:`gradient_buffer`'s."""
        g, k = self.geometry, len(x)
        L, dY = self._lower(do, x), self._rows("y", k)
        for u in range(g.kh):
            rows = self._shift(L, u).swapaxes(-1, -2)  # (m, k, [rows,] kw*C, positions)
            # (m, k, [rows,] kw*C, F)
            parts = self.desk.cut("dU_parts", *rows.shape[:-1], g.F)
            do(np.matmul, rows, dY, out=parts)
            axes = tuple(range(parts.ndim - 2))
            sums.add(do, sums.dU[u], self.desk, np.add.reduce, parts, axis=axes)
        if not need_dx:
            return None
        dL = self.desk.cut("dlowered", *L.shape)
        part = self.desk.cut("dlowered_part", *L.shape)
        do(np.copyto, dL, ZERO)
        for u, rows in enumerate(filters.back[:-1].reshape(filters.rows.shape)):
            target, add = self._shift(dL, u), self._shift(part, u)
            do(np.matmul, dY, rows.T, out=add)
            do(np.add, target, add, out=target)
        dx = self.desk.cut(self.dx, k, self.Hp, self.Wp, g.C)
        do(np.copyto, dx, ZERO)
        dL = dL.reshape(g.m, k, self.Hp, self.tw, g.kw, g.C)
        for j in range(g.m):
            for v in range(g.kw):
                start = j * g.sw + v
                stop = start + g.m * g.sw * (self.tw - 1) + 1
                target = dx[:, :, start:stop:g.m * g.sw]  # (k, Hp, tw, C)
                do(np.add, target, dL[j, :, :, :, v], out=target)
        return dx

    def _lower(self, do, x):
        """Windows' rows: (m, k, Hp, tw, kw*C), the first axis the column in a tile."""
        g, k = self.geometry, len(x)
        sk, sr, sc, s1 = x.strides
        windows = as_strided(x, (g.m, k, self.Hp, self.tw, g.kw * g.C),
                             (g.sw * sc, sk, sr, g.m * g.sw * sc, s1))
        lowered = self.desk.cut("lowered", *windows.shape)
        do(np.copyto, lowered, windows)
        return lowered

    def _shift(self, L, u):
        """The rows that filter row u meets, as (m, k, [rows,] positions, kw*C)."""
        g = self.geometry
        # (m, k, m*th, tw, kw*C)
        rows = L[:, :, u:u + g.sh * (g.m * self.th - 1) + 1:g.sh]
        if g.sh == 1:  # rows below one another: one long product
            return as_strided(rows, rows.shape[:2] + (g.m * self.th * self.tw,)
                              + L.shape[4:], rows.strides[:2] + L.strides[3:])
        return rows

    def _rows(self, name, k):
        """A buffer in the layout of the products, (m, k, [rows,] positions, F)."""
        g = self.geometry
        flat = (g.m, k, g.m * self.th * self.tw, g.F)
        if g.sh == 1:
            return self.desk.cut(name, *flat)
        return self.desk.cut(name, g.m, k, g.m * self.th, self.tw, g.F)

    def _tiles(self, k):
        """The outputs as (m, m, k, th, tw, F)."""
        g = self.geometry
        # (column in a tile, ...)
        y = self.desk.cut("y", g.m, k, self.th, g.m, self.tw, g.F)
        return y.transpose(3, 0, 1, 2, 4, 5)
