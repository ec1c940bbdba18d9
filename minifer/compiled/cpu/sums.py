"""Sums over images that are the same whichever thread computes them.

The images are divided into chunks, and each chunk has sums of its own, which are
added up in order at the end. So a thread may take whichever chunk comes next.
"""

import numpy as np

from ..steps import pieces
from .program import PIECE, rows

__all__ = ["ChunkSums", "Sums", "ChannelSums"]


class ChunkSums:
    """A convolution's parameter gradients, summed chunk by chunk.

    Parameters
    ----------
    shape : tuple
        Shape of the filters' gradient as kernels compute it; the last axis is F.
    chunks : int
    chunk : int
        Images in a chunk.
    """

    def __init__(self, shape, chunks, chunk):
        self.shape, self.chunk = shape, chunk
        size = int(np.prod(shape)) + shape[-1]  # the filters' and the bias's
        self.parts = np.zeros((chunks, size), np.float32)  # there may be no bias
        self.total = np.empty(size, np.float32)

    def of(self, images):
        """Where the gradients of some images, all in one chunk, are added.

        Parameters
        ----------
        images : slice

        Returns
        -------
        Sums
        """
        chunk, place = divmod(images.start, self.chunk)
        return Sums(self.parts[chunk], self.shape, first=place == 0)

    def in_all(self, images, workers):
        """Sums of the first ``images`` images.

        Returns
        -------
        Sums
        """
        used = self.parts[:-(-images // self.chunk)]

        def share(worker, start, stop):
            for some in pieces(start, stop, PIECE):
                np.add.reduce(used[:, some], axis=0, out=self.total[some])

        workers.run(share, len(self.total), least=1 << 14)
        return Sums(self.total, self.shape, first=True)

    @property
    def nbytes(self):
        """Bytes in all sums."""
        return self.parts.nbytes + self.total.nbytes


class Sums:
    """Gradients of filters and bias that lie one behind the other.

    Where they may be 500 numbers or fewer, they are made by ``dot``: it lets other
    threads run meanwhile, which ``matmul`` does for longer results alone.

    Attributes
    ----------
    dU : array
        The filters' gradient as kernels compute it.
    db : array, shape (F,)
    rows : array, shape (dU.size / F + 1, F)
        Both, the bias's as the last row.
    """

    def __init__(self, flat, shape, first):
        self.rows = flat.reshape(-1, shape[-1])
        self.dU, self.db = self.rows[:-1].reshape(shape), self.rows[-1]
        self.first = first

    def add(self, do, total, desk, function, *arrays, **options):
        """Note ``total += function(*arrays, **options)``, made on a Desk.

        A chunk's first images write, so that nothing need be set to zero.
        """
        if self.first:
            do(function, *arrays, out=total, **options)
        else:
            part = desk.cut("spare", *total.shape)
            do(function, *arrays, out=part, **options)
            do(np.add, total, part, out=total)


class ChannelSums:
    """Sums for each channel of two arrays of images, in float64 from chunk to chunk.

    Parameters
    ----------
    C : int
    chunks, chunk : int
        As for :class:`ChunkSums`.
    """

    def __init__(self, C, chunks, chunk):
        self.chunk = chunk
        self.parts = np.zeros((chunks, 2, C), np.float64)

    def add(self, do, desk, images, which, values):
        """Note that the sums of some images' values are added.

        Parameters
        ----------
        do : Program
        desk : Desk
        images : slice
        which : int
            0 or 1.
        values : array, shape (k, ..., C)
            All contiguous, or the rows of :func:`~minifer.compiled.cpu.program.rows`.
        """
        chunk, place = divmod(images.start, self.chunk)
        C = values.shape[-1]
        total, spare = self.parts[chunk, which], desk.cut("channels", C)
        if not values.flags.c_contiguous:  # first rows one on another
            lines = rows(values)  # (k, ..., R)
            lines = lines.reshape(len(values), -1, lines.shape[-1])
            values = desk.cut("row", len(lines), lines.shape[-1])
            do(np.matmul, desk.ones(lines.shape[1]), lines, out=values)
        flat = values.reshape(-1, C)  # (k*H*W, C)
        do(np.dot, desk.ones(len(flat)), flat, out=spare)  # see Sums
        if place:
            do(np.add, total, spare, out=total)
        else:  # a chunk's first images write
            do(np.copyto, total, spare)

    def in_all(self, images):
        """Both sums of the first ``images`` images: two arrays (C,)."""
        return self.parts[:-(-images // self.chunk)].sum(axis=0)

    @property
    def nbytes(self):
        """Bytes in all buffers."""
        return self.parts.nbytes
