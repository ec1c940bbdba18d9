"""Winograd on a few images at a time, in buffers that stay in the cache.

With channels last, every step is a matrix product on long rows: the transforms
act on whole rows of the image (rows of the tile first, then columns), and in
between comes one product for each of the n² points. See
:mod:`minifer.ops.winograd` for the algebra.

Axes: k images of a group; th, tw rows and columns of tiles, T = k·th·tw of them; m and
n, the side of a tile of outputs and of inputs; r = kh = kw; Hp, Wp the padded input.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...ops.winograd import filter_gradient, filter_transform, matrices
from ..steps import pieces
from .program import ALONE, PIECE, ZERO, Desk

__all__ = ["WinogradFilters", "WinogradKernel"]

# Products up to which OpenBLAS multiplies matrices where they are. Beyond, it first
# copies them to another order, which takes longer than to multiply by a few rows.
UNPACKED = 10 ** 6


class WinogradFilters:
    """What all threads share of one step: the transformed filters.

    Parameters
    ----------
    geometry : Geometry
        Stride 1, square filters of side 2, 3 or 5.
    training : bool, default True
        Whether gradients are wanted.
    """

    def __init__(self, geometry, training=True):
        g = self.geometry = geometry
        n = g.m + g.kh - 1
        self.gradient_shape = n * n, g.C, g.F
        self.U = np.empty(self.gradient_shape, np.float32)  # (n*n, C, F)
        self.UT = np.empty((n * n, g.F, g.C), np.float32) if training else None

    @property
    def arrays(self):
        """All of its arrays."""
        return [self.U] if self.UT is None else [self.U, self.UT]

    @property
    def gradient_bytes(self):
        """Bytes of the filters' gradient as kernels compute it."""
        return 4 * math.prod(self.gradient_shape)

    def set(self, W, bias, run=ALONE, back=True):
        """Transform correlation filters W (F, C, r, r); the bias is added later.

        Parameters
        ----------
        W : array
        bias : array, shape (F,)
        run : function
            Shares a range among threads: ``run`` of
            :class:`minifer.device.threads.Workers`.
        back : bool
            Whether to make what gradients of the input need, too.
        """
        self.W = None if self.UT is None else W
        self._transform(W, self.U, run)
        if back and self.UT is not None:
            self._transform(W.swapaxes(0, 1), self.UT, run)

    def scale(self, slope, run=ALONE):
        """Let gradients of the input count by slope (F,) for each filter."""
        W = self.W * slope[:, None, None, None].astype(self.W.dtype)
        self._transform(W.swapaxes(0, 1), self.UT, run)

    def gradient(self, dU, out, run=ALONE, slope=None):
        """Write filter gradients made from a kernel's.

        Parameters
        ----------
        dU : array of ``gradient_shape``
        out : array, shape (F, C, r, r)
        run : function
            As for :meth:`set`.
        slope : array, shape (F,), optional
            What they count by for each filter.
        """
        g = self.geometry

        def share(worker, start, stop):
            for some in pieces(start, stop, self._few(g.F)):
                dW = filter_gradient(dU[:, some], g.m, g.kh)
                if slope is not None:
                    dW *= slope[:, None, None, None]
                np.copyto(out[:, some], dW)

        run(share, g.C, least=self._few(g.F))

    def _transform(self, W, U, run):
        """Fill ``U`` (n*n, C, F), some channels at a time: they stay in the cache."""
        few = self._few(U.shape[2])

        def share(worker, start, stop):
            for some in pieces(start, stop, few):
                U[:, some] = filter_transform(W[:, some], self.geometry.m)

        run(share, U.shape[1], least=few)

    def _few(self, width):
        return max(1, PIECE // (self.gradient_shape[0] * width))


class WinogradKernel:
    """One thread's buffers for up to k images.

    Parameters
    ----------
    geometry : Geometry
    k : int
        Images at a time.
    training : bool
        Whether gradients are wanted.
    desk : Desk, optional
        Where it works; default: one of its own.
    dx : str
        Name of the buffer of the gradient of the input.
    """

    adds_bias = False
    kept = ()  # arrays of its own

    def __init__(self, geometry, k, training, desk=None, dx="dx"):
        self.geometry, self.k, self.desk, self.dx = geometry, k, desk or Desk(), dx
        m, n = geometry.m, geometry.m + geometry.kh - 1
        self.m, self.n = m, n
        # (n, m), (n, r), (n, n)
        A, _, B = (M.astype(np.float32) for M in matrices(m, geometry.kh))
        self.A, self.B = A, B
        self.AT, self.BT = np.ascontiguousarray(A.T), np.ascontiguousarray(B.T)
        (th, tw), (Hp, Wp) = geometry.tiles, geometry.padded
        self.th, self.tw, self.Hp, self.Wp = th, tw, Hp, Wp
        C, F, T = geometry.C, geometry.F, k * th * tw
        points = n * n * T * max(C, F)
        self.sizes = dict(rows=k * th * n * max(Wp, n * tw) * C, one=points, two=points,
                          tile=m * n * T * F, y=m * m * T * F)
        if training:
            self.sizes |= {"spare": n * n * C * F, dx: k * Hp * Wp * C}
        self.desk.ask(**self.sizes)

    @property
    def nbytes(self):
        """Bytes that it works on."""
        return 4 * sum(self.sizes.values())

    def forward(self, do, x, filters):
        """Convolve.

        Parameters
        ----------
        do : Program
            Notes the calls to make.
        x : array, shape (k, Hp, Wp, C) or (k, n, n, th, tw, C)
            Padded images, whose last two axes are contiguous; or what each tile reads
            of them, where they are padded by 1 and filters have side 3.
        filters : WinogradFilters

        Returns
        -------
        array, shape (m, m, k, th, tw, F)
            The buffer that will hold the result until the next call.
        """
        m, n, k, F = self.m, self.n, len(x), self.geometry.F
        T = k * self.th * self.tw
        V = self._transform_input(do, x)  # (n*n, T, C)
        M = self.desk.cut("two", n * n, T, F)
        Z = self.desk.cut("tile", m, n * T * F)
        Y = self.desk.cut("y", m, m, T * F)
        do(np.matmul, V, filters.U, out=M)
        _transform(do, self.AT, M.reshape(n, -1), Z)
        _transform(do, self.AT, Z.reshape(m, n, -1), Y)
        return Y.reshape(m, m, k, self.th, self.tw, F)

    def gradient_buffer(self, k):
        """Where the caller writes dY."""
        g = self.geometry
        return self.desk.cut("y", g.m, g.m, k, self.th, self.tw, g.F)

    def backward(self, do, x, dY, filters, sums, need_dx):
        """Sum up the filters' gradient; compute the images'.

        Parameters
        ----------
        do : Program
        x : array
            As for :meth:`forward`.
        dY : array, shape (m, m, k, th, tw, F)
        filters : WinogradFilters
        sums : Sums
        need_dx : bool

        Returns
        -------
        dx : array, shape (k, Hp, Wp, C) or (k, m, m, th, tw, C), or None
        """
        g, m, n, k = self.geometry, self.m, self.n, len(x)
        T = k * self.th * self.tw
        V = self._transform_input(do, x)  # (n*n, T, C)
        Z = self.desk.cut("tile", n, m * T * g.F)
        E = self.desk.cut("two", n, n, T * g.F)
        _transform(do, self.A, dY.reshape(m, -1), Z)
        _transform(do, self.A, Z.reshape(n, m, -1), E)
        E = E.reshape(n * n, T, g.F)  # one product for each of the n*n points
        sums.add(do, sums.dU, self.desk, np.matmul, V.transpose(0, 2, 1), E)
        if not need_dx:
            return None
        dV = self.desk.cut("one", n * n, T, g.C)  # V is no longer needed
        do(np.matmul, E, filters.UT, out=dV)
        return (self._input_gradient(do, dV, k) if x.ndim == 4
                else self._tiles_gradient(do, dV, k))

    def _transform_input(self, do, x):
        """``B^T d B`` of every tile: (n*n, T, C), in buffer ``one``."""
        g, m, n, k = self.geometry, self.m, self.n, len(x)
        if x.ndim == 6:
            return self._transform_tiles(do, x)
        row = self.Wp * g.C
        tiles = as_strided(x, (k, self.th, n, row),
                           (x.strides[0], m * x.strides[1], x.strides[1], 4))
        R = self.desk.cut("rows", k, self.th, n, row)
        _transform(do, self.BT, tiles, R)
        s = (4 * self.th * n * row, 4 * n * row, 4 * row, 4 * g.C)
        shape = (n, n, k, self.th, self.tw, g.C)  # (row, column in the tile, ...)
        columns = self.desk.cut("two", *shape)
        windows = as_strided(R, shape, (s[2], s[3], s[0], s[1], m * s[3], 4))
        do(np.copyto, columns, windows)
        V = self.desk.cut("one", n, n, k * self.th * self.tw * g.C)
        _transform(do, self.BT, columns.reshape(V.shape), V)
        return V.reshape(n * n, -1, g.C)

    def _transform_tiles(self, do, x):
        """The same of what tiles read, (k, n, n, th, tw, C)."""
        n, k = self.n, len(x)
        R = self.desk.cut("rows", k, n, x[0, 0].size)
        _transform(do, self.BT, x.reshape(R.shape), R)
        V = self.desk.cut("one", n, n, k, x[0, 0, 0].size)
        _transform(do, self.BT, R.reshape(k, n, n, -1), V.transpose(2, 0, 1, 3))
        return V.reshape(n * n, -1, self.geometry.C)

    def _tiles_gradient(self, do, dV, k):
        """The gradient of images (k, m, m, th, tw, C), whose tiles read 1 more around.

        What a tile hands to its neighbours lies in whole rows there.
        """
        m, n, C = self.m, self.n, self.geometry.C
        Z = self.desk.cut("two", n, n, k * self.th * self.tw * C)
        _transform(do, self.B, dV.reshape(n, -1), Z.reshape(n, -1))
        D = self.desk.cut("one", n, n, k, self.th, self.tw, C)
        _transform(do, self.B, Z, D.reshape(Z.shape))
        inner, but_first, but_last = slice(1, -1), slice(1, None), slice(-1)
        for into, out_of in ((D[:, m, :, :, but_last], D[:, 0, :, :, but_first]),
                             (D[:, 1, :, :, but_first], D[:, -1, :, :, but_last]),
                             (D[m, inner, :, but_last], D[0, inner, :, but_first]),
                             (D[1, inner, :, but_first], D[-1, inner, :, but_last])):
            do(np.add, into, out_of, out=into)
        return D[inner, inner].transpose(2, 0, 1, 3, 4, 5)

    def _input_gradient(self, do, dV, k):
        """``B dV B^T`` of every tile, added where tiles overlap."""
        g, m, n = self.geometry, self.m, self.n
        th, tw, Hp, Wp = self.th, self.tw, self.Hp, self.Wp
        Z = self.desk.cut("two", n, n, k * th * tw * g.C)
        _transform(do, self.B, dV.reshape(n, n, -1), Z)
        # (k, th, n, tw, n, C): rows of tiles, rows in them, then the same of columns
        Z = Z.reshape(n, n, k, th, tw, g.C).transpose(2, 3, 0, 4, 1, 5)
        # Columns are added up here, rows not yet.
        wide = self.desk.cut("rows", k, th, n, Wp, g.C)
        _overlap_add(do, wide, Z, 3, tw, m, n)
        R = self.desk.cut("one", k, th, n, Wp * g.C)
        _transform(do, self.B, wide.reshape(k, th, n, -1), R)
        dx = self.desk.cut(self.dx, k, Hp, Wp * g.C)
        _overlap_add(do, dx, R, 1, th, m, n)
        return dx.reshape(k, Hp, Wp, g.C)


def _transform(do, matrix, rows, out):
    """Note ``out = matrix @ rows``, of long rows in pieces that BLAS likes best."""
    length = rows.shape[-1]
    pieces = -(-matrix.size * length // UNPACKED)
    while length % pieces:
        pieces += 1
    if pieces > 1:
        rows, out = (a.reshape(*a.shape[:-1], pieces, -1).swapaxes(-2, -3)
                     for a in (rows, out))
    do(np.matmul, matrix, rows, out=out)


def _overlap_add(do, out, tiles, axis, count, m, n):
    """Write tiles of n that begin every m along ``axis`` of ``out``, added up.

    ``tiles`` has that axis split in two: (..., count, n, ...). What hangs over a
    tile's first m elements is added to the tiles behind it, where long runs lie side
    by side; then the first m of every tile are all that ``out`` needs, and what
    hangs over the last tile.
    """
    lead = (slice(None),) * axis

    def part(first, last, start, stop):
        return tiles[lead + (slice(first, last), slice(start, stop))]

    beyond = out[lead + (slice(count * m, None),)]
    do(np.copyto, beyond, ZERO)
    for start in range(m, n, m):
        stop, later = min(start + m, n), start // m
        target = part(later, None, 0, stop - start)
        do(np.add, target, part(0, -later, start, stop), out=target)
        for tile in range(max(0, count - later), count):
            place = (tile + later - count) * m
            target = beyond[lead + (slice(place, place + stop - start),)]
            over = part(tile, tile + 1, start, stop).squeeze(axis)
            do(np.add, target, over, out=target)
    shape = out.shape[:axis] + (count, m) + out.shape[axis + 1:]
    strides = (out.strides[:axis] + (m * out.strides[axis], out.strides[axis])
               + out.strides[axis + 1:])
    do(np.copyto, as_strided(out, shape, strides), part(0, None, 0, m))
