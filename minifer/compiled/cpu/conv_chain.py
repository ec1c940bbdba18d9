"""Fused convolutions one behind the other, run a few images at a time."""

from time import perf_counter as time

import numpy as np

from ...ops.backpropagation import collect
from ..steps import Step, pieces
from .program import Desk, Program

__all__ = ["ConvChain"]

CHUNKS = 8  # for each thread, at most
SUM_BYTES = 2 ** 25  # of all chunks' sums of a convolution, if threads need no more


class ConvChain(Step):
    """Fused convolutions one behind the other, some images at a time.

    A thread takes its images a few at a time through the whole chain, so that
    what one convolution writes is still in the cache when the next reads it.

    Parameters
    ----------
    convs : list of FusedConv
        The last may be a NormedConv.
    workers : Workers
    desks : list of Desk, optional
        Where the threads work; default: some of its own.
    together : int
        So many consecutive images are always done by one thread.

    Attributes
    ----------
    around : list of (function or None, function or None)
        For the way there and the way back: what is called before and after with some
        images, a slice, by the thread that does them.
    """

    def __init__(self, layers, bottoms, learns, need_dx, convs, names, workers, batch,
                 desks=None, together=1):
        super().__init__(layers, bottoms, learns, need_dx)
        self.convs, self.names, self.workers = convs, names, workers
        # So few that every thread has two groups to do, or one where filters are large.
        share = batch // workers.count
        if max(conv.enough for conv in convs) <= share // 2:
            share = min(share // 2, max(conv.group for conv in convs))
        self.group = max(1, share)
        # Chunks are what threads take from one another: enough of them to end
        # together, but no more, as each has sums of its own, which are added up.
        size = max(conv.filters.gradient_bytes for conv in convs)
        chunks = min(CHUNKS, max(1, SUM_BYTES // (workers.count * size)))
        some = max(together, self.group // together * together)
        self.chunk = some * -(-batch // (chunks * workers.count * some))
        count = min(workers.count, -(-batch // self.chunk))
        self.own_desks = [Desk() for _ in range(count if desks is None else 0)]
        for place, conv in enumerate(convs):
            # What a gradient is read from and what it is written to lie apart.
            conv.make_workers((self.own_desks or desks)[:count],
                              min(self.group, conv.group), self.chunk,
                              dx=("dx", "dx of next")[place % 2])
        for conv, following in zip(convs, convs[1:]):
            conv.write_to(following.inside)
        convs[-1].write_to()
        self.below, self.norm = convs[0].below, getattr(convs[-1], "norm", None)
        if self.below:  # the fewer numbers
            self.below.weighs = convs[0].conv.W.size <= self.below.p.size
        self.dout = self.dx = None
        if learns and self.norm is None:
            # Zeros beyond the edges, over which tiles may hang, stay as they are.
            self.dout = np.zeros_like(convs[-1].out)  # (N, >= Ho, >= Wo, F)
        if need_dx and self.below is None:
            self.dx = np.empty(convs[0].inside.shape, np.float32)  # (N, H, W, C)
        # Whether the steps below and above write into its buffers by themselves.
        self.fed = self.fed_back = False
        self.around = [(None, None), (None, None)]
        self.adds, self.beside = self.dx is not None, None
        self.programs, self.joined = {}, {}
        self.clear_time()

    def overwrite(self):
        """Let the gradient that is handed down lie in z, which is done with by then."""
        if self.below and self.norm:
            self.below.lie_in(self.norm.z)

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
        if any([conv.begin(self.workers) for conv in self.convs]) or (
                self.below and self.below.is_new):
            self.programs.clear()
        # (N, H, W, C)
        source = None if self.fed or self.below else xs[0].transpose(0, 2, 3, 1)
        self._in_groups(0, self._note_forward, self.input, source)
        if self.norm:
            self.norm.settle(self.N, self.workers)
            return self.norm.run_on(self.N, self.workers, self.chunk)
        return self.convs[-1].result[:self.N].transpose(0, 3, 1, 2)  # (N, F, Ho, Wo)

    def backward(self, dy):
        if self.norm:
            gradients = self.convs[-1].begin_back(self.N, dy, self.workers, self.chunk)
            self._in_groups(1, self._note_backward)
        else:
            # (N, Ho, Wo, F)
            source, gradients = None if self.fed_back else dy.transpose(0, 2, 3, 1), {}
            self._in_groups(1, self._note_backward, self.output_gradient, source)
        self.beside = None
        for conv in self.convs:
            if conv.training:
                for param, gradient in conv.gradients(self.N, self.workers).items():
                    collect(gradients, param, gradient)
        if self.below:
            if not self.below.adds_products:
                lowest = self.convs[0]
                self.below.weigh(lowest.conv.W.value, lowest.dW, self.workers)
            return [self.below.stand_in(self.below.d, self.N)], gradients
        if self.dx is None:
            return [None], gradients
        return [self.dx[:self.N].transpose(0, 3, 1, 2)], gradients  # (N, C, H, W)

    def _in_groups(self, way, note, target=None, source=None):
        """Copy ``source``, if any, to ``target``; run the programs of every group.

        Groups begin at the same images whatever the batch, so that programs
        serve again when its size changes.
        """
        before, after = self.around[way]

        def work(worker, chunk):
            images = slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.N))
            if before is not None:
                before(images)
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
                if way and self.beside is not None:
                    beside = self.beside[some].transpose(0, 2, 3, 1)  # (k, H, W, C)
                    np.add(self.dx[some], beside, out=self.dx[some])
            if after is not None:
                after(images)

        self.workers.run_chunks(work, -(-self.N // self.chunk))

    def _note_forward(self, worker, images):
        parts = []
        for place, conv in enumerate(self.convs):
            parts.append((place, Program()))
            for some in pieces(images.start, images.stop, conv.group):
                conv.forward(parts[-1][1], worker, some)
        return parts

    def _note_backward(self, worker, images):
        parts, dout = [], None if self.norm else self.dout[images]
        for place, conv in reversed(list(enumerate(self.convs))):
            if not conv.training:
                break  # frozen from here down
            do = Program()
            below = self._below(worker, place, images)
            for some in pieces(images.start, images.stop, conv.group):
                here = slice(some.start - images.start, some.stop - images.start)
                dx = conv.backward(do, worker, some, None if dout is None else
                                   dout[here])
                if conv.below:
                    continue
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
        arrays = [self.dx, self.dout, *self.own_desks, *self.convs]
        return sum(a.nbytes for a in arrays if a is not None)

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
