"""Depthwise convolution: a few filters for each channel, which sees nothing else.

A filter of nine numbers is too few for a product of matrices. So a channel's images
lie one behind the other, each with a border of zeros; shifted by an element of the
filter, the whole row of them is multiplied with it and added up. The input's gradient
is the same with the filter turned round, and that of a filter's element is one scalar
product of such rows. Some images at a time, so that they stay in the cache.
"""

import itertools

import numpy as np

from ...nonlinearities import identity, rectify
from ..steps import PlainStep, pieces
from .program import ZERO

__all__ = ["DepthwiseStep", "is_depthwise"]

#: Bytes of a channel's images that are worked on at a time: three such rows, of the
#: input, the sum and a product, are in a core's cache.
PIECE_BYTES = 2 ** 18
#: Filters a channel, and elements of a filter, up to which it pays.
MOST_FILTERS, MOST_ELEMENTS = 4, 25
#: Pixels of a channel in a batch from which on its rows are long enough.
ENOUGH_PIXELS = 2 ** 13


def is_depthwise(layer, batch):
    """Whether a convolution of so many images is one for which this step is made."""
    shape, size = layer.input_shape, layer.filter_size
    return (None not in shape[1:] and len(shape) == 4 and layer.num_groups == shape[1]
            and layer.num_filters <= MOST_FILTERS * shape[1]
            and np.prod(size) <= MOST_ELEMENTS and layer.stride == (1, 1)
            and batch * np.prod(shape[2:]) >= ENOUGH_PIXELS
            and not layer.untie_biases and not isinstance(layer.pad, str)
            and all(p < k for p, k in zip(layer.pad, size))
            and layer.nonlinearity in (identity, rectify))


class DepthwiseStep(PlainStep):
    """A Conv2DLayer with as many groups as channels, the channels shared out.

    Parameters
    ----------
    layers, bottoms, learns, need_dx
    logits : bool
        Whether its nonlinearity is left out.
    workers : Workers
    batch : int

    Notes
    -----
    Letters: N images, C channels, M filters a channel, of k by l elements, H by W
    pixels, p and q of padding; R by Q is an image with room for both its own border and
    that of its gradient.
    """

    algorithm = "depthwise"

    def __init__(self, layers, bottoms, learns, need_dx, logits, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx, {}, logits)
        self.workers, layer = workers, self.layer
        self.cuts = layer.nonlinearity is rectify and not logits
        (_, C, H, W), (k, m) = layer.input_shape, layer.filter_size
        (p, q), (_, F, Ho, Wo) = layer.pad, layer.output_shape
        self.M, self.inside = F // C, (
            slice(None), slice(p, p + H), slice(q, q + W))
        # The gradient's border, with which its windows lie at all pixels of the image.
        a, b = k - 1 - p, m - 1 - q
        self.around = slice(None), slice(a, a + Ho), slice(b, b + Wo)
        self.R, self.Q = max(H + 2 * p, Ho + 2 * a), max(W + 2 * q, Wo + 2 * b)
        self.shape, self.first = (H, W, Ho, Wo), a * self.Q + b
        self.shifts = [u * self.Q + v for u, v in itertools.product(range(k), range(m))]
        self.group = max(1, min(batch, PIECE_BYTES // (4 * self.R * self.Q)))
        self.slack = self.shifts[-1]
        rows = C if learns else workers.count
        self.x = self._rows(rows, batch)
        self.y = np.empty((batch, F, Ho, Wo), np.float32)
        self.dx = np.empty((batch, C, H, W), np.float32) if need_dx else None
        one = [self._rows(workers.count, self.group) for _ in range(3)]
        self.dy, self.sums, self.products = one
        self.nbytes = sum(buffer.nbytes for buffer in (self.x, self.y, *one)) + (
            self.dx.nbytes if need_dx else 0)
        self.mflop = 2e-6 * F * Ho * Wo * k * m * (1 + learns + need_dx)

    def _rows(self, count, images):
        """Rows of zeros, each for some images, and what the last window reaches."""
        return np.zeros((count, images * self.R * self.Q + self.slack), np.float32)

    def _images(self, row, count):
        """A row as images (count, R, Q)."""
        return row[:count * self.R * self.Q].reshape(count, self.R, self.Q)

    def forward(self, xs):
        x, layer = xs[0], self.layer
        W = self._filters()
        b = None if layer.b is None else layer.b.value
        Ho, Wo = self.shape[2:]

        def share(worker, start, stop):
            for c in range(start, stop):
                row = self.x[c if self.learns else worker]
                for some in pieces(0, len(x), self.group):
                    here = self._part(row, some)
                    count = some.stop - some.start
                    self._images(here, count)[self.inside] = x[some, c]
                    for f in range(c * self.M, (c + 1) * self.M):
                        total = self._correlated(worker, here, W[f], self.shifts)
                        out = self.y[some, f]
                        found = self._images(total, count)[:, :Ho, :Wo]
                        if b is None:
                            np.copyto(out, found)
                        else:
                            np.add(found, b[f, ...], out=out)
                        if self.cuts:
                            np.maximum(out, ZERO, out=out)

        self.workers.run(share, x.shape[1])
        self.N = len(x)
        return self.y[:self.N]

    def backward(self, dy):
        W, layer, (H, width) = self._filters(), self.layer, self.shape[:2]
        dW, db = np.zeros_like(W), np.zeros(len(W), np.float32)

        def share(worker, start, stop):
            for c, some in itertools.product(range(start, stop),
                                             pieces(0, self.N, self.group)):
                here, count = self._part(self.x[c], some), some.stop - some.start
                placed, total = self.dy[worker], None
                length = count * self.R * self.Q - self.first
                for f in range(c * self.M, (c + 1) * self.M):
                    images = self._images(placed, count)[self.around]
                    np.copyto(images, dy[some, f])
                    if self.cuts:
                        images *= self.y[some, f] > 0
                    db[f] += images.sum()
                    gradient = placed[self.first:self.first + length]
                    for i, shift in enumerate(self.shifts):
                        dW[f, i] += np.dot(gradient, here[shift:shift + length])
                    if self.dx is not None:
                        total = self._correlated(worker, placed, W[f, ::-1],
                                                 self.shifts, count, total)
                if self.dx is not None:
                    np.copyto(self.dx[some, c],
                              self._images(total, count)[:, :H, :width])

        self.workers.run(share, len(W) // self.M)
        dW = dW.reshape(layer.W.shape)
        gradients = {layer.W: dW[..., ::-1, ::-1].copy() if layer.flip_filters else dW}
        if layer.b is not None:
            gradients[layer.b] = db
        return [None if self.dx is None else self.dx[:self.N]], gradients

    def _filters(self):
        """Filters as they slide, (F, elements)."""
        W = self.layer.W.value
        W = W[..., ::-1, ::-1] if self.layer.flip_filters else W
        return np.ascontiguousarray(W).reshape(len(W), -1)

    def _part(self, row, some):
        """Some images of a row, and what the last window reaches behind them."""
        size = self.R * self.Q
        if not self.learns:
            some = slice(0, some.stop - some.start)
        return row[some.start * size:some.stop * size + self.slack]

    def _correlated(self, worker, row, w, shifts, count=None, total=None):
        """The row's sum over shifts, each times an element; added to a total, if any.
        """
        length = len(row) - self.slack if count is None else count * self.R * self.Q
        out, product = self.sums[worker][:length], self.products[worker][:length]
        for i, shift in enumerate(shifts):
            target = product if i or total is not None else out
            np.multiply(row[shift:shift + length], w[i, ...], out=target)
            if target is product:
                np.add(out, product, out=out)
        return out
