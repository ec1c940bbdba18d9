"""Steps of a plan on the CPU beside fused convolutions and what joins them."""

import math
import threading

import numpy as np

from ...device.threads import Helper
from ...nonlinearities import rectify
from ...ops.outer_product import OuterProduct
from ..steps import PlainStep, Step
from .few_rows import FEW, FewRows
from .program import ZERO

__all__ = ["DenseStep", "DropoutStep", "SequenceStep", "SharedStep"]

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
        rows = self.layer.rows_of(batch) or batch
        self.few = None if learns else FewRows(self.layer.W, rows)
        self._allocate(rows)
        self.mflop = 2e-6 * rows / batch * D * U * (1 + learns + need_dx)
        self.flat = None  # made when images come with channels last

    def _allocate(self, rows):
        D, U = self.layer.W.shape
        self.z = np.empty((rows, U), np.float32)
        self.dx = np.empty((rows, D), np.float32) if self.need_dx else None

    @property
    def nbytes(self):
        """Bytes in its own buffers."""
        return sum(a.nbytes for a in (self.z, self.dx, self.few) if a is not None)

    def forward(self, xs):
        self.shape = xs[0].shape
        self.x = x = self._rows(xs[0])
        if len(x) > len(self.z):  # of sequences longer than any before
            self._allocate(len(x))
        few = self.few is not None and len(x) <= FEW
        W = None if few else self.layer.W.peek()
        D, U = self.layer.W.shape
        b, z = self.layer.b, self.z[:len(x)]

        def share(worker, start, stop):
            part = z[:, start:stop]
            if few:
                self.few.product(x, part)
            else:
                np.matmul(x, W[:, start:stop], out=part)
            if b is not None:
                part += b.peek()[start:stop]
            if self.cuts:
                np.maximum(part, ZERO, out=part)

        # To read the weights for a few images takes no longer than to wake a thread
        # for a part of them.
        parts = max(32, FEW_PRODUCTS // (max(len(x), FEW_IMAGES) * D))
        self.workers.run(share, U, least=U if few else parts)
        y = z
        if self.f is not None and not self.cuts:
            y, self.cache = self.f.forward(z)
        return y.reshape(self.layer.get_output_shape_for(self.shape))

    def _rows(self, x):
        """Inputs as rows (N, D), channel by channel as the weights expect them."""
        D = self.layer.W.shape[0]
        if x.flags.c_contiguous:
            return x.reshape(-1, D)
        if self.flat is None or self.flat.shape[1:] != x.shape[1:] or (
                len(self.flat) < len(x)):
            self.flat = np.empty(x.shape, np.float32)  # (N, C, H, W), channels first
        flat = self.flat[:len(x)]

        def share(worker, start, stop):
            for n in range(start, stop):
                np.copyto(flat[n], x[n])

        self.workers.run(share, len(x), least=8)
        return flat.reshape(-1, D)  # (N, C*H*W)

    def backward(self, dy):
        dy = dy.reshape(-1, self.layer.num_units)  # (N, U)
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


class SharedStep(PlainStep):
    """A layer that looks at each image by itself: each thread runs it on its own.

    Every thread's share goes through the layer as it does eagerly; gradients of
    parameters are summed in the order of the shares.
    """

    algorithm = "shared"

    def __init__(self, layers, bottoms, learns, need_dx, options, logits, workers,
                 batch):
        super().__init__(layers, bottoms, learns, need_dx, options, logits)
        self.workers, self.batch = workers, batch
        self.y = self.dx = np.empty(0, np.float32)

    @property
    def nbytes(self):
        """Bytes in its own buffers, which are made when images come."""
        return self.y.nbytes + self.dx.nbytes

    def forward(self, xs):
        self.x, self.caches = xs[0], [None] * self.workers.count

        def share(worker, part):
            y, self.caches[worker] = self.layer.forward(self.x[part], **self.options)
            return y

        self.y = self._together(share, self.y)
        return self.y[:len(self.x)]

    def backward(self, dy):
        skip = {"need_dx": False} if self.layer.can_skip_dx and not self.need_dx else {}
        found = [{}] * self.workers.count

        def share(worker, part):
            dx, found[worker] = self.layer.backward(dy[part], self.caches[worker],
                                                    **skip)
            return dx if self.need_dx else None

        self.dx = self._together(share, self.dx)
        for gradients in found[1:]:
            for param, gradient in gradients.items():
                found[0][param] += gradient
        return [self.dx[:len(dy)] if self.need_dx else None], found[0]

    def _together(self, task, buffer):
        """``task(worker, images)`` for each thread's images, with results in a buffer.

        The shares depend on the number of images alone, so that those of the way back
        are those of the way there.
        """
        N, room = len(self.x), [buffer]
        lock = threading.Lock()

        def share(worker, start, stop):
            result = task(worker, slice(start, stop))
            if result is None:
                return
            with lock:  # the first to know the shape makes room
                if room[0].shape[1:] != result.shape[1:] or len(room[0]) < N:
                    room[0] = np.empty((max(N, self.batch), *result.shape[1:]),
                                       result.dtype)
            room[0][start:stop] = result

        size = math.prod(self.x.shape[1:])
        self.workers.run(share, N, least=max(1, FEW_ELEMENTS // max(1, size)))
        return room[0]


class SequenceStep(PlainStep):
    """An LSTM or GRU: while one thread walks, another multiplies ahead of or behind it.

    Two that share the sequences would be slower: each step of a walk is so short that
    they would wait for the interpreter, and for each other.
    """

    algorithm = "walk"

    def __init__(self, layers, bottoms, learns, need_dx, options, workers):
        super().__init__(layers, bottoms, learns, need_dx, options, logits=False)
        self.helper = Helper(workers.count, keeps=True)

    def forward(self, xs):
        y, self.cache = self.layer.walk(xs, self.helper)
        return y

    @property
    def nbytes(self):
        """Bytes of the arrays that stay from one pass to the next."""
        return sum(array.nbytes for array in self.helper.kept.values())
