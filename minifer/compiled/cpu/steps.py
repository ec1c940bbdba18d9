"""The steps of a plan on a CPU, and the base of all steps.

A step computes the output of one layer (its ``top``) from those of others (its
``bottoms``), for any batch up to the planned size, in buffers of its own. It has
``forward(xs) -> y`` and ``backward(dy) -> (dxs, {Param: gradient})``.
"""

from time import perf_counter as time

import numpy as np

from ...layers import MergeLayer
from ...ops.outer_product import OuterProduct
from .program import Program

__all__ = ["Step", "ConvChain", "DenseStep", "DropoutStep", "PlainStep",
           "channels_last", "pieces"]


CHUNKS = 8  # for each thread
# Multiply-adds, and elements, below which a second thread costs more than it saves.
FEW_PRODUCTS, FEW_ELEMENTS = 1 << 20, 1 << 16


def pieces(start, stop, size):
    """Consecutive slices of at most ``size`` from ``start`` to ``stop``."""
    return [slice(i, min(stop, i + size)) for i in range(start, stop, size)]


def channels_last(x):
    """Images (N, C, H, W) as (N, H, W, C), contiguous; a copy only if need be."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


class Step:
    """Base of all steps.

    Parameters
    ----------
    layers : list of Layer
        The layers that it computes; the last is its top.
    bottoms : list of Layer
    learns : bool
        Whether it or something below has parameters to learn.
    need_dx : bool
        Whether something below learns.
    """

    algorithm, nbytes, mflop = "", 0, 0.0

    def __init__(self, layers, bottoms, learns, need_dx):
        self.layers, self.bottoms, self.top = layers, bottoms, layers[-1]
        self.learns, self.need_dx = learns, need_dx
        self.seconds = 0.0

    @property
    def name(self):
        """The names of its layers."""
        return " + ".join(one.name or type(one).__name__ for one in self.layers)

    def rows(self):
        """Rows for the plan's table: name, algorithm, shape, MFLOP, bytes, seconds."""
        return [(self.name, self.algorithm, self.top.output_shape[1:], self.mflop,
                 self.nbytes, self.seconds)]

    def clear_time(self):
        """Start timing from zero."""
        self.seconds = 0.0


