"""Max-pooling with channels last: the columns of all windows, then their rows.

An element of a window takes it over if it is larger than all elements before it, so in
the end the first of the largest has it. On the way back, from the last element to the
first, each takes the gradient of the windows that it has taken over.
"""

import numpy as np

from ...layers.padding import sides_of
from ..steps import channels_last
from .geometry import meetings
from .image_steps import ImageStep
from .program import ZERO, cut

__all__ = ["PoolStep"]


class PoolStep(ImageStep):
    """Max-pooling over windows of any size, stride and padding."""

    def __init__(self, layers, bottoms, learns, need_dx, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx, workers, batch)
        layer, (_, Ho, Wo, C) = self.layer, self.y.shape
        H, W = lengths = layer.input_shape[2:]
        pads = sides_of(layer.pad, lengths, layer.pool_size, layer.stride)
        self.down, self.across = (
            _Windows(axis, size, stride, before, length, count)
            for axis, size, stride, (before, _), length, count in zip(
                (1, 2), layer.pool_size, layer.stride, pads, lengths, (Ho, Wo)))
        # What is left of the columns, (k, H, Wo, C), and its gradient.
        shape = workers.count, self.group, H, Wo, C
        self.wide, self.dwide = np.zeros(shape, np.float32), None
        self.left = self.upper = None
        if need_dx:
            self.dwide = np.zeros(shape, np.float32)
            self.left = self.across.flags(batch, H, Wo, C)
            self.upper = self.down.flags(batch, Ho, Wo, C)
            self.rest = np.empty((workers.count, self.group * Ho * Wo * C), np.float32)
            self.part = np.empty((workers.count, self.group * H * Wo * C), np.float32)

    def forward(self, xs):
        x = channels_last(xs[0])  # (N, H, W, C)

        def share(images, worker):
            wide = self.wide[worker, :images.stop - images.start]
            left, upper = ((self.left[:, images], self.upper[:, images])
                           if self.need_dx else (None, None))
            self.across.reduce(x[images], wide, left)
            self.down.reduce(wide, self.y[images], upper)

        self._each(share, len(x))
        return self._output(len(x))

    def backward(self, dy):
        if not self.need_dx:
            return [None], {}
        d = channels_last(dy)  # (N, Ho, Wo, C)

        def share(images, worker):
            wide = self.dwide[worker, :images.stop - images.start]
            rest, part = cut(self.rest[worker], *d[images].shape), self.part[worker]
            self.down.back(d[images], self.upper[:, images], rest, part, wide)
            self.across.back(wide, self.left[:, images], wide, part, self.dx[images])

        self._each(share, len(d))
        return self._input_gradient(len(d)), {}


class _Windows:
    """Windows along an axis of images (k, H, W, C).

    Parameters
    ----------
    axis : int
    size, stride, pad : int
        Padding is what stands before the first pixel.
    length, count : int
        Pixels and windows.
    """

    def __init__(self, axis, size, stride, pad, length, count):
        lead = (slice(None),) * axis
        # For each element of a window: from which windows it meets which pixels.
        self.elements = [
            tuple((*lead, slice(one.start, one.stop, one.step)) for one in both)
            for both in meetings(size, stride, pad, length, count) if both[0]]
        self.overlap = size > stride

    def flags(self, *shape):
        """Room for whether an element takes windows over: all but the first."""
        return np.zeros((len(self.elements) - 1, *shape), bool)

    def reduce(self, x, out, taken=None):
        """Write the largest element of each window to ``out``.

        Parameters
        ----------
        x, out : arrays
        taken : array from :meth:`flags`, optional
            Is written, too.
        """
        (windows, pixels), *others = self.elements
        held = x[pixels]
        if held.shape != out.shape:  # some windows begin with padding
            out.fill(-np.inf)
            np.copyto(out[windows], held)
            held = out
        for place, (windows, pixels) in enumerate(others):
            new, here = x[pixels], out[windows]
            if held is not out and here.shape != out.shape:
                np.copyto(out, held)
                held = out
            if taken is not None:
                np.greater(new, held[windows], out=taken[place][windows])
            np.maximum(held[windows], new, out=here)
            held = out
        if held is not out:  # windows of one element
            np.copyto(out, held)

    def back(self, d, taken, rest, part, into):
        """Bring the gradient ``d`` of the windows to the pixels.

        Parameters
        ----------
        d, taken : arrays
        rest : array of d's shape
            To work in; it may be ``d``, if that is not wanted any more.
        part : array
            To work in, at least as large.
        into : array
            0 where there is no window, and written elsewhere.
        """
        if self.overlap:
            np.copyto(into, ZERO)
        for place in range(len(self.elements) - 1, 0, -1):
            windows, pixels = self.elements[place]
            given = cut(part, *d[windows].shape) if self.overlap else into[pixels]
            np.multiply(d[windows], taken[place - 1][windows], out=given)
            if self.overlap:
                np.add(into[pixels], given, out=into[pixels])
            if d is not rest and given.shape != d.shape:
                np.copyto(rest, d)
                d = rest
            np.subtract(d[windows], given, out=rest[windows])
            d = rest
        windows, pixels = self.elements[0]
        if self.overlap:
            np.add(into[pixels], d[windows], out=into[pixels])
        else:
            np.copyto(into[pixels], d[windows])
