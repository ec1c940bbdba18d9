"""Convolution, bias, ReLU and max-pooling in one step.

Axes: k images of a group; th, tw rows and columns of tiles; m and step, the side of a
tile before and after pooling; Hp, Wp the padded input (see
:mod:`~minifer.compiled.cpu.geometry`).
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .choice import choose, few_channels
from .elements import ElementKernel
from .folding import Kept
from .geometry import Geometry, pairs
from .lowered import ColumnKernel, LoweredFilters, RowKernel, WindowKernel
from .program import ZERO
from .sums import ChunkSums
from .winograd import WinogradFilters, WinogradKernel

__all__ = ["FusedConv"]

# A thread's buffers for one group of images should about fill its own cache.
CACHE_BYTES = 4 * 2 ** 20
# Those for a band of an image that is predicted alone: so few that what else is read
# again at each call, such as a dense layer's weights, stays in the cache behind it.
BAND_BYTES = 2 ** 20


class FusedConv:
    """A Conv2DLayer, fused with the ReLU and max-pooling that follow it.

    Parameters
    ----------
    conv : Conv2DLayer
    relu : bool
        Whether ReLU follows.
    pool : bool
        Whether a 2×2 max-pooling of stride 2 follows.
    norms : Folding
        Batch norms with fixed averages; none where the convolution learns.
    batch : int
        Most images at once.
    training : bool
    need_dx : bool
        Whether anything below learns.
    algorithm : str
        See :func:`minifer.compiled.cpu.choice.choose`.
    below : BatchNorm, optional
        The norm whose output it reads, a few images at a time.
    read_as_tiles : bool
        See :func:`minifer.compiled.cpu.choice.choose`.
    """

    def __init__(self, conv, relu, pool, norms, batch, training, need_dx,
                 algorithm="auto", below=None, read_as_tiles=False):
        self.conv, self.relu, self.pool, self.norms = conv, relu, pool, norms
        self.training, self.need_dx = training, need_dx
        self.batch, self.below = batch, below
        self.algorithm, m = choose(conv, pool, algorithm, read_as_tiles)
        _, C, H, Wd = conv.input_shape
        self.geometry = g = Geometry(H, Wd, C, conv.num_filters, *conv.filter_size,
                                     *conv.stride, *conv.pad, pool, m)
        self.m = m
        # (N, Hp, Wp, C); for what a batch norm hands on, images of a group will do
        self.x = self._images(0 if below else batch)
        # What a batch norm keeps as tiles comes as what the same tiles read here.
        self.tiled = bool(
            below and not below.pool and below.covered_by == m and g.H % m == 0
            and g.W % m == 0 and self.algorithm == "winograd" and g.kh == 3
            and g.ph == g.pw == 1)
        if self.tiled:
            below.lay_out(m)
        self.inside = self._inside(self.x)  # (N, H, W, C)
        self.own_out = self.out = None
        self.filters = (WinogradFilters if self.algorithm == "winograd"
                        else LoweredFilters)(g, training)
        params = list(conv.params) + [p for one in norms.layers for p in one.params]
        self.kept = None if training else Kept(params)
        self.adds_bias = conv.b is not None or bool(norms.before)
        self.turned = np.zeros(g.F, bool)
        # NumPy adds and compares a long row much faster than a short one or a number.
        # (tw, F) each: after the convolution, p becomes
        # min(max(p + bias, low), high) · scale + shift, as far as there is need.
        self.bias, self.low, self.high, self.scale, self.shift = np.zeros(
            (5, g.tiles[1], g.F), np.float32)
        size = g.tiles[0] * g.tiles[1] * g.F * g.step ** 2
        # What backward needs to know about an output: whether ReLU let it through, and
        # if pooled, whether it is from the upper row, and in each row from the left.
        self.masks = {}
        if training:
            wanted = {"on": relu * size, "upper": pool * size, "left": pool * 2 * size}
            # (N, step*step*th*tw*F); rows of "left" are twice as long
            self.masks = {name: np.empty((batch, n), bool)
                          for name, n in wanted.items() if n}

    @property
    def group(self):
        """How many images at a time fill the cache, or if that is more,
        :attr:`enough`."""
        g = self.geometry
        numbers = (g.m + g.kh - 1) ** 2 * g.tiles[0] * g.tiles[1] * max(g.C, g.F) * 4
        size = (ElementKernel(g, 1, self.training).nbytes
                if self.algorithm == "elements" else 4 * numbers)
        return max(1, CACHE_BYTES // size, self.enough)

    @property
    def enough(self):
        """How many images are half as many numbers as the filters.

        Each group of images reads these again, and BLAS copies them to another order:
        with fewer images that takes longer than to multiply.
        """
        g, (Ho, Wo) = self.geometry, self.geometry.conv_size
        rows = g.tiles[0] * g.tiles[1] if self.algorithm == "winograd" else Ho * Wo
        if self.algorithm == "elements":  # on average
            rows = pairs(g.axes) / (g.kh * g.kw)
        return int(g.C * g.F / (g.C + g.F) / 2 / max(1, rows))

    def write_to(self, target=None):
        """Choose where the output goes: the next convolution's input, say.

        Parameters
        ----------
        target : array, shape (batch, Ho', Wo', F), optional
            Default: a buffer of its own, which whole tiles cover.
        """
        if target is None:
            g = self.geometry
            shape = (self.batch, g.tiles[0] * g.step, g.tiles[1] * g.step, g.F)
            target = self.own_out = np.empty(shape, np.float32)
        self.out, self.result = target, self.within_edges(target)

    def within_edges(self, out):
        """Images (N, Ho, Wo, F) without what hangs over their edges."""
        Ho, Wo = self.geometry.out_size
        return out[:, :Ho, :Wo]

    def make_workers(self, desks, k, chunk, dx="dx"):
        """Make a kernel for each thread, and sums for each chunk.

        One image alone is predicted in bands, some rows of tiles each; the last may
        overlap its neighbour.
        """
        g, th = self.geometry, self.geometry.tiles[0]
        few = few_channels(self.conv)
        Kernel = {"winograd": WinogradKernel, "row": RowKernel,
                  "elements": ElementKernel,
                  "im2col": ColumnKernel if few else WindowKernel}[self.algorithm]
        kernel = Kernel(g, k, self.training)
        bands = 1
        if self.batch == 1 and not self.training:
            bands = min(th, -(-kernel.nbytes // BAND_BYTES))
        rows = -(-th // bands)
        self.starts = sorted({min(i * rows, th - rows) for i in range(bands)})
        self.tiles = rows, g.tiles[1]
        if bands > 1:
            g = g.band(rows)
        self.kernels = [Kernel(g, k, self.training, desk, dx) for desk in desks]
        pooled = k * g.tiles[0] * g.tiles[1] * g.F * g.step ** 2
        for desk in desks:  # for (step, step, k, th, tw, F) and (m, step, k, th, tw, F)
            desk.ask(small=pooled, wide=2 * pooled * g.pool, ones=pooled // g.F)
        self.inputs = [self._tiles(k) if self.tiled else self._images(k)
                       for _ in desks if self.below]
        if self.training:
            chunks = -(-self.batch // chunk)
            self.sums = ChunkSums(self.filters.gradient_shape, chunks, chunk)
            self.dW = np.empty(self.conv.W.shape, np.float32)
            if self.below:
                self.below.write_back(k, chunks, chunk)

    def begin(self, workers):
        """Take over the parameters' current values, if they have changed.

        Returns
        -------
        bool
            Whether other calls have to be noted than before.
        """
        if self.kept is not None and not self.kept.changed():
            return False
        W = self.conv.W.peek()
        b = 0 if self.conv.b is None else self.conv.b.peek()
        before = self.turned
        if self.norms.layers:
            W, b, self.turned, self.scale[...], self.shift[...] = self.norms.into(W, b)
            self.low[...] = np.where(self.turned, -np.inf, 0)
            self.high[...] = np.where(self.turned, 0, np.inf)
        self.bias[...] = b
        self._set_filters(W, workers)
        return bool(self.relu and self.turned.any() != before.any())

    def _set_filters(self, W, workers, back=True):
        self.filters.set(W[:, :, ::-1, ::-1] if self.conv.flip_filters else W,
                         self.bias.reshape(-1, self.geometry.F)[0], workers.run, back)

    def forward(self, do, worker, images):
        """Note the calls that fill ``out[images]`` from ``x[images]``."""
        g, (rows, _) = self.geometry, self.tiles
        x, out = self._input(do, worker, images), self._output(images)
        if len(self.starts) == 1:
            return self._forward(do, worker, images, x, out)
        for start in self.starts:
            first = start * g.m * g.sh
            self._forward(do, worker, images,
                          x[:, first:first + (rows * g.m - 1) * g.sh + g.kh],
                          out[:, start * g.step:(start + rows) * g.step])

    def _forward(self, do, worker, images, x, out):
        """The same of whole images, or of a band of each."""
        kernel = self.kernels[worker]
        p = kernel.forward(do, x, self.filters)  # (m, m, k, th, tw, F)
        if self.pool:
            p = self._pool(do, worker, images, p)  # (step, step, k, th, tw, F)
        if self.adds_bias and not kernel.adds_bias:
            do(np.add, p, self.bias, out=p)
        if self.training and self.relu:
            do(np.greater, p, ZERO, out=self._mask("on", p, images))
        last = self._last()
        # Short runs are best copied; long ones are written by the last call.
        inside = last if self.geometry.step > 1 else last[:-1]
        for function, row in inside:
            do(function, p, row, out=p)
        for place, tiles in self._places(out, p):
            if len(inside) < len(last):
                function, row = last[-1]
                do(function, tiles, row[:place.shape[-2]], out=place)
            else:
                do(np.copyto, place, tiles)

    def _pool(self, do, worker, images, y):
        """Note the pooling of tiles (m, m, k, th, tw, F)."""
        desk, left, right = self.kernels[worker].desk, y[:, 0::2], y[:, 1::2]
        wide = desk.cut("wide", *left.shape)  # (m, step, k, th, tw, F)
        top, bottom = wide[0::2], wide[1::2]
        p = desk.cut("small", *top.shape)  # (step, step, k, th, tw, F)
        do(np.maximum, left, right, out=wide)
        do(np.maximum, top, bottom, out=p)
        if self.training:  # ties go to the first
            do(np.greater_equal, left, right, out=self._mask("left", left, images))
            do(np.greater_equal, top, bottom, out=self._mask("upper", p, images))
        return p

    def _last(self):
        """What is left to do behind the bias: pairs of a function and its numbers."""
        found = []
        if self.relu:
            found.append((np.maximum, self.low))
            found += [(np.minimum, self.high)] if self.turned.any() else []
        found += [(np.multiply, self.scale)] if self.norms.behind else []
        return found + ([(np.add, self.shift)] if self.norms.shifts else [])

    def backward(self, do, worker, images, dout):
        """Note the calls that collect the parameters' gradients.

        Parameters
        ----------
        dout : array of ``out[images]``'s shape

        Returns
        -------
        array, shape (k, H, W, C) or (k, m, m, th, tw, C), or None
            The buffer that will hold dx, if it is needed.
        """
        g, kernel, k = self.geometry, self.kernels[worker], len(dout)
        dp = dy = kernel.gradient_buffer(k)  # (m, m, k, th, tw, F)
        if self.pool or not dy.flags.c_contiguous:
            dp = kernel.desk.cut("small", g.step, g.step, *dy.shape[2:])
        self._read(do, dout, dp)
        if self.relu:
            do(np.multiply, dp, self._mask("on", dp, images), out=dp)
        if self.pool:
            self._unpool(do, worker, images, dp, dy)
        elif dp is not dy:
            do(np.copyto, dy, dp)
        return self._gradients(do, worker, images, dy, dp.reshape(-1, g.F))

    def _unpool(self, do, worker, images, dp, dy):
        """Note that ``dp`` goes to the first maximum: rows first, then columns."""
        # (2*step, step, k, th, tw, F)
        wide = self.kernels[worker].desk.cut("wide", 2 * len(dp), *dp.shape[1:])
        do(np.multiply, dp, self._mask("upper", dp, images), out=wide[0::2])
        do(np.subtract, dp, wide[0::2], out=wide[1::2])
        left = self._mask("left", wide, images)
        do(np.multiply, wide, left, out=dy[:, 0::2])
        do(np.subtract, wide, dy[:, 0::2], out=dy[:, 1::2])

    def _gradients(self, do, worker, images, dy, rows):
        """Note the parameters' gradients of tiles ``dy``, which ``rows`` (P, F) add
        up to, too.
        """
        kernel = self.kernels[worker]
        desk, sums = kernel.desk, self.sums.of(images)
        if not kernel.adds_bias and self.conv.b is not None:
            sums.add(do, sums.db, desk, np.dot, desk.ones(len(rows)), rows)
        x = self._input(do, worker, images)
        dx = kernel.backward(do, x, dy, self.filters, sums, self.need_dx)
        if dx is None:
            return None
        if not self.tiled:
            dx = self._inside(dx)
        if self.below:
            self.below.take_back(do, worker, images, dx, self._inside(x))
        return dx

    def gradients(self, images, workers, slope=None):
        """Parameter gradients of the first ``images`` images, which may count by a
        ``slope`` (F,)."""
        sums, dW = self.sums.in_all(images, workers), self.dW
        facing = dW[:, :, ::-1, ::-1] if self.conv.flip_filters else dW
        self.filters.gradient(sums.dU, facing, workers.run, slope)
        found = {self.conv.W: dW}
        if self.conv.b is not None:
            found[self.conv.b] = sums.db if slope is None else sums.db * slope
        return found

    @property
    def nbytes(self):
        """Bytes in all buffers."""
        arrays = [self.x, *self.inputs, *self.masks.values()]
        arrays += [] if self.own_out is None else [self.own_out]
        arrays += [self.sums, self.dW] if self.training else [self.kept]
        arrays += self.filters.arrays + [a for one in self.kernels for a in one.kept]
        return sum(a.nbytes for a in arrays)

    def _images(self, count):
        """Room for padded images, whose edges are 0."""
        return np.zeros((count, *self.geometry.padded, self.geometry.C), np.float32)

    def _tiles(self, count):
        """Room for what tiles read, which is 0 beyond the edges."""
        g, n = self.geometry, self.m + 2
        return np.zeros((count, n, n, *g.tiles, g.C), np.float32)

    def _inside(self, x):
        """Padded images without their edges, (k, H, W, C); or what tiles read, without
        what is their neighbours'.
        """
        g = self.geometry
        if x.ndim == 6:
            return x[:, 1:-1, 1:-1]
        return x[:, g.ph:g.ph + g.H, g.pw:g.pw + g.W]

    def _input(self, do, worker, images):
        """Some padded images, (k, Hp, Wp, C), that a batch norm may first hand on."""
        if not self.below:
            return self.x[images]
        x = self.inputs[worker][:images.stop - images.start]
        self.below.hand_on(do, images, self._inside(x))
        if self.tiled:  # each takes its edges from its neighbours: columns, then rows
            inner, m = slice(1, -1), self.m
            for into, out_of in ((x[:, inner, 0, :, 1:], x[:, inner, m, :, :-1]),
                                 (x[:, inner, -1, :, :-1], x[:, inner, 1, :, 1:]),
                                 (x[:, 0, :, 1:], x[:, m, :, :-1]),
                                 (x[:, -1, :, :-1], x[:, 1, :, 1:])):
                do(np.copyto, into, out_of)
        return x

    def _output(self, images):
        return self.out[images]

    def _read(self, do, images, tiles):
        """Note that images (k, Ho, Wo, F) are copied to tiles."""
        if not self._covers(images, tiles):
            do(np.copyto, tiles, ZERO)  # where they hang over the edge
        for place, part in self._places(images, tiles):
            do(np.copyto, part, place)

    def _mask(self, name, like, images):
        """These images' part of a mask, in the shape of ``like``."""
        return self.masks[name][images].reshape(like.shape)

    def _covers(self, out, p):
        """Whether tiles cover images (k, Ho, Wo, F) without hanging over the edge."""
        return out.shape[1:3] == (p.shape[3] * len(p), p.shape[4] * len(p))

    def _places(self, out, p):
        """Pairs of equal views: of images (k, Ho, Wo, F), and of their tiles p."""
        step, (sk, sr, sc, s1) = len(p), out.strides
        if self._covers(out, p):  # all at once
            shape = (step, step, *p.shape[2:])
            strides = (sr, sc, sk, step * sr, step * sc, s1)
            yield as_strided(out, shape, strides), p
            return
        for i in range(step):
            for j in range(step):
                place = out[:, i::step, j::step]  # (k, <= th, <= tw, F)
                yield place, p[i, j, :, :place.shape[1], :place.shape[2]]