class ConvChain(Step):
    """Fused convolutions one behind the other, some images at a time.

    A thread takes its images a few at a time through the whole chain, so that
    what one convolution writes is still in the cache when the next reads it.

    Parameters
    ----------
    convs : list of FusedConv
    workers : Workers
    """

    def __init__(self, layers, bottoms, learns, need_dx, convs, names, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx)
        self.convs, self.names, self.workers = convs, names, workers
        # Small enough that every thread has a few groups to do.
        most = max(1, batch // (2 * workers.count))
        self.group = min(most, max(conv.group for conv in convs))
        # Chunks are what threads take from one another: enough of them to end
        # together, but no more, as each has sums of its own.
        self.chunk = self.group * -(-batch // (CHUNKS * workers.count * self.group))
        for conv in convs:
            conv.make_workers(workers.count, min(self.group, conv.group), self.chunk)
        for conv, following in zip(convs, convs[1:]):
            conv.write_to(following.inside)
        convs[-1].write_to()
        out, inside = convs[-1].out, convs[0].inside
        # Zeros beyond the edges, over which tiles may hang, stay as they are.
        self.dout = np.zeros_like(out) if learns else None  # (N, >= Ho, >= Wo, F)
        # (N, H, W, C)
        self.dx = np.empty(inside.shape, np.float32) if need_dx else None
        # Whether the steps below and above write into its buffers by themselves.
        self.fed = self.fed_back = False
        self.programs, self.joined = {}, {}
        self.clear_time()

    @property
    def input(self):
        """The buffer (batch, H, W, C) that the lowest convolution reads."""
        return self.convs[0].inside

    @property
    def output_gradient(self):
        """The buffer (batch, Ho, Wo, F) for the gradient of the output."""
        return self.convs[-1].within_edges(self.dout)

    def forward(self, xs):
        self.N = len(xs[0])
        for conv in self.convs:
            conv.begin()
        # (N, H, W, C)
        source = None if self.fed else xs[0].transpose(0, 2, 3, 1)
        self._in_groups(0, self._note_forward, self.input, source)
        return self.convs[-1].result[:self.N].transpose(0, 3, 1, 2)  # (N, F, Ho, Wo)

    def backward(self, dy):
        # (N, Ho, Wo, F)
        source = None if self.fed_back else dy.transpose(0, 2, 3, 1)
        self._in_groups(1, self._note_backward, self.output_gradient, source)
        gradients = {}
        for conv in self.convs:
            if conv.training:
                gradients.update(conv.gradients(self.N, self.workers))
        if self.dx is None:
            return [None], gradients
        return [self.dx[:self.N].transpose(0, 3, 1, 2)], gradients  # (N, C, H, W)

    def _in_groups(self, way, note, target, source):
        """Copy ``source``, if any, to ``target``; run the programs of every group.

        Groups begin at the same images whatever the batch, so that programs
        serve again when its size changes.
        """
        def work(worker, chunk):
            images = slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.N))
            if source is not None:
                np.copyto(target[images], source[images])
            for some in pieces(images.start, images.stop, self.group):
                key = way, worker, some.start, some.stop
                if key not in self.programs:
                    self.programs[key] = note(worker, some)
                for place, program in self.programs[key]:
                    began = time()
                    program.run()
                    self.times[way][place][worker] += time() - began

        self.workers.run_chunks(work, -(-self.N // self.chunk))

    def _note_forward(self, worker, images):
        parts = []
        for place, conv in enumerate(self.convs):
            parts.append((place, Program()))
            for some in pieces(images.start, images.stop, conv.group):
                conv.forward(parts[-1][1], worker, some)
        return parts

    def _note_backward(self, worker, images):
        parts, dout = [], self.dout[images]
        for place, conv in reversed(list(enumerate(self.convs))):
            if not conv.training:
                break  # frozen from here down
            do = Program()
            below = self._below(worker, place, images)
            for some in pieces(images.start, images.stop, conv.group):
                here = slice(some.start - images.start, some.stop - images.start)
                dx = conv.backward(do, worker, some, dout[here])
                if dx is not None and (place == 0 or self.group > conv.group):
                    do(np.copyto, below[here], dx)
                else:
                    below = dx  # it stays where the kernel left it
            parts.append((place, do))
            dout = below
        return parts

    def _below(self, worker, place, images):
        """Where the gradient of a convolution's input is put together."""
        if place == 0:
            return None if self.dx is None else self.dx[images]
        shape = (self.group,) + self.convs[place].inside.shape[1:]  # (k, H, W, C)
        if self.group > self.convs[place].group and (worker, place) not in self.joined:
            self.joined[worker, place] = np.empty(shape, np.float32)
        return self.joined.get((worker, place))

    @property
    def nbytes(self):
        own = sum(a.nbytes for a in (self.dx, self.dout) if a is not None)
        return own + sum(conv.nbytes for conv in self.convs)

    def rows(self):
        own = self.nbytes - sum(conv.nbytes for conv in self.convs)
        rows = []
        for i, (name, conv) in enumerate(zip(self.names, self.convs)):
            g = conv.geometry
            what = conv.algorithm
            if what == "winograd":
                what += f" F({g.m},{g.kh})"
            seconds = max(self.times[0][i]) + max(self.times[1][i])
            rows.append((name, what, (g.F,) + g.out_size, self._mflop(conv),
                         conv.nbytes + (0 if i else own), seconds))
        return rows

    def _mflop(self, conv):
        """MFLOP of a direct convolution: forward and, where it learns, backward."""
        passes = 1 + (self.learns and conv.training) * (1 + conv.need_dx)
        return passes * conv.geometry.mflop

    def clear_time(self):
        self.times = [[[0.0] * self.workers.count for _ in self.convs] for _ in "fb"]


class DenseStep(Step):
    """A dense layer, its units shared out among the threads."""

    algorithm = "matmul"

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch, logits):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer, self.workers = layers[-1], workers
        self.f = None if logits else self.layer.nonlinearity
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
            np.matmul(x, W[:, start:stop], out=z[:, start:stop])
            if b is not None:
                z[:, start:stop] += b.value[start:stop]

        self.workers.run(share, W.shape[1], least=max(32, FEW_PRODUCTS // x.size))
        if self.f is None:
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
            self.workers.run(share, len(W), least=max(64, FEW_PRODUCTS // dz.size))
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
        size = x[0].size

        def share(worker, start, stop):
            part = slice(start, stop)
            mask = stream.keep_part(start * size, stop * size, self.layer.p)
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


class PlainStep(Step):
    """Any other layer, as it runs eagerly."""

    algorithm = "plain"

    def __init__(self, layers, bottoms, learns, need_dx, options, logits):
        super().__init__(layers, bottoms, learns, need_dx)
        self.layer = layers[-1]
        self.options = {k: v for k, v in options.items()
                        if k in self.layer.forward_options}
        if logits and "logits" in self.layer.forward_options:
            self.options["logits"] = True
        self.merges = isinstance(self.layer, MergeLayer)

    def forward(self, xs):
        y, self.cache = self.layer.forward(xs if self.merges else xs[0], **self.options)
        return y

    def backward(self, dy):
        skip = self.layer.can_skip_dx and not self.need_dx
        dx, gradients = (self.layer.backward(dy, self.cache, need_dx=False) if skip
                         else self.layer.backward(dy, self.cache))
        return (dx if self.merges else [dx]), gradients
