"""Batch norm behind a convolution, without passes of its own through the images.

The statistics of a batch are known when its last image has gone through the
convolution, so two passes there must be, and two on the way back. But there are two
anyway: those of the convolutions below and above. So

- the one below writes its output z, and adds up z and z² while they are in the cache;
- the one above normalises a few images of z into its own input, and applies ReLU to
  them, when it takes them up: forward, and again backward, as nothing but z is kept;
- on the way back it adds up the gradient d that it hands down, and d · (z - mean);
- the one below then makes the gradient of z from d and z as it takes them up.

Max-pooling behind batch norm comes before it, where z is in the cache: normalising
does not change which number is larger, if the slope is above 0. A channel whose slope
is below 0 is turned over: its filters, bias and ReLU change their sign, and so does z.
"""

import numpy as np

from ..steps import pieces
from .program import PIECE, ZERO, Program, rows
from .statistics import BatchStatistics
from .sums import ChannelSums

__all__ = ["BatchNorm", "tiles"]

# A mean so many times as large as the deviation leaves a sum of squares too few digits
# for the variance: then it is summed once more, around the mean.
FAR = 10.0
# A shift so many times as large as the slope would be all that is seen of what is
# normalised in the sums of its products with the gradient.
STEEP = 4.0


class BatchNorm:
    """Batch norm by the statistics of the batch, between two convolutions.

    Parameters
    ----------
    layer : BatchNormLayer
    cuts : bool
        Whether ReLU follows.
    pool : bool
        Whether a 2×2 max-pooling follows.
    size : (int, int)
        Rows and columns of the convolution's output; even, if pooling follows.
    batch : int
        Most images at once.
    desks : list of Desk
        Where all threads work: the steps below and above may use some of them each.

    Attributes
    ----------
    z : array, shape (batch, H, W, C) or (batch, m, m, th, tw, C)
        What is normalised; the convolution writes it. As images, or as their tiles: row
        and column in the tile first.
    p : array, shape (batch, Ho, Wo, C), or z's
        What is left of it by pooling; the convolution writes that, too.
    d : array of p's shape
        The gradient of what p becomes by slope and shift. It may lie where images of
        the batch norm above were: see :meth:`lie_in`.
    joined : bool
        Whether the step above reads p from here, and hands down d to here.
    """

    def __init__(self, layer, cuts, pool, size, batch, desks):
        self.layer, self.cuts, self.pool, self.desks = layer, cuts, pool, desks
        C = layer.input_shape[1]
        self.statistics = BatchStatistics(layer)
        self.z = np.empty((batch, *size, C), np.float32)
        half = size[0] // 2, size[1] // 2
        self.p = np.empty((batch, *half, C), np.float32) if pool else self.z
        self.d = np.empty_like(self.p)
        self.joined, self.y = False, None
        # Whether products of gradients are added up pixel by pixel, and whether that is
        # otherwise than in the batch before.
        self.adds_products, self.is_new = True, False
        self.weighs = False  # whether a convolution reads, and calls weigh()
        # The side of the tiles as which z is kept, and of those that could be.
        self.side, self.covered_by = 1, None
        self._make_rows()

    def lay_out(self, side):
        """Keep z as the tiles that the convolution computes, and p if nothing pools.

        Parameters
        ----------
        side : int
            That of a tile, which the sides of z are multiples of.
        """
        batch, H, W, C = self.z.shape
        shape = batch, side, side, H // side, W // side, C
        self.side, self.z = side, self.z.reshape(shape)
        if not self.pool:
            self.p, self.d = self.z, self.d.reshape(shape)
        self._make_rows()

    def _make_rows(self):
        """Numbers of each channel, repeated for a row of pixels."""
        self.tilt, self.level = np.zeros((2, rows(self.z).shape[-1]), np.float32)
        self.mean, self.slope, self.shift, self.zeros = np.zeros(
            (4, rows(self.p).shape[-1]), np.float32)

    def make_workers(self, k, chunks, chunk):
        """Make sums for the chunks of those who write z, and ask for room.

        Parameters
        ----------
        k : int
            Images at a time.
        chunks, chunk : int
        """
        self.moments = ChannelSums(self.z.shape[-1], chunks, chunk)
        self.write_back(k, chunks, chunk)

    def write_back(self, k, chunks, chunk):
        """The same for those who hand down gradients."""
        self.returned = ChannelSums(self.z.shape[-1], chunks, chunk)
        self.group, size = k, k * self.z[0].size
        for desk in self.desks:
            desk.ask(work=size, flags=-(-size // 4), ones=size // self.z.shape[-1])

    def lie_in(self, z):
        """Put the gradient d where other images lie, (batch, ...), if there is room.

        They must be done with, image by image, before their gradient comes down here.
        """
        z, size = z.reshape(len(z), -1), self.d[0].size
        if z.shape[1] >= size:
            self.d = z[:, :size].reshape(self.d.shape)

    def turn(self):
        """Which channels are turned over from now on: an array of bool, shape (C,)."""
        gamma = self.layer.gamma
        turned = np.zeros(self.z.shape[-1], bool)
        if self.pool and gamma is not None:
            turned |= gamma.value < 0
        self.statistics.sign = np.where(turned, np.float32(-1), np.float32(1))
        return turned

    def measure(self, do, worker, images):
        """Note the sums of z and z² of some images that were just written."""
        z, work = self.z[images], self._work(worker, self.z[images])
        self.moments.add(do, self.desks[worker], images, 0, z)
        do(np.multiply, z, z, out=work)
        self.moments.add(do, self.desks[worker], images, 1, work)

    def settle(self, N, workers):
        """Make what all read from the sums of N images."""
        count, found = N * self.z[0, ..., 0].size, self.statistics
        mean, square = self.moments.in_all(N) / count
        variance = np.maximum(square - mean * mean, 0)
        if np.any(mean * mean > FAR * FAR * variance):
            variance = self._around(mean, N, workers) / count
        found.settle(mean, variance, count)
        before = self.adds_products
        self.adds_products = not self.weighs or self._steep()
        self.is_new = before != self.adds_products
        for row, numbers in ((self.mean, found.mean), (self.slope, found.slope),
                             (self.shift, found.shift)):
            _repeat(row, numbers)

    def _steep(self):
        """Whether a channel's slope is too small beside its shift, or 0."""
        gamma = 1 if self.layer.gamma is None else np.abs(self.layer.gamma.value)
        beta = 0 if self.layer.beta is None else np.abs(self.layer.beta.value)
        return bool(np.any(beta > STEEP * gamma) or np.any(gamma == 0))

    def _around(self, mean, N, workers):
        """Sums of (z - mean)² over N images, (C,)."""
        C = len(mean)
        totals = np.zeros((workers.count, C))

        def share(worker, start, stop):
            for n in range(start, stop):
                apart = self.z[n].reshape(-1, C) - mean
                totals[worker] += np.sum(apart * apart, axis=0)

        workers.run(share, N)
        return totals.sum(axis=0)

    def hand_on(self, do, images, out):
        """Note that some images are normalised, (k, Ho, Wo, C), and cut by ReLU."""
        out = rows(out)
        do(np.multiply, rows(self.p[images]), self.slope, out=out)
        do(np.add, out, self.shift, out=out)
        if self.cuts:
            do(np.maximum, out, self.zeros, out=out)

    def take_back(self, do, worker, images, dout, out):
        """Note that some images' gradient comes down, and is added up.

        Parameters
        ----------
        do : Program
        worker : int
        images : slice
        dout, out : arrays of p's shape
            The gradient, and what was handed on.
        """
        d = self.d[images]
        if self.cuts:
            on = self.desks[worker].flags(*rows(d).shape)
            do(np.greater, rows(out), ZERO, out=on)
            do(np.multiply, rows(dout), on, out=rows(d))
        else:
            do(np.copyto, rows(d), rows(dout))
        self.add_up(do, worker, images)

    def add_up(self, do, worker, images):
        """Note that the gradient d of some images is added up."""
        d = self.d[images]
        self.returned.add(do, self.desks[worker], images, 0, d)
        if not self.adds_products:
            return
        work = self._work(worker, d)
        do(np.subtract, rows(self.p[images]), self.mean, out=rows(work))
        do(np.multiply, work, d, out=work)
        self.returned.add(do, self.desks[worker], images, 1, work)

    def weigh(self, W, dW, workers):
        """Take the filters (F, C, kh, kw) that read from here, and their gradient.

        Their products say what those of the gradient d and of y = slope · p + shift,
        or relu(y), add up to: both are the same sum over filters, images and pixels.
        """
        F, C = W.shape[:2]
        self.product = np.empty(C)

        def share(worker, start, stop):
            one, other = (a[:, start:stop].reshape(F, stop - start, -1)
                          for a in (W, dW))
            self.product[start:stop] = np.einsum("fcu,fcu->c", one, other,
                                                 dtype=np.float64)

        workers.run(share, C, least=-(-PIECE // W[:, 0].size))

    def settle_back(self, N):
        """Make what the convolution reads; return the parameters' gradients."""
        d, product = self.returned.in_all(N)
        if not self.adds_products:  # Σ d · y = slope · Σ d · (p - mean) + beta · Σ d
            beta = 0 if self.layer.beta is None else self.layer.beta.value
            product = (self.product - beta * d) / self.statistics.slope
        gradients = self.statistics.back(d, product)
        _repeat(self.tilt, self.statistics.tilt)
        _repeat(self.level, self.statistics.level)
        return gradients

    def gradient(self, do, worker, images, relu, out=None):
        """Note the gradient of z, but for the slope.

        Where pooling follows, d goes to one place of four, and is left out here.

        Returns
        -------
        array, shape (k, H, W, C)
            A thread's scratch, or ``out``, tiles (m, m, k, th, tw, C).
        """
        z, d = self.z[images], self.d[images]
        if out is None:
            out = self._work(worker, z)
        else:
            z, d = tiles(z), d if self.pool else tiles(d)
        do(np.multiply, rows(z), self.tilt, out=rows(out))
        if not self.pool:
            do(np.add, out, d, out=out)
        do(np.add, rows(out), self.level, out=rows(out))
        return self._cut(do, worker, out, z, out) if relu else out

    def gradient_of_p(self, do, worker, images, relu):
        """Note what goes to one place of four, (k, Ho, Wo, C), but for the slope."""
        d = self.d[images]
        if not relu:
            return d
        return self._cut(do, worker, d, self.p[images], self._work(worker, d))

    def _cut(self, do, worker, gradient, z, out):
        """Note that a gradient goes back through the ReLU that z came from."""
        on = self.desks[worker].flags(*z.shape)
        do(np.not_equal, z, ZERO, out=on)
        do(np.multiply, gradient, on, out=out)
        return out

    def run_on(self, N, workers, chunk):
        """Normalise N images for whoever reads them; returns (N, C, Ho, Wo)."""
        if self.joined:
            return self.stand_in(self.p, N)
        if self.y is None:
            self.y = np.empty_like(self.p)

        def note(do, worker, images):
            self.hand_on(do, images, self.y[images])

        self._run(note, N, workers, chunk)
        return self.y[:N].transpose(0, 3, 1, 2)

    def stand_in(self, values, N):
        """For N images that are not made: as large, (N, C, Ho, Wo), and not to be read.
        """
        _, C, *size = self.layer.input_shape
        size = [n // (1 + self.pool) for n in size]
        return values[:N].reshape(N, *size, C).transpose(0, 3, 1, 2)

    def run_back(self, dy, workers, chunk):
        """Take back the gradient (N, C, Ho, Wo) that comes from whoever read."""
        dy = dy.transpose(0, 2, 3, 1)  # (N, Ho, Wo, C)
        if not dy.flags.c_contiguous:
            dy = np.ascontiguousarray(dy)

        def note(do, worker, images):
            self.take_back(do, worker, images, dy[images], self.y[images])

        self._run(note, len(dy), workers, chunk)

    def _run(self, note, N, workers, chunk):
        def work(worker, place):
            do = Program()
            for images in pieces(place * chunk, min((place + 1) * chunk, N),
                                 self.group):
                note(do, worker, images)
            do.run()

        workers.run_chunks(work, -(-N // chunk))

    def _work(self, worker, like):
        return self.desks[worker].cut("work", *like.shape)

    @property
    def nbytes(self):
        """Bytes in all buffers."""
        arrays = [self.z, self.moments, self.returned]
        arrays += [self.d] * (self.d.base is None)
        arrays += [self.p] * self.pool + [self.y] * (self.y is not None)
        return sum(a.nbytes for a in arrays)


def tiles(images):
    """Tiles of images, (k, m, m, th, tw, C), in the order of convolutions.

    That is (m, m, k, th, tw, C).
    """
    return images.transpose(1, 2, 0, 3, 4, 5)


def _repeat(row, numbers):
    """Write one number a channel, (C,), to all pixels of a row, (W·C,)."""
    row.reshape(-1, len(numbers))[...] = numbers
