"""Steps between convolutions: batch norm, ReLU, and what those of pooling share.

They keep images with channels last in memory (the arrays are still shaped (N, C,
H, W)), so that a row of pixels is one long row of numbers; the threads share the
images out among themselves, and work on k of them at a time.
"""

import numpy as np

from ..steps import Step, channels_last, pieces
from .statistics import BatchStatistics

__all__ = ["ImageStep", "NormStep", "FixedNormStep", "ReluStep"]

# Elements a thread works on at a time. Smaller pieces would stay in its own cache,
# but the threads would then meet at the interpreter's lock more often: that costs more.
PIECE = 1 << 18


class ImageStep(Step):
    """Base of the steps here: channels last, a few images at a time.

    Attributes
    ----------
    y : array, shape (batch, Ho, Wo, C)
        The buffer of the output. A convolution that alone reads it may put its own
        input buffer here, so that nothing need be copied.
    dx : array, shape (batch, H, W, C), or None
        Likewise for the gradient of the input.
    group : int
        Images at a time.
    """

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer, self.workers = layers[-1], workers
        _, C, H, W = getattr(layers[-1], "input_shape", layers[-1].output_shape)
        # (N, Ho, Wo, C)
        self.y = np.empty((batch, *self.layer.output_shape[2:], C), np.float32)
        self.dx = np.zeros((batch, H, W, C), np.float32) if need_dx else None
        self.group = max(1, PIECE // (H * W * C))

    @property
    def nbytes(self):
        """Bytes in its own buffers."""
        return sum(a.nbytes for a in vars(self).values()
                   if isinstance(a, np.ndarray) and a.base is None)

    def _each(self, task, images):
        """``task(images, worker)`` on a few images at a time, in all threads."""
        def share(worker, start, stop):
            for some in pieces(start, stop, self.group):
                task(some, worker)

        self.workers.run(share, images)

    def _output(self, images):
        return self.y[:images].transpose(0, 3, 1, 2)  # (N, C, Ho, Wo)

    def _input_gradient(self, images):
        return [self.dx[:images].transpose(0, 3, 1, 2)]  # (N, C, H, W)


class NormStep(ImageStep):
    """Batch normalisation of images by the statistics of the batch.

    A row of pixels is worked on as one, with the channels' numbers repeated, as
    rows of C numbers would cost more in loops than in arithmetic.
    """

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx, workers, batch)
        _, H, W, C = self.y.shape
        # (threads, k, H, W*C)
        self.work = np.empty((workers.count, self.group, H, W * C), np.float32)
        self.ones = np.ones(self.group * H, np.float32)
        self.statistics = BatchStatistics(self.layer)

    def forward(self, xs):
        N = len(xs[0])
        self.x = x = rows(channels_last(xs[0]))  # (N, H, W*C)
        count = x.size // self.y.shape[-1]
        # Mean and variance in one pass: around a first guess of the mean, sums of
        # squares lose nothing to cancellation.
        # (C,)
        guess = self._fold(x[:self.group].mean(axis=(0, 1))) / self.y.shape[2]
        wide = self._wide(guess)  # (W*C,)

        def moments(images, work):
            yield np.subtract(x[images], wide, out=work)
            yield np.multiply(work, work, out=work)

        first, second = (s / count for s in self._sums(moments))  # (C,) each
        self.statistics.settle(first + guess, np.maximum(second - first * first, 0),
                               count)
        self._scale_and_shift(x, self.statistics.slope, self.statistics.shift)
        return self._output(N)

    def backward(self, dy):
        x, found = self.x, self.statistics
        d, mean = rows(channels_last(dy)), self._wide(found.mean)  # (N, H, W*C), (W*C,)

        def both(images, work):
            yield d[images]
            np.subtract(x[images], mean, out=work)
            yield np.multiply(work, d[images], out=work)

        gradients = found.back(*self._sums(both), self.need_dx)
        if not self.need_dx:
            return [None], gradients
        dx = rows(self.dx)  # (N, H, W*C)
        slope, tilt, level = map(self._wide, (  # (W*C,) each
            found.slope, found.slope * found.tilt, found.slope * found.level))

        def share(images, worker):
            work, part = self._work(images, worker), dx[images]
            np.multiply(d[images], slope, out=part)
            np.multiply(x[images], tilt, out=work)
            work += level
            part += work

        self._each(share, len(x))
        return self._input_gradient(len(x)), gradients

    def _scale_and_shift(self, x, slope, shift):
        """``y = x * slope + shift``, with a number of each for every channel."""
        y, slope, shift = rows(self.y), self._wide(slope), self._wide(shift)

        def share(images, worker):
            part = y[images]
            np.multiply(x[images], slope, out=part)
            part += shift

        self._each(share, len(x))

    def _wide(self, values):
        """One number a channel, repeated for a row of pixels."""
        return np.tile(values.astype(np.float32), self.y.shape[2])

    def _work(self, images, worker):
        """A thread's own buffer, as large as these images."""
        return self.work[worker, :images.stop - images.start]

    def _sums(self, values):
        """Sums over all pixels of the two arrays that ``values(images, work)`` yields.
        """
        # (2, threads, W*C)
        totals = np.zeros((2, self.workers.count, self.work.shape[-1]), np.float64)

        def add(images, worker):
            for total, piece in zip(totals, values(images, self._work(images, worker))):
                piece = piece.reshape(-1, piece.shape[-1])  # (k*H, W*C)
                total[worker] += np.matmul(self.ones[:len(piece)], piece)

        self._each(add, len(self.x))
        return [self._fold(total) for total in totals]

    def _fold(self, total):
        """Sums for each channel, (C,), from those for each place in a row, W*C."""
        return total.reshape(-1, self.y.shape[-1]).sum(axis=0).astype(np.float32)


class FixedNormStep(NormStep):
    """Batch normalisation by the running averages, as prediction does."""

    def forward(self, xs):
        layer = self.layer
        gamma = 1 if layer.gamma is None else layer.gamma.value
        slope = layer.inv_std.value * gamma
        beta = 0 if layer.beta is None else layer.beta.value
        self._scale_and_shift(rows(channels_last(xs[0])), slope,
                              beta - layer.mean.value * slope)
        return self._output(len(xs[0]))


def rows(images):
    """Images (N, H, W, C) as (N, H, W·C): the same memory, in which W and C adjoin."""
    return images.reshape(*images.shape[:2], -1)


class ReluStep(ImageStep):
    """ReLU as a layer of its own."""

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx, workers, batch)
        self.zeros = np.zeros(self.y.shape[2:], np.float32)  # (W, C)

    def forward(self, xs):
        x = channels_last(xs[0])  # (N, H, W, C)

        def share(images, worker):
            np.maximum(x[images], self.zeros, out=self.y[images])

        self._each(share, len(x))
        return self._output(len(x))

    def backward(self, dy):
        if not self.need_dx:
            return [None], {}
        d = channels_last(dy)  # (N, H, W, C)

        def share(images, worker):
            np.multiply(d[images], self.y[images] > 0, out=self.dx[images])

        self._each(share, len(d))
        return self._input_gradient(len(d)), {}
