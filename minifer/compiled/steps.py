"""The steps of a plan on a CPU, and the base of all steps.

A step computes the output of one layer (its ``top``) from those of others (its
``bottoms``), for any batch up to the planned size, in buffers of its own. It has
``forward(xs) -> y`` and ``backward(dy) -> (dxs, {Param: gradient})``.
"""

import numpy as np

from ..layers import MergeLayer

__all__ = ["Step", "PlainStep", "pieces", "channels_last"]


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
    #: Whether it adds to its first bottom's gradient what others found of that, which
    #: then stands in ``beside``.
    adds, beside = False, None

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
