"""Steps of a plan on the CPU beside convolutions: dense layers and dropout."""

import numpy as np

from ...nonlinearities import rectify
from ...ops.outer_product import OuterProduct
from ..steps import Step
from .program import ZERO

__all__ = ["DenseStep", "DropoutStep"]

# Multiply-adds, and elements, below which a second thread costs more than it saves: it
# takes about a tenth of a millisecond to wake and to wait for. With fewer images than
# the last a product takes no less time, as it has to read the weights.
FEW_PRODUCTS, FEW_ELEMENTS, FEW_IMAGES = 1 << 22, 1 << 16, 16


class DenseStep(Step):
    """A dense layer, its units shared out among the threads."""

    algorithm = "matmul"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch, logits):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer, self.workers = layers[-1], workers
        self.f = None if logits else self.layer.nonlinearity
        # Without a way back, ReLU is done where the product is still in the cache.
        self.cuts = self.f is rectify and not learns
        D, U = self.layer.W.shape
        self.z = np.empty((batch, U), np.float32)
        self.dx = np.empty((batch, D), np.float32) if need_dx else None
        self.mflop = 2e-6 * D * U * (1 + learns + need_dx)
        self.flat = None  # made when images come with channels last
        self.nbytes = sum(a.nbytes for a in (self.z, self.dx) if a is not None)

    def forward(self, xs):
        self.shape, N = xs[0].shape, len(xs[0])
        self.x = x = self._rows(xs[0])
        W, b, z = self.layer.W.value, self.layer.b, self.z[:N]

        def share(worker, start, stop):
            part = z[:, start:stop]
            np.matmul(x, W[:, start:stop], out=part)
            if b is not None:
                part += b.value[start:stop]
            if self.cuts:
                np.maximum(part, ZERO, out=part)

        # One image's product takes as long as its weights take to be read, and waking
        # a thread for a part of them would take longer.
        parts = max(32, FEW_PRODUCTS // (max(N, FEW_IMAGES) * len(W)))
        self.workers.run(share, W.shape[1], least=parts if N > 1 else W.shape[1])
        if self.f is None or self.cuts:
            return z
        y, self.cache = self.f.forward(z)
        return y

    def _rows(self, x):
        """Inputs as rows (N, D), channel by channel as the weights expect them."""
        if x.flags.c_contiguous:
            return x.reshape(len(x), -1)
        if self.flat is None or len(self.flat) < len(x):
            self.flat = np.empty(x.shape, np.float32)  # (N, C, H, W), channels first
        flat = self.flat[:len(x)]

        def share(worker, start, stop):
            for n in range(start, stop):
                np.copyto(flat[n], x[n])

        self.workers.run(share, len(x), least=8)
        return flat.reshape(len(x), -1)  # (N, C*H*W)

    def backward(self, dy):
        # (N, U)
        dz = dy if self.f is None else self.f.backward(dy, self.cache)
        W, x = self.layer.W.value, self.x
        dx = self.dx[:len(x)] if self.need_dx else None

        def share(worker, start, stop):
            np.matmul(dz, W[start:stop].T, out=dx[:, start:stop])

        if dx is not None:
            products = max(len(x), FEW_IMAGES) * dz.shape[1]  # of an input
            self.workers.run(share, len(W), least=max(64, FEW_PRODUCTS // products))
        gradients = {self.layer.W: OuterProduct(x, dz)}
        if self.layer.b is not None:
            gradients[self.layer.b] = dz.sum(axis=0)
        return [None if dx is None else dx.reshape(self.shape)], gradients


class DropoutStep(Step):
    """Dropout; the threads draw their shares of the mask side by side."""

    algorithm = "fused"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer, self.workers = layers[-1], workers
        shape = (batch,) + tuple(self.layer.input_shape[1:])
        self.y, self.mask = np.empty(shape, np.float32), np.empty(shape, bool)
        self.dx = np.empty(shape, np.float32) if need_dx else None
        self.least = max(8, FEW_ELEMENTS // self.y[0].size)
        self.scale = np.float32(1 / (1 - self.layer.p) if self.layer.rescale else 1)
        self.nbytes = sum(a.nbytes for a in (self.y, self.mask, self.dx)
                          if a is not None)

    def forward(self, xs):
        x, N, stream = xs[0], len(xs[0]), self.layer.stream
        size, first = x[0].size, stream.start(x.shape)

        def share(worker, start, stop):
            part = slice(start, stop)
            mask = stream.keep_part(first + start * size, first + stop * size,
                                    self.layer.p)
            self.mask[part] = mask.reshape(x[part].shape)
            self._apply(x[part], self.mask[part], self.y[part])

        self.workers.run(share, N, least=self.least)
        stream.step += 1
        return self.y[:N]

    def backward(self, dy):
        def share(worker, start, stop):
            part = slice(start, stop)
            self._apply(dy[part], self.mask[part], self.dx[part])

        if not self.need_dx:
            return [None], {}
        self.workers.run(share, len(dy), least=self.least)
        return [self.dx[:len(dy)]], {}

    def _apply(self, x, mask, out):
        np.multiply(x, mask, out=out)
        out *= self.scale
