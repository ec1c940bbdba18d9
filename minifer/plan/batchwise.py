"""Steps that stand between convolutions: batch norm, pooling, ReLU.

They keep images with channels last in memory (the arrays are still shaped (N, C,
H, W)), so that a row of numbers is one pixel's channels and whole images are
long rows; the threads share the pixels or images out among themselves.
"""

import numpy as np

from .steps import Step, channels_last

__all__ = ["NormStep", "PoolStep", "ReluStep"]

# Elements a thread works on at a time: a few such pieces fit its cache.
PIECE = 1 << 15


class NormStep(Step):
    """Batch normalisation of images by the statistics of the batch."""

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer, self.workers = layers[-1], workers
        _, C, H, W = self.layer.input_shape
        self.y = np.empty((batch, H, W, C), np.float32)
        self.dx = np.empty_like(self.y) if need_dx else None
        self.work = np.empty((workers.count, max(PIECE, C)), np.float32)
        self.ones = np.ones(max(1, PIECE // C), np.float32)
        self.nbytes = self.y.nbytes * (1 + need_dx)

    def forward(self, xs):
        layer, C = self.layer, self.y.shape[-1]
        self.x = channels_last(xs[0]).reshape(-1, C)
        x, y = self.x, self.y[:len(xs[0])].reshape(-1, C)
        self.mean = mean = self._sum(lambda part, work: x[part]) / len(x)

        def squares(part, work):
            centred = np.subtract(x[part], mean, out=work)
            return np.multiply(centred, centred, out=centred)

        variance = self._sum(squares) / len(x)
        self.inv_std = inv_std = 1 / np.sqrt(variance + layer.epsilon)
        slope = inv_std if layer.gamma is None else inv_std * layer.gamma.value

        def normalise(part, work, worker):
            np.subtract(x[part], mean, out=y[part])
            y[part] *= slope
            if layer.beta is not None:
                y[part] += layer.beta.value

        self._each(normalise, len(x))
        layer.update_averages(mean, inv_std)
        return self.y[:len(xs[0])].transpose(0, 3, 1, 2)

    def backward(self, dy):
        layer, x, C = self.layer, self.x, self.y.shape[-1]
        mean, inv_std = self.mean, self.inv_std
        d = channels_last(dy).reshape(-1, C)

        def normed(part, work):
            out = np.subtract(x[part], mean, out=work)
            return np.multiply(out, inv_std, out=out)

        dbeta = self._sum(lambda part, work: d[part])
        dgamma = self._sum(lambda part, work: np.multiply(
            d[part], normed(part, work), out=work))
        gradients = {layer.gamma: dgamma, layer.beta: dbeta}
        gradients = {p: g for p, g in gradients.items() if p is not None}
        if not self.need_dx:
            return [None], gradients
        dx = self.dx[:len(dy)].reshape(-1, C)
        slope = inv_std if layer.gamma is None else inv_std * layer.gamma.value
        shift, tilt = dbeta / len(x), dgamma / len(x)

        def share(part, work, worker):
            along = np.multiply(normed(part, work), tilt, out=work)
            np.subtract(d[part], shift, out=dx[part])
            dx[part] -= along
            dx[part] *= slope

        self._each(share, len(x))
        return [self.dx[:len(dy)].transpose(0, 3, 1, 2)], gradients

    def _each(self, task, total):
        """``task(rows, work, worker)`` on pieces of the rows, in all threads."""
        rows = len(self.ones)
        C = self.y.shape[-1]

        def share(worker, start, stop):
            for i in range(start, stop, rows):
                part = slice(i, min(i + rows, stop))
                size = (part.stop - part.start) * C
                work = self.work[worker, :size].reshape(-1, C)
                task(part, work, worker)

        self.workers.run(share, total, least=rows)

    def _sum(self, values):
        """Sum of ``values(rows, work)`` over all rows, for each channel."""
        total = np.zeros((self.workers.count, self.y.shape[-1]), np.float64)

        def add(part, work, worker):
            piece = values(part, work)
            total[worker] += np.matmul(self.ones[:len(piece)], piece)

        self._each(add, len(self.x))
        return total.sum(axis=0).astype(np.float32)


class PoolStep(Step):
    """Max-pooling over 2×2 windows that do not overlap."""

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.workers = workers
        _, C, H, W = layers[-1].input_shape
        self.size = Ho, Wo = H // 2, W // 2
        self.y = np.empty((batch, Ho, Wo, C), np.float32)
        self.wide = np.empty((workers.count, 2 * Ho, Wo, C), np.float32)
        self.dx = np.zeros((batch, H, W, C), np.float32) if need_dx else None
        if need_dx:
            self.columns = np.empty((batch, 2 * Ho, Wo, C), bool)
            self.rows = np.empty((batch, Ho, Wo, C), bool)
        self.nbytes = sum(a.nbytes for a in vars(self).values()
                          if isinstance(a, np.ndarray))

    def forward(self, xs):
        x, (Ho, Wo) = channels_last(xs[0]), self.size
        x = x[:, :2 * Ho, :2 * Wo]

        def share(worker, start, stop):
            wide = self.wide[worker]
            for n in range(start, stop):
                left, right = x[n, :, 0::2], x[n, :, 1::2]
                np.maximum(left, right, out=wide)
                np.maximum(wide[0::2], wide[1::2], out=self.y[n])
                if self.need_dx:
                    np.greater_equal(left, right, out=self.columns[n])
                    np.greater_equal(wide[0::2], wide[1::2], out=self.rows[n])

        self.workers.run(share, len(x))
        return self.y[:len(x)].transpose(0, 3, 1, 2)

    def backward(self, dy):
        if not self.need_dx:
            return [None], {}
        d, (Ho, Wo) = channels_last(dy), self.size
        dx = self.dx[:len(d), :2 * Ho, :2 * Wo]

        def share(worker, start, stop):
            wide = self.wide[worker]
            for n in range(start, stop):  # to the first maximum: rows, then columns
                np.multiply(d[n], self.rows[n], out=wide[0::2])
                np.subtract(d[n], wide[0::2], out=wide[1::2])
                np.multiply(wide, self.columns[n], out=dx[n, :, 0::2])
                np.subtract(wide, dx[n, :, 0::2], out=dx[n, :, 1::2])

        self.workers.run(share, len(d))
        return [self.dx[:len(d)].transpose(0, 3, 1, 2)], {}


class ReluStep(Step):
    """ReLU as a layer of its own."""

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.workers = workers
        _, C, H, W = layers[-1].input_shape
        self.y = np.empty((batch, H, W, C), np.float32)
        self.dx = np.empty_like(self.y) if need_dx else None
        self.nbytes = self.y.nbytes * (1 + need_dx)

    def forward(self, xs):
        x = channels_last(xs[0])

        def share(worker, start, stop):
            for n in range(start, stop):
                np.maximum(x[n], 0, out=self.y[n])

        self.workers.run(share, len(x))
        return self.y[:len(x)].transpose(0, 3, 1, 2)

    def backward(self, dy):
        if not self.need_dx:
            return [None], {}
        d = channels_last(dy)

        def share(worker, start, stop):
            for n in range(start, stop):
                np.multiply(d[n], self.y[n] > 0, out=self.dx[n])

        self.workers.run(share, len(d))
        return [self.dx[:len(d)].transpose(0, 3, 1, 2)], {}
