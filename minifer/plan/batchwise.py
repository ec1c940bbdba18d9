"""Steps that stand between convolutions: batch norm, pooling, ReLU.

They keep images with channels last in memory (the arrays are still shaped (N, C,
H, W)), so that a row of numbers is one pixel's channels and whole images are
long rows; the threads share the pixels or images out among themselves.
"""

import numpy as np

from .steps import Step, channels_last, pieces

__all__ = ["NormStep", "FixedNormStep", "PoolStep", "ReluStep"]

# Elements a thread works on at a time. Smaller pieces would stay in its own cache,
# but the threads would then meet at the interpreter's lock more often: that costs more.
PIECE = 1 << 18


class NormStep(Step):
    """Batch normalisation of images by the statistics of the batch.

    Several pixels are taken as one row, with the channels' numbers repeated, as
    short rows would cost more in loops than in arithmetic.
    """

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer, self.workers = layers[-1], workers
        _, C, H, W = self.layer.input_shape
        self.y = np.empty((batch, H, W, C), np.float32)
        self.dx = np.empty_like(self.y) if need_dx else None
        self.repeat = next(n for n in (16, 9, 8, 7, 6, 5, 4, 3, 2, 1) if H * W % n == 0)
        self.width = self.repeat * C
        self.work = np.empty((workers.count, max(PIECE, self.width)), np.float32)
        self.ones = np.ones(max(1, PIECE // self.width), np.float32)
        self.nbytes = self.y.nbytes * (1 + need_dx)

    def forward(self, xs):
        layer, N = self.layer, len(xs[0])
        self.x = x = channels_last(xs[0]).reshape(-1, self.width)
        y, self.count = self.y[:N].reshape(x.shape), x.size // self.y.shape[-1]
        # Mean and variance in one pass: around a first guess of the mean, sums of
        # squares lose nothing to cancellation.
        guess = self._wide(self._fold(x[:len(self.ones)].mean(axis=0)) / self.repeat)

        def moments(part, work):
            yield np.subtract(x[part], guess, out=work)
            yield np.multiply(work, work, out=work)

        first, second = (s / self.count for s in self._sums(moments))
        self.mean = first + guess[:len(first)]
        variance = np.maximum(second - first * first, 0)
        self.inv_std = 1 / np.sqrt(variance + layer.epsilon)
        self.slope = self.inv_std * (1 if layer.gamma is None else layer.gamma.value)
        shift = (0 if layer.beta is None else layer.beta.value) - self.mean * self.slope
        scale_and_shift(x, self._wide(self.slope), self._wide(shift), y, self._each)
        layer.update_averages(self.mean, self.inv_std)
        return self.y[:N].transpose(0, 3, 1, 2)

    def backward(self, dy):
        layer, x = self.layer, self.x
        d, mean = channels_last(dy).reshape(x.shape), self._wide(self.mean)

        def both(part, work):
            yield d[part]
            np.subtract(x[part], mean, out=work)
            yield np.multiply(work, d[part], out=work)

        dbeta, dgamma = self._sums(both)
        dgamma *= self.inv_std
        gradients = {layer.gamma: dgamma, layer.beta: dbeta}
        gradients = {p: g for p, g in gradients.items() if p is not None}
        if not self.need_dx:
            return [None], gradients
        # dx = slope (d - mean d - normed mean(d normed)), sorted by d, x and 1.
        dx = self.dx[:len(dy)].reshape(x.shape)
        tilt = -self.slope * self.inv_std * dgamma / self.count
        shift = self._wide(-self.slope * dbeta / self.count - tilt * self.mean)
        slope, tilt = self._wide(self.slope), self._wide(tilt)

        def share(part, work, worker):
            np.multiply(d[part], slope, out=dx[part])
            np.multiply(x[part], tilt, out=work)
            work += shift
            dx[part] += work

        self._each(share, len(x))
        return [self.dx[:len(dy)].transpose(0, 3, 1, 2)], gradients

    def _wide(self, values):
        """One number a channel, repeated for a row of pixels."""
        return np.tile(values.astype(np.float32), self.repeat)

    def _each(self, task, total):
        """``task(rows, work, worker)`` on pieces of the rows, in all threads."""
        rows = len(self.ones)

        def share(worker, start, stop):
            for i in range(start, stop, rows):
                part = slice(i, min(i + rows, stop))
                size = (part.stop - part.start) * self.width
                task(part, self.work[worker, :size].reshape(-1, self.width), worker)

        self.workers.run(share, total, least=rows)

    def _sums(self, values):
        """Sums over all pixels of the two arrays that ``values(rows, work)`` yields."""
        totals = np.zeros((2, self.workers.count, self.width), np.float64)

        def add(part, work, worker):
            for total, piece in zip(totals, values(part, work)):
                total[worker] += np.matmul(self.ones[:len(piece)], piece)

        self._each(add, len(self.x))
        return [self._fold(total) for total in totals]

    def _fold(self, total):
        """Sums for each channel from sums for each place in a row."""
        return total.reshape(-1, self.y.shape[-1]).sum(axis=0).astype(np.float32)


class FixedNormStep(NormStep):
    """Batch normalisation by the running averages, as prediction does."""

    def forward(self, xs):
        layer = self.layer
        x = channels_last(xs[0]).reshape(-1, self.width)
        gamma = 1 if layer.gamma is None else layer.gamma.value
        slope = layer.inv_std.value * gamma
        beta = 0 if layer.beta is None else layer.beta.value
        shift = beta - layer.mean.value * slope
        y = self.y[:len(xs[0])]
        scale_and_shift(x, self._wide(slope), self._wide(shift), y.reshape(x.shape),
                        self._each)
        return y.transpose(0, 3, 1, 2)


def scale_and_shift(x, slope, shift, y, each):
    """``y = x * slope + shift``, row by row."""
    def share(part, work, worker):
        np.multiply(x[part], slope, out=y[part])
        y[part] += shift

    each(share, len(x))


class PoolStep(Step):
    """Max-pooling over 2×2 windows that do not overlap."""

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.workers = workers
        _, C, H, W = layers[-1].input_shape
        self.size = Ho, Wo = H // 2, W // 2
        self.y = np.empty((batch, Ho, Wo, C), np.float32)
        self.group = max(1, PIECE // (H * W * C))
        self.wide = np.empty((workers.count, self.group, 2 * Ho, Wo, C), np.float32)
        self.dx = np.zeros((batch, H, W, C), np.float32) if need_dx else None
        if need_dx:
            self.column_mask = np.empty((batch, 2 * Ho, Wo, C), bool)
            self.row_mask = np.empty((batch, Ho, Wo, C), bool)
        self.nbytes = sum(a.nbytes for a in vars(self).values()
                          if isinstance(a, np.ndarray))

    def forward(self, xs):
        x, (Ho, Wo) = channels_last(xs[0]), self.size
        x = x[:, :2 * Ho, :2 * Wo]

        def share(worker, start, stop):
            for some in pieces(start, stop, self.group):
                left, right = x[some, :, 0::2], x[some, :, 1::2]
                wide = np.maximum(left, right, out=self.wide[worker, :len(left)])
                top, bottom = wide[:, 0::2], wide[:, 1::2]
                np.maximum(top, bottom, out=self.y[some])
                if self.need_dx:
                    np.greater_equal(left, right, out=self.column_mask[some])
                    np.greater_equal(top, bottom, out=self.row_mask[some])

        self.workers.run(share, len(x))
        return self.y[:len(x)].transpose(0, 3, 1, 2)

    def backward(self, dy):
        if not self.need_dx:
            return [None], {}
        d, (Ho, Wo) = channels_last(dy), self.size
        dx = self.dx[:len(d), :2 * Ho, :2 * Wo]

        def share(worker, start, stop):
            for some in pieces(start, stop, self.group):
                # To the first maximum: rows first, then columns.
                wide = self.wide[worker, :some.stop - some.start]
                top, bottom = wide[:, 0::2], wide[:, 1::2]
                left, right = dx[some, :, 0::2], dx[some, :, 1::2]
                np.multiply(d[some], self.row_mask[some], out=top)
                np.subtract(d[some], top, out=bottom)
                np.multiply(wide, self.column_mask[some], out=left)
                np.subtract(wide, left, out=right)

        self.workers.run(share, len(d))
        return [self.dx[:len(d)].transpose(0, 3, 1, 2)], {}


class ReluStep(Step):
    """ReLU as a layer of its own."""

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.workers = workers
        _, C, H, W = layers[-1].input_shape
        self.group = max(1, PIECE // (H * W * C))
        self.y = np.empty((batch, H, W, C), np.float32)
        self.dx = np.empty_like(self.y) if need_dx else None
        self.nbytes = self.y.nbytes * (1 + need_dx)

    def forward(self, xs):
        x = channels_last(xs[0])

        def share(worker, start, stop):
            for some in pieces(start, stop, self.group):
                np.maximum(x[some], 0, out=self.y[some])

        self.workers.run(share, len(x))
        return self.y[:len(x)].transpose(0, 3, 1, 2)

    def backward(self, dy):
        if not self.need_dx:
            return [None], {}
        d = channels_last(dy)

        def share(worker, start, stop):
            for some in pieces(start, stop, self.group):
                np.multiply(d[some], self.y[some] > 0, out=self.dx[some])

        self.workers.run(share, len(d))
        return [self.dx[:len(d)].transpose(0, 3, 1, 2)], {}
