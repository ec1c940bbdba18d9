"""Convolution by a product for each element of the filters, of what it meets alone.

Where images are small, much of every window lies beyond their edges: of the 3×3 pixels
that a filter sees from each place of an image of 2×2, five are padding. Here an element
of the filters, all its channels and filters, is multiplied by those pixels that it
meets from any place, of all images of a group, and its part is added to the outputs
there. That is kn2row (Vasudevan, Anderson & Gregg 2017, "Parallel multi channel
convolution using general matrix multiplication", arXiv:1704.04428), of inner pixels.
Nothing is transformed, so large filters, more bytes than the images, are read once.

Axes: k images of a group; P pixels of all of them that an element meets.
"""

import itertools

import numpy as np

from .geometry import meetings
from .lowered import Kernel
from .program import ZERO

__all__ = ["ElementKernel"]


class ElementKernel(Kernel):
    """One product for each element of the filters.

    Parameters
    ----------
    geometry, k, training
        As for :class:`minifer.compiled.cpu.winograd.WinogradKernel`.
    """

    def __init__(self, geometry, k, training, desk=None, dx="dx"):
        super().__init__(geometry, k, training, desk, dx)
        g, (Ho, Wo) = geometry, geometry.conv_size
        # For each element, by its place in a filter, where outputs and pixels lie.
        self.met = {}
        for place, ((rows, over), (columns, along)) in enumerate(
                itertools.product(*(meetings(*axis) for axis in g.axes))):
            if rows and columns:
                self.met[place] = _places(rows, columns), _places(over, along)
        self.inside = _places(range(g.ph, g.ph + g.H), range(g.pw, g.pw + g.W))
        P = k * Ho * Wo
        self._ask(pixels=P * g.C, outputs=P * g.F)
        if training:
            self._ask(inputs=P * g.C, spare=g.C * g.F)

    def forward(self, do, x, filters):
        """See :meth:`minifer.compiled.cpu.winograd.WinogradKernel.forward`."""
        Y, inside = self.gradient_buffer(len(x)), x[self.inside]
        y = Y[0, 0]  # (k, Ho, Wo, F)
        do(np.copyto, y, ZERO)
        for place, (outputs, pixels) in self.met.items():
            X = self._gather(do, "pixels", inside[pixels])  # (P, C)
            self._add(do, "outputs", X, self._element(filters.flat, place), y[outputs])
        return Y

    def backward(self, do, x, dY, filters, sums, need_dx):
        """See :meth:`minifer.compiled.cpu.winograd.WinogradKernel.backward`."""
        g, inside = self.geometry, x[self.inside]
        dy = dY[0, 0]  # (k, Ho, Wo, F)
        dU = sums.dU.reshape(-1, g.C, g.F)  # (kh*kw, C, F); 0 where nothing is met
        if need_dx:
            dx = self.desk.cut(self.dx, len(x), self.Hp, self.Wp, g.C)
            do(np.copyto, dx, ZERO)
        for place, (outputs, pixels) in self.met.items():
            X = self._gather(do, "pixels", inside[pixels])  # (P, C)
            D = self._gather(do, "outputs", dy[outputs])  # (P, F)
            sums.add(do, dU[place], self.desk, np.dot, X.T, D)
            if need_dx:
                W = self._element(filters.back, place).T
                self._add(do, "inputs", D, W, dx[self.inside][pixels])
        return dx if need_dx else None

    def _element(self, flat, place):
        """An element of all filters, (C, F)."""
        C = self.geometry.C
        return flat[place * C:(place + 1) * C]

    def _gather(self, do, name, pixels):
        """Note that pixels (k, rows, columns, C) are put side by side, (P, C)."""
        if not pixels.flags.c_contiguous:
            room = self.desk.cut(name, *pixels.shape)
            do(np.copyto, room, pixels)
            pixels = room
        return pixels.reshape(-1, pixels.shape[-1])

    def _add(self, do, name, X, W, places):
        """Note that a product is added to places of images."""
        found = self.desk.cut(name, len(X), W.shape[1])
        do(np.matmul, X, W, out=found)
        do(np.add, places, found.reshape(places.shape), out=places)


def _places(rows, columns):
    """Where these lie in images (k, H, W, C)."""
    return slice(None), _slice(rows), _slice(columns)


def _slice(places):
    return slice(places.start, places.stop, places.step)
