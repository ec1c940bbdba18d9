"""The steps of a plan on a GPU between convolutions: they leave channels last.

Batch norm goes together with what follows it. What merges images has steps of its own,
as results of CuPy's arithmetic have channels first; the others need none, see
:data:`IN_ANY_ORDER` of :mod:`.plan`.
"""

import numpy as np

from ...cuda import image_norm
from ...cuda.order import images
from ...device.arrays import contiguous
from ..steps import PlainStep
from .steps import GpuStep, value

__all__ = ["NormOnGpu", "MergeOnGpu", "ConcatOnGpu"]


class NormOnGpu(GpuStep):
    """Batch norm, and the ReLU, 2×2 max-pooling and dropout behind it.

    Its input is read twice, once for mean and variance and once to be normalised, and
    of it nothing is kept; so it is on the way back. Rows (N, C), as behind a dense
    layer, are images of one pixel.

    Parameters
    ----------
    layers : list of Layer
        A BatchNormLayer, and what is done together with it.
    bottoms, learns, need_dx, plan, dropout
        As for :class:`~minifer.compiled.gpu.steps.GpuStep`.
    fixed : bool
        Whether it normalises by the running averages.
    relu, pool : bool
    """

    def __init__(self, layers, bottoms, learns, need_dx, plan, fixed, relu, pool,
                 dropout):
        super().__init__(layers, bottoms, learns, need_dx, plan, dropout)
        self.algorithm = "fused norm"
        self.norm, self.fixed, self.relu, self.pool = layers[0], fixed, relu, pool
        self.trains = plan.training and learns
        C, *size = self.norm.input_shape[1:]
        out = self.top.output_shape[2:]
        self.x = self.dout = None  # made where images come in another order
        self.y = self.buffer(plan.batch, *out, C)
        shape = (plan.batch, *(size or (1, 1)), C)
        self.work = self.sums = self.dx = None
        if not fixed:
            self.mean, self.inv_std = self.buffer(C), self.buffer(C)
        if not fixed or self.trains:
            self.work = self.buffer(image_norm.workspace(shape))
        if self.trains:
            self.sums = self.buffer(2, C)
        if self.trains and need_dx:
            self.dx = self.buffer(*shape)

    def forward(self, xs):
        norm, x = self.norm, xs[0]
        self.count = count = x.size // x.shape[1]
        self.z = z = self._as_they_lie(x, "x")  # (N, H, W, C)
        if self.fixed:
            mean, inv_std = norm.mean.value, norm.inv_std.value
        else:
            mean, inv_std = self.mean, self.inv_std
            moves = norm.part is None and norm.counts(count)
            image_norm.statistics(
                z, mean, inv_std, self.work, epsilon=norm.epsilon, alpha=norm.alpha,
                averages=(norm.mean.value, norm.inv_std.value) if moves else None,
                step=1 + self.pool)
            if norm.part is not None:
                self._join_parts(count)
        N = len(x)
        self.made = image_norm.Layer(
            mean, inv_std, value(norm.gamma), value(norm.beta), self.relu, self.pool,
            self.drawn(N), self.scale)
        y = self.y[:N]
        image_norm.forward(z, self.made, y if y.ndim == 4 else y[:, None, None])
        return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y  # (N, C, Ho, Wo)

    def backward(self, dy):
        norm, z = self.norm, self.z
        dout = self._as_they_lie(dy, "dout")  # (N, Ho, Wo, C)
        wanted = [p for p in (norm.gamma, norm.beta) if p is not None and (
            p in self.plan.targets or not norm.frozen)]
        gradients = {param: self.gradient_of(param) for param in wanted}
        sums = None
        if wanted or not self.fixed:
            image_norm.gradients(dout, z, self.made, self.sums,
                                 gradients.get(norm.gamma), gradients.get(norm.beta),
                                 self.work)
        if not self.fixed:
            sums = self.sums if norm.part is None else norm.part.sum(self.sums)
        if self.dx is None:
            return [None], gradients
        dx = self.dx[:len(dy)]
        image_norm.input_gradient(dout, z, self.made, sums, dx, self.count)
        return [dx.transpose(0, 3, 1, 2) if norm.input_shape[2:] else dx[:, 0, 0]], (
            gradients)

    def _as_they_lie(self, x, name):
        """Images (N, H, W, C); rows (N, C) as those of one pixel."""
        return self.channels_last(x if x.ndim == 4 else x[:, :, None, None], name)

    def _join_parts(self, count):
        """The statistics of the whole batch, of which this is a part.

        In float64, where a sum of squares loses nothing that float32 had. ε may be in
        the mean of squares: it is so in all parts.
        """
        norm, part = self.norm, self.norm.part
        mean, inv_std = (one.astype(np.float64) for one in (self.mean, self.inv_std))
        sums = part.sum(count * np.stack([mean, 1 / inv_std ** 2 + mean * mean]))
        self.count = part.whole(count)
        mean, square = sums / self.count
        self.mean[...] = mean
        self.inv_std[...] = 1 / np.sqrt(np.maximum(square - mean * mean, norm.epsilon))
        if norm.counts(count):
            norm.update_averages(self.mean, self.inv_std)


class MergeOnGpu(PlainStep):
    """Images of one shape that are merged number by number, as they lie in memory."""

    algorithm = "channels last"

    def forward(self, xs):
        y, self.cache = self.layer.forward([_last(x) for x in xs], **self.options)
        return images(y)

    def backward(self, dy):
        dxs, gradients = super().backward(_last(dy))
        return [images(dx) for dx in dxs], gradients


def _last(x):
    """Images (N, C, H, W) as (N, H, W, C), copied only if need be."""
    return contiguous(x.transpose(0, 2, 3, 1))


class ConcatOnGpu(GpuStep):
    """Images one behind the other along their channels, which are last in memory."""

    def __init__(self, layers, bottoms, learns, need_dx, plan):
        super().__init__(layers, bottoms, learns, need_dx, plan)
        self.algorithm = "channels last"
        C, H, W = self.top.output_shape[1:]
        self.ends = np.cumsum([0, *(one.output_shape[1] for one in bottoms)]).tolist()
        self.y = self.buffer(plan.batch, H, W, C)

    def forward(self, xs):
        y = self.y[:len(xs[0])].transpose(0, 3, 1, 2)  # (N, C, H, W)
        for x, start, end in zip(xs, self.ends, self.ends[1:]):
            y[:, start:end] = x
        return y

    def backward(self, dy):
        return [dy[:, start:end] for start, end in zip(self.ends, self.ends[1:])], {}
