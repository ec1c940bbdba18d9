"""Convolution, bias and ReLU, with batch norm and max-pooling behind, in training.

The convolution writes what batch norm reads, and adds it up: see
:mod:`~minifer.compiled.cpu.batch_norm`. On the way back it takes up what batch norm
makes of the gradient.
"""

import numpy as np

from .batch_norm import tiles
from .folding import Folding
from .fused_conv import FusedConv
from .program import rows

__all__ = ["NormedConv"]


class NormedConv(FusedConv):
    """A convolution that learns, with batch norm by the statistics of the batch.

    Parameters
    ----------
    norm : BatchNorm
    conv, relu, batch, need_dx, algorithm, below, read_as_tiles
        As for :class:`minifer.compiled.cpu.fused_conv.FusedConv`; ReLU is the one
        between convolution and batch norm.
    """

    def __init__(self, norm, conv, relu, batch, need_dx, algorithm, below=None,
                 read_as_tiles=False):
        super().__init__(conv, relu, norm.pool, Folding(), batch, True, need_dx,
                         algorithm, below, read_as_tiles)
        self.norm = norm
        self.masks.pop("on", None)  # z says it
        g = self.geometry
        whole = g.conv_size == (g.m * g.tiles[0], g.m * g.tiles[1])
        if whole and self.algorithm != "row":
            norm.covered_by = g.m
            if norm.pool:
                norm.lay_out(g.m)
        # The gradient counts by batch norm's slope: images of it or filters, the fewer.
        self.scales_images = batch * np.prod(g.conv_size) < g.C * g.kh * g.kw
        self.slope = np.zeros(g.F, np.float32)
        # As (tw, F), but for all of a tile's place: one long row.
        self.bias, self.low, self.high = np.zeros((3, *g.tiles, g.F), np.float32)

    def make_workers(self, desks, k, chunk, dx="dx"):
        super().make_workers(desks, k, chunk, dx)
        size = self.kernels[0].sizes["y"]
        for desk in desks:
            desk.ask(ones=size // self.geometry.F, part=size * self.pool)
        self.norm.make_workers(k, -(-self.batch // chunk), chunk)

    def begin(self, workers):
        turned = self.norm.turn()
        changed = bool(self.relu and turned.any() != self.turned.any())
        self.turned = turned
        self.low[...], self.high[...] = np.where(turned, -np.inf, 0), np.where(
            turned, 0, np.inf)
        W, sign = self.conv.W.value, self.norm.statistics.sign
        b = 0 if self.conv.b is None else self.conv.b.value
        self.bias[...] = b * sign
        if turned.any():
            W = W * sign[:, None, None, None]
        self._set_filters(W, workers, back=self.scales_images)
        return changed

    def _forward(self, do, worker, images, x, out):
        kernel, norm = self.kernels[worker], self.norm
        y = kernel.forward(do, x, self.filters)  # (m, m, k, th, tw, F)
        last = self._last()
        if self.adds_bias and not kernel.adds_bias:
            last.insert(0, (np.add, self.bias))
        if norm.side == 1:
            for function, row in last:
                do(function, y, row, out=y)
            self._write(do, y, out)
        else:  # the last call writes
            z = tiles(out)
            for function, row in last[:-1]:
                do(function, rows(y), row.reshape(-1), out=rows(y))
            for function, row in last[-1:]:
                do(function, rows(y), row.reshape(-1), out=rows(z))
            if not last:
                do(np.copyto, z, y)
            y = z
        norm.measure(do, worker, images)
        if self.pool:  # (step, step, k, th, tw, F)
            self._write(do, self._pool(do, worker, images, y), norm.p[images])

    def begin_back(self, images, dy, workers, chunk):
        """Make what :meth:`backward` needs to know of all images.

        Parameters
        ----------
        images : int
        dy : array, shape (N, F, Ho, Wo)
            The gradient from above, if it has not come down yet.
        workers : Workers
        chunk : int

        Returns
        -------
        dict of Param -> array
            The batch norm's gradients.
        """
        if not self.norm.joined:
            self.norm.run_back(dy, workers, chunk)
        gradients = self.norm.settle_back(images)
        self.slope[...] = self.norm.statistics.slope
        if not self.scales_images:
            self.filters.scale(self.slope, workers.run)
        return gradients

    def backward(self, do, worker, images, dout):
        """As FusedConv's; the gradient is the batch norm's, and ``dout`` is not read.
        """
        norm, kernel = self.norm, self.kernels[worker]
        dy = kernel.gradient_buffer(images.stop - images.start)  # (m, m, k, th, tw, F)
        if norm.side == 1:
            dz = norm.gradient(do, worker, images, self.relu)  # (k, H, W, F)
            self._read(do, dz, dy)
        else:
            norm.gradient(do, worker, images, self.relu, dy)
        if self.pool:
            dp = norm.gradient_of_p(do, worker, images, self.relu)
            tiles = kernel.desk.cut("small", len(dy) // 2, len(dy) // 2, *dy.shape[2:])
            self._read(do, dp, tiles)
            part = kernel.desk.cut("part", *dy.shape)
            self._unpool(do, worker, images, tiles, part)
            do(np.add, dy, part, out=dy)
        if self.scales_images:
            do(np.multiply, dy, self.slope, out=dy)
        F = self.geometry.F
        rows = kernel.desk.cut("y", dy.size // F, F)  # the same memory
        return self._gradients(do, worker, images, dy, rows)

    def write_to(self, target=None):
        """It writes where its batch norm reads."""

    def _output(self, images):
        return self.norm.z[images]

    def _write(self, do, tiles, images):
        """Note that tiles are copied to images (k, Ho, Wo, F)."""
        for place, part in self._places(images, tiles):
            do(np.copyto, place, part)

    def gradients(self, images, workers):
        counts = self.norm.statistics.sign if self.turned.any() else None
        if not self.scales_images:
            counts = self.slope if counts is None else self.slope * counts
        return super().gradients(images, workers, counts)

    @property
    def nbytes(self):
        return super().nbytes + self.norm.nbytes
