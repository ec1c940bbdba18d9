"""Convolutions in narrow groups: a few channels, down to one, see a few filters.

Winograd's products, and those of windows with channels last, would be too narrow here.
With channels first a product is as long as an image: the places of a window stand as
rows, each a copy of the whole image, shifted, that is multiplied by all filters of a
group. Where those are fewer than :data:`ROWS`, some rows of the output share their
columns, as further filters, each a step further down: most of its places are zeros, but
far fewer numbers are copied, and the product is wide enough.

The input's gradient is the same with filters turned round. Its columns, those of the
output's gradient, also give the gradient of the filters: times the input, they make
one number for each pair of rows, and the filters' are diagonals of them, added up.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...layers.padding import is_even
from ...nonlinearities import identity, rectify
from ..steps import PlainStep, pieces
from .program import ZERO, cut

__all__ = ["NarrowStep", "is_narrow"]

#: Rows of a product, filters times rows of the output, that are enough.
ROWS = 4
#: Bytes of columns that are worked on at a time: they stay in a core's cache.
PIECE_BYTES = 2 ** 19
#: Channels, and filters, of a group, and elements of a filter, up to which it pays.
MOST, MOST_ELEMENTS = 8, 25
#: Pixels of a channel in a batch from which on its rows are long enough.
ENOUGH_PIXELS = 2 ** 13


def is_narrow(layer, batch):
    """Whether a convolution of so many images is one for which this step is made."""
    shape, size = layer.input_shape, layer.filter_size
    return (None not in shape[1:] and len(shape) == 4 and layer.num_groups > 1
            and max(shape[1], layer.num_filters) <= MOST * layer.num_groups
            and np.prod(size) <= MOST_ELEMENTS and layer.stride == (1, 1)
            and not layer.untie_biases and is_even(layer.pad)
            and batch * np.prod(shape[2:]) >= ENOUGH_PIXELS
            and all(p < k for p, k in zip(layer.pad, size))
            and layer.nonlinearity in (identity, rectify))


class NarrowStep(PlainStep):
    """A Conv2DLayer of narrow groups; groups and images are shared out.

    Parameters
    ----------
    layers, bottoms, learns, need_dx
    logits : bool
        Whether its nonlinearity is left out.
    workers : Workers
    batch : int

    Notes
    -----
    Letters: n of N images at a time, G groups of C channels and F filters, of k by l
    elements; r rows of the output share their columns.
    """

    algorithm = "narrow groups"

    def __init__(self, layers, bottoms, learns, need_dx, logits, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx, {}, logits)
        self.workers, layer = workers, self.layer
        self.cuts = layer.nonlinearity is rectify and not logits
        (_, C, *lengths), (_, F, *counts) = layer.input_shape, layer.output_shape
        self.G, size = layer.num_groups, layer.filter_size
        self.C, self.F = C, F = C // self.G, F // self.G
        self.r = r = min(max(1, ROWS // max(C, F)), lengths[0], counts[0])
        back = [k - 1 - p for k, p in zip(size, layer.pad)]
        there = _Slide(C, lengths, F, counts, size, layer.pad, r)
        here = _Slide(F, counts, C, lengths, size, back, r)
        # The input, in the order of its gradient's columns.
        same = _Slide(C, lengths, C, lengths, (1, 1), (0, 0), r, here.padded)
        self.slides = (there, here, same) if learns else (there,)
        for one, like in zip(self.slides, (there, here, here)):
            one.make(workers.count, *like.some(batch))
        self.y = np.empty((batch, self.G, F, *there.whole), np.float32)
        self.dx = np.empty((batch, self.G, C, *here.whole), np.float32) if (
            need_dx) else None
        if learns:
            parts = -(-batch // here.group), self.G
            self.dW = np.empty((*parts, here.K, C * r), np.float32)
            self.db = np.empty((*parts, F), np.float32)
        self.nbytes = self.y.nbytes + (self.dx.nbytes if need_dx else 0) + sum(
            one.nbytes for one in self.slides)
        self.mflop = 2e-6 * self.G * C * F * np.prod((*counts, *size)) * (
            1 + learns + need_dx)

    def forward(self, xs):
        x, layer, there = xs[0], self.layer, self.slides[0]
        W = there.matrices(self._filters())
        b = None if layer.b is None else layer.b.value.reshape(
            self.G, self.F, 1, 1, 1, 1)

        def one(worker, group, some, place):
            there.take(worker, x[some, self._channels(group)])
            out = self.y[some, group]  # (n, F, tiles, r, columns)
            tiles, n = out.transpose(1, 3, 0, 2, 4), some.stop - some.start
            for band in there.bands:
                there.columns(worker, n, band)
                found = there.product(worker, n, band, W[group])
                if b is None:
                    np.copyto(tiles[:, :, :, band], found)
                else:
                    np.add(found, b[group], out=tiles[:, :, :, band])
            if self.cuts:
                np.maximum(out, ZERO, out=out)

        self._each(one, len(x), there.group)
        self.x = x if self.learns else None
        return self._images(self.y[:len(x)], layer.output_shape)

    def backward(self, dy):
        layer, (_, here, same) = self.layer, self.slides
        N, W = len(dy), self._filters()
        W = here.matrices(W[..., ::-1, ::-1].swapaxes(1, 2))
        y = self._images(self.y[:N], layer.output_shape)
        dW, db = (a[:-(-N // here.group)] for a in (self.dW, self.db))

        def one(worker, group, some, place):
            filters = slice(group * self.F, (group + 1) * self.F)
            n, sums = some.stop - some.start, dW[place, group]
            d = here.take(worker, dy[some, filters])
            if self.cuts:
                d *= y[some, filters] > 0
            d.sum(axis=(0, 2, 3), out=db[place, group])
            same.take(worker, self.x[some, self._channels(group)])
            for band in here.bands:
                columns = here.columns(worker, n, band)
                product = np.dot(  # see Sums of minifer.compiled.cpu.sums
                    columns, same.columns(worker, n, band).T)
                if band.start:
                    sums += product
                else:
                    sums[...] = product
                if self.dx is not None:
                    out = self.dx[some, group].transpose(1, 3, 0, 2, 4)
                    np.copyto(out[:, :, :, band],
                              here.product(worker, n, band, W[group]))

        self._each(one, N, here.group)
        found = here.diagonals(dW.sum(axis=0))  # (G, F, C, k, l), turned round
        if not layer.flip_filters:
            found = found[..., ::-1, ::-1]
        gradients = {layer.W: np.ascontiguousarray(found).reshape(layer.W.shape)}
        if layer.b is not None:
            gradients[layer.b] = db.sum(axis=0).reshape(-1)
        dx = self.dx
        return [None if dx is None else self._images(dx[:N], layer.input_shape)], (
            gradients)

    def _images(self, tiles, shape):
        """Tiles (N, G, F, t, r, columns) as images (N, G·F, rows, columns)."""
        rows = tiles.shape[3] * tiles.shape[4]
        return tiles.reshape(len(tiles), shape[1], rows, -1)[:, :, :shape[2]]

    def _each(self, task, N, few):
        """``task(worker, group, images, place)``, a few images at a time, of which it
        is told the place."""
        some = pieces(0, N, few)

        def work(worker, chunk):
            group, place = divmod(chunk, len(some))
            task(worker, group, some[place], place)

        self.workers.run_chunks(work, self.G * len(some))

    def _channels(self, group):
        return slice(group * self.C, (group + 1) * self.C)

    def _filters(self):
        """Filters as they slide, (G, F, C, k, l)."""
        W = self.layer.W.value.reshape(self.G, self.F, self.C, *self.layer.filter_size)
        return W[..., ::-1, ::-1] if self.layer.flip_filters else W


class _Slide:
    """Filters that slide over images (n, C, H, W) and give (n, F, rows, columns).

    Attributes
    ----------
    K : int
        Rows of its columns, l·C·(r + k - 1).
    padded : (int, int)
        Rows and columns of an image with its border.
    whole : (int, int, int)
        Tiles, rows in them, and columns of the output: as many as cover it.
    group : int
        Images at a time.
    bands : list of slice
        Tiles at a time: fewer than all, where one image has too many.
    """

    def __init__(self, C, lengths, F, counts, size, pad, r, padded=None):
        self.C, self.F, self.r, (self.k, self.l) = C, F, r, size
        self.whole = self.t, _, self.width = -(-counts[0] // r), r, counts[1]
        self.padded = padded or (max(self.t * r + self.k - 1, pad[0] + lengths[0]),
                                 lengths[1] + 2 * pad[1])
        self.inside = tuple(slice(p, p + n) for p, n in zip(pad, lengths))
        self.K = self.l * C * (r + self.k - 1)
        self.views = {}

    def some(self, batch):
        """How many images, and how many of their tiles, fill the cache."""
        most = PIECE_BYTES // 4 // self.K
        width = self.padded[1]
        if most >= self.t * width:
            return min(batch, most // (self.t * width)), self.t
        bands = -(-self.t // max(1, most // width))
        return 1, -(-self.t // bands)

    def make(self, workers, group, tiles):
        """Make buffers for so many threads, and images and tiles at a time."""
        self.group, self.bands = group, pieces(0, self.t, tiles)
        (R, Q), L = self.padded, group * tiles * self.padded[1]
        # Behind the last image is what its last window reaches.
        self.images = np.zeros((workers, group * self.C * R * Q + self.l - 1),
                               np.float32)
        self.windows = np.empty((workers, self.K * L), np.float32)
        self.found = np.empty((workers, self.F * self.r * L), np.float32)
        self.nbytes = sum(a.nbytes for a in (self.images, self.windows, self.found))

    def take(self, worker, x):
        """Take images between their borders; return where they lie."""
        padded = cut(self.images[worker], len(x), self.C, *self.padded)
        inside = padded[:, :, self.inside[0], self.inside[1]]
        np.copyto(inside, x)
        return inside

    def columns(self, worker, n, band):
        """Make the columns (K, L) of n images that were taken, and of a band."""
        shifted, windows, columns, *_ = self._views(worker, n, band)
        np.copyto(windows, shifted)
        return columns

    def product(self, worker, n, band, W):
        """What filters W (F·r, K) make of these columns, (F, r, n, tiles, width)."""
        *_, columns, found, result = self._views(worker, n, band)
        np.matmul(W, columns, out=found)
        return result

    def _views(self, worker, n, band):
        """Parts of the buffers: made once, as that takes Python a while."""
        key = worker, n, band.start
        if key not in self.views:
            (R, Q), tiles = self.padded, band.stop - band.start
            padded = cut(self.images[worker], n, self.C, R, Q)
            image, plane = 4 * self.C * R * Q, 4 * R * Q
            shifted = as_strided(
                padded[:, :, band.start * self.r:],
                (self.l, self.C, self.r + self.k - 1, n, tiles, Q),
                (4, plane, 4 * Q, image, 4 * self.r * Q, 4))
            windows = cut(self.windows[worker], *shifted.shape)
            columns = windows.reshape(self.K, -1)
            found = cut(self.found[worker], self.F * self.r, columns.shape[1])
            result = found.reshape(self.F, self.r, n, tiles, Q)[..., :self.width]
            self.views[key] = shifted, windows, columns, found, result
        return self.views[key]

    def matrices(self, W):
        """Filters (G, F, C, k, l) as matrices (G, F·r, K), each r times."""
        G = len(W)
        found = np.zeros((G, self.F, self.r, self.l, self.C, self.r + self.k - 1),
                         np.float32)
        s = found.strides
        places = as_strided(found, (G, self.F, self.r, self.l, self.C, self.k),
                            (s[0], s[1], s[2] + s[5], s[3], s[4], s[5]))
        places[...] = W.transpose(0, 1, 4, 2, 3)[:, :, None]
        return found.reshape(G, self.F * self.r, self.K)

    def diagonals(self, D):
        """Sums (G, C, F, k, l) over pairs of rows in products (G, K, F·r)."""
        D = D.reshape(-1, self.l, self.C, self.r + self.k - 1, self.F, self.r)
        s = D.strides
        pairs = as_strided(D, (len(D), self.C, self.F, self.k, self.l, self.r),
                           (s[0], s[2], s[4], s[3], s[1], s[3] + s[5]))
        return pairs.sum(axis=-1)
