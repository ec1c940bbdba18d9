"""Sums of images, as at the end of a residual block, with batch norm and ReLU around.

Layer by layer, batch norm would write what the sum reads, the sum what ReLU reads, and
each of them once more on the way back. Here a few images go through all of it:

    y = relu(slope · p + shift + x)

with p as the convolution below left it. On the way back there is one gradient for all
summands, d = dy where y > 0. It may take the place of y, whose sign is all that it
needed, if its readers are done by then, and nothing is walked back a second time; batch
norm's sums of it are added up while it is in the cache.
"""

import numpy as np

from .image_steps import ImageStep
from .program import ZERO

__all__ = ["SumStep"]


class SumStep(ImageStep):
    """An ElemwiseSumLayer of images, with ReLU behind it and batch norms below.

    Parameters
    ----------
    layers : list of Layer
        The sum, and a ReLU behind it, if any.
    bottoms, learns, workers, batch
        As for :class:`minifer.compiled.cpu.image_steps.ImageStep`.
    norms : list of BatchNorm or None
        For each summand, the norm that it reads before it is normalised.
    desks : list of Desk
        Where the threads work.
    """

    def __init__(self, layers, bottoms, learns, workers, batch, norms, desks):
        super().__init__(layers, bottoms, learns, False, workers, batch)
        self.relu, self.desks = len(layers) > 1, desks
        # So few at a time that the threads end together.
        self.group = min(self.group, -(-batch // (2 * workers.count)))
        self.norms, self.some = norms, [norm for norm in norms if norm]
        _, H, W, C = self.y.shape
        size = self.group * H * W * C
        for desk in desks:
            desk.ask(work=size, flags=-(-size // 4))
        for norm in self.some:
            norm.write_back(self.group, -(-batch // self.group), self.group)
        self.overwrites, self.own = False, None

    def overwrite(self):
        """Let the gradient lie where the sum was."""
        self.overwrites = True

    @property
    def d(self):
        """The gradient, an array of y's shape."""
        if self.overwrites:
            return self.y
        if self.own is None:
            self.own = np.empty(self.y.shape, np.float32)
        return self.own

    def forward(self, xs):
        # (N, H, W, C) each, and rows of the channels' numbers, (W, C)
        plain = [x.transpose(0, 2, 3, 1) for x, norm in zip(xs, self.norms) if not norm]
        wide = self.y.shape[2:]
        slopes = [norm.slope.reshape(wide) for norm in self.some]
        shift = sum(norm.shift for norm in self.some)
        for norm in self.some:
            norm.d = self.d[:]

        def share(images, worker):
            out, summands = self.y[images], [x[images] for x in plain]
            if self.some:
                np.multiply(self.some[0].p[images], slopes[0], out=out)
                np.add(out, shift.reshape(wide), out=out)
                work = self.desks[worker].cut("work", *out.shape)
                for norm, slope in zip(self.some[1:], slopes[1:]):
                    np.multiply(norm.p[images], slope, out=work)
                    np.add(out, work, out=out)
            else:
                first = summands.pop(0)
                np.add(first, summands.pop(0) if summands else ZERO, out=out)
            for x in summands:
                np.add(out, x, out=out)
            if self.relu:
                np.maximum(out, ZERO, out=out)

        self._each(share, len(xs[0]))
        return self._output(len(xs[0]))

    def backward(self, dy):
        N, dy = len(dy), dy.transpose(0, 2, 3, 1)  # (N, H, W, C)
        y, d = self.y, self.d

        def share(worker, place):
            images = slice(place * self.group, min((place + 1) * self.group, N))
            if self.relu:
                on = self.desks[worker].flags(*y[images].shape)
                np.greater(y[images], ZERO, out=on)
                np.multiply(dy[images], on, out=d[images])
            else:
                np.copyto(d[images], dy[images])
            for norm in self.some:
                norm.add_up(_at_once, worker, images)

        self.workers.run_chunks(share, -(-N // self.group))
        return [d[:N].transpose(0, 3, 1, 2)] * len(self.bottoms), {}


def _at_once(function, *arrays, **options):
    """As a Program, but the calls are made and not noted."""
    function(*arrays, **options)
