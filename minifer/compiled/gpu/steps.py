"""The steps of a plan on a GPU.

Between them images have channels last in memory, though their arrays are still
shaped (N, C, H, W). What a step computes it leaves in its own buffers, by kernels
alone: nothing waits for the GPU, and everything can be captured in a graph.
"""

import math

import numpy as np

from ... import nonlinearities
from ...cuda import (dropout as dropout_kernels, filter_gradient, first_conv,
                     fused_conv, gemm, head as head_kernel)
from ...device.arrays import contiguous
from ...ops.outer_product import OuterProductOnDevice
from ..steps import PlainStep, Step
from .folding import FoldingOnGpu

__all__ = ["GpuStep", "ConvOnGpu", "FirstConvOnGpu", "DenseOnGpu", "HeadOnGpu",
           "PlainOnGpu"]


class GpuStep(Step):
    """Base of the steps here: buffers on the device, a mask for a fused dropout.

    Parameters
    ----------
    layers, bottoms, learns, need_dx
        As for :class:`minifer.compiled.steps.Step`.
    plan : GpuPlan
    dropout : DropoutLayer, optional
    """

    def __init__(self, layers, bottoms, learns, need_dx, plan, dropout=None):
        super().__init__(layers, bottoms, learns, need_dx)
        self.plan, self.nbytes = plan, 0
        self.algorithm = f"fused {plan.precision}"
        self.keep, self.scale = None, 1.0
        if dropout is not None:
            self.stream, self.place = dropout.stream, plan.place_of(dropout.stream)
            self.threshold = dropout.stream.threshold(dropout.p)
            self.one_mask = 0 in dropout.shared_axes
            self.scale = 1 / (1 - dropout.p) if dropout.rescale else 1.0
            # (N, F, Ho, Wo), or (N, U) behind a dense layer
            self.keep = self.buffer(*mask_shape(dropout, plan.batch), dtype=bool)

    def buffer(self, *shape, dtype=None):
        """A new array on the device, counted."""
        array = self.plan.buffer(*shape, dtype=dtype)
        self.nbytes += array.nbytes
        return array

    def gradient_of(self, param):
        """The array for a parameter's gradient."""
        if param is None:
            return None
        target = self.plan.targets.get(param)
        return self.buffer(*param.shape) if target is None else target

    def drawn(self, N):
        """The dropout mask of this pass, if there is one."""
        if self.keep is None:
            return None
        mask = self.keep[:N]
        start = 0 if self.one_mask else self.stream.start(mask.shape)
        dropout_kernels.draw_mask(mask, self.threshold, self.stream.key,
                                  self.plan.numbers, self.place, start)
        return mask

    def channels_last(self, images, name):
        """Images (N, C, H, W) as (N, H, W, C), copied only if need be: the attribute
        ``name``, None before, then holds the copy's buffer."""
        images = images.transpose(0, 2, 3, 1)
        if images.flags.c_contiguous and images.dtype == self.plan.dtype:
            return images
        if getattr(self, name) is None:
            setattr(self, name, self.buffer(self.plan.batch, *images.shape[1:]))
        copy = getattr(self, name)[:len(images)]
        copy[...] = images
        return copy


class ConvOnGpu(GpuStep):
    """Convolution, bias, ReLU, max-pooling and dropout in one kernel.

    What backward needs to know about an output is one byte: which element of its
    window the gradient goes to, or that it goes nowhere.
    """

    def __init__(self, layers, bottoms, learns, need_dx, plan, relu, pool, norms,
                 dropout):
        super().__init__(layers, bottoms, learns, need_dx, plan, dropout)
        self.conv, self.relu, self.pool = layers[0], relu, pool
        self.folding = FoldingOnGpu(norms, self) if norms.layers else None
        conv, batch = self.conv, plan.batch
        _, C, H, W = conv.input_shape
        F, Ho, Wo = self.top.output_shape[1:]
        self.trains = plan.training and conv in plan.learns
        self.x = None  # made when an input comes that cannot be read as it is
        self.y = self.buffer(batch, Ho, Wo, F)
        marks = self.trains and (relu or pool or self.keep is not None)
        self.codes = self.buffer(batch, Ho, Wo, F, dtype=np.uint8) if marks else None
        self.dout = None
        self.dx = self.buffer(batch, H, W, C) if need_dx and self.trains else None
        self.prepare(batch, C, H, W, F)
        Hz, Wz = conv.output_shape[2:]
        passes = 1 + self.trains * (1 + need_dx)
        self.mflop = passes * 2e-6 * Hz * Wz * F * C * math.prod(conv.filter_size)

    def prepare(self, batch, C, H, W, F):
        """Buffers for packed filters, and for the sums of their gradient."""
        size = self.conv.W.size
        # for (C/8, kh*kw, F/8, 32 lanes, 2), and the same with C and F exchanged
        self.packed = self.buffer(size)
        self.transposed = None if self.dx is None else self.buffer(size)
        if self.trains:
            # for (splits, kh*kw*F*C + F)
            self.work = self.buffer(filter_gradient.workspace(
                batch, H, W, C, F, self.conv.filter_size))

    def forward(self, xs):
        self.N = N = len(xs[0])
        self.x_now = self.channels_last(xs[0], "x")  # (N, H, W, C)
        codes = None if self.codes is None else self.codes[:N]
        self.convolve(self.x_now, self.y[:N], codes, self.drawn(N))
        return self.y[:N].transpose(0, 3, 1, 2)  # (N, F, Ho, Wo)

    def parameters(self):
        """Filters, biases, and what is left to be done of folded batch norms."""
        if self.folding is not None:
            return self.folding.fold()
        return self.conv.W.value, value(self.conv.b), None

    def convolve(self, x, y, codes, keep):
        """Launch the kernels that fill ``y`` and ``codes``."""
        conv, (W, b, after) = self.conv, self.parameters()
        fused_conv.pack_filters(W, self.packed, self.transposed,
                                flip=conv.flip_filters)
        fused_conv.forward(x, self.packed, b, y, codes,
                           filter_size=conv.filter_size, pad=conv.pad, relu=self.relu,
                           pool=self.pool, keep=keep, scale=self.scale, after=after,
                           precision=self.plan.precision)

    def backward(self, dy):
        conv, N = self.conv, self.N
        if not self.trains:
            return [None], {}
        dout = self.channels_last(dy, "dout")  # (N, Ho, Wo, F)
        codes = None if self.codes is None else self.codes[:N]
        dW, db = self.gradient_of(conv.W), self.gradient_of(conv.b)
        self.filters_gradient(dout, codes, dW, db)
        gradients = {conv.W: dW} if conv.b is None else {conv.W: dW, conv.b: db}
        if self.dx is None:
            return [None], gradients
        dx = self.dx[:N]
        fused_conv.input_gradient(dout, codes, self.transposed, dx,
                                  filter_size=conv.filter_size, pad=conv.pad,
                                  pool=self.pool, scale=self.scale,
                                  precision=self.plan.precision)
        return [dx.transpose(0, 3, 1, 2)], gradients  # (N, C, H, W)

    def filters_gradient(self, dout, codes, dW, db):
        """Launch the kernels that fill ``dW`` and ``db``."""
        filter_gradient.filter_gradient(
            self.x_now, dout, codes, dW, db, self.work, pad=self.conv.pad,
            pool=self.pool, flip=self.conv.flip_filters, scale=self.scale,
            precision=self.plan.precision)


class FirstConvOnGpu(ConvOnGpu):
    """The same for one to four channels, on which tensor cores would be wasted."""

    def prepare(self, batch, C, H, W, F):
        self.algorithm = "fused direct"
        if self.trains:
            # for (splits, kh*kw*F*C + F)
            self.work = self.buffer(first_conv.workspace(
                batch, H, W, C, F, self.conv.filter_size))

    def convolve(self, x, y, codes, keep):
        conv, (W, b, after) = self.conv, self.parameters()
        first_conv.forward(x, W, b, y, codes, pad=conv.pad, flip=conv.flip_filters,
                           relu=self.relu, pool=self.pool, keep=keep, scale=self.scale,
                           after=after)

    def filters_gradient(self, dout, codes, dW, db):
        first_conv.filter_gradient(
            self.x_now, dout, codes, dW, db, self.work, pad=self.conv.pad,
            pool=self.pool, flip=self.conv.flip_filters, scale=self.scale)


class DenseOnGpu(GpuStep):
    """A dense layer with its ReLU and dropout.

    Images come as they lie, with channels last: the kernels look for the weights in
    the order that the layer's flattened input has.
    """

    def __init__(self, layers, bottoms, learns, need_dx, plan, dropout=None,
                 logits=False):
        super().__init__(layers, bottoms, learns, need_dx, plan, dropout)
        self.dense = layers[0]
        D, U = self.dense.W.shape
        batch = self.dense.rows_of(plan.batch)
        self.f = None if logits else self.dense.nonlinearity
        self.relu = self.f is nonlinearities.rectify
        fused = self.f in (None, nonlinearities.rectify, nonlinearities.identity)
        self.plain_f = None if fused else self.f
        self.trains = plan.training and learns
        self.y = self.buffer(batch, U)
        self.work = self.buffer(gemm.workspace(batch, D, U))  # for (splits, N, U)
        self.codes = self.dz = self.dx = self.x = None
        if self.trains and self.relu:
            self.codes = self.buffer(batch, U, dtype=np.uint8)
            self.dz = self.buffer(batch, U)
        if need_dx and self.trains:
            self.dx = self.buffer(batch, D)
        self.mflop = 2e-6 * batch / plan.batch * D * U * (
            1 + self.trains + (self.dx is not None))

    def forward(self, xs):
        self.shape = xs[0].shape
        self.x_now, self.channels = self._rows(xs[0])
        N = len(self.x_now)
        y, keep = self.y[:N], self.drawn(N)
        codes = None if self.codes is None else self.codes[:N]
        gemm.forward(self.x_now, self.dense.W.value, value(self.dense.b), y, self.work,
                     channels=self.channels, relu=self.relu, keep=keep, codes=codes,
                     scale=self.scale, precision=self.plan.precision)
        if self.plain_f is not None:
            y, self.cache = self.plain_f.forward(y)
        return y.reshape(self.dense.get_output_shape_for(self.shape))

    def backward(self, dy):
        dz = contiguous(dy.reshape(-1, self.dense.num_units))
        N = len(dz)
        if self.codes is not None:
            gemm.mask_gradient(dz, self.codes[:N], self.dz[:N], scale=self.scale)
            dz = self.dz[:N]
        elif self.plain_f is not None:
            dz = self.plain_f.backward(dz, self.cache)
        dense, precision = self.dense, self.plan.precision
        gradients = {dense.W: OuterProductOnDevice(
            self.x_now, dz, self.channels, precision)}
        if dense.b is not None:
            gradients[dense.b] = self.gradient_of(dense.b)
            gemm.bias_gradient(dz, gradients[dense.b])
        if self.dx is None:
            return [None], gradients
        dx = self.dx[:N]
        gemm.input_gradient(dz, dense.W.value, dx, channels=self.channels,
                            precision=precision)
        return [self._as_images(dx)], gradients

    def _rows(self, x):
        """Inputs as rows (N, D), and how many channels lie side by side in them."""
        if x.ndim == 4 and x.shape[1] > 1 and len(self.dense.output_shape) == 2:
            last = x.transpose(0, 2, 3, 1)  # (N, H, W, C)
            if last.flags.c_contiguous and x.dtype == np.float32:
                return last.reshape(len(x), -1), x.shape[1]  # (N, H*W*C)
        x = contiguous(x.astype(np.float32, copy=False))
        return x.reshape(-1, len(self.dense.W.value)), 1  # (N, C*H*W)

    def _as_images(self, dx):
        if self.channels == 1:
            return dx.reshape(self.shape)
        N, C, H, W = self.shape
        return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2)  # (N, C, H, W)


class HeadOnGpu(DenseOnGpu):
    """The last dense layer with softmax and the mean cross-entropy.

    It is put off until the targets are known: :meth:`run` then computes the logits,
    the losses and all gradients in one kernel.
    """

    def __init__(self, layers, bottoms, learns, need_dx, plan):
        super().__init__(layers, bottoms, learns, need_dx, plan, logits=True)
        self.algorithm, self.found = "fused head", None
        (D, K), batch = self.dense.W.shape, plan.batch
        self.losses, self.dlogits = self.buffer(batch), self.buffer(batch, K)
        # for (blocks, D + 1, K)
        self.head_work = self.buffer(head_kernel.workspace(batch, D, K))

    def forward(self, xs):
        """Logits that :meth:`run` or :meth:`work_out` will fill."""
        self.waiting, self.found = xs, None
        return self.y[:len(xs[0])]

    def work_out(self):
        """Fill the logits alone, for a loss that :meth:`run` does not know."""
        super().forward(self.waiting)

    def run(self, targets, class_weights):
        """Logits, losses, and all gradients of the mean loss.

        Parameters
        ----------
        targets : int32 device array, shape (N,)
        class_weights : device array, shape (K,), or None

        Returns
        -------
        losses : array, shape (N,)
        dlogits : array, shape (N, K)
        """
        h, dense = contiguous(self.waiting[0]), self.dense
        N = len(h)
        dx = None if self.dx is None else self.dx[:N]
        gradients = {param: self.gradient_of(param) for param in (dense.W, dense.b)
                     if param is not None}
        head_kernel.head(h, dense.W.value, value(dense.b), targets, class_weights,
                         self.y[:N], self.losses[:N], self.dlogits[:N], dx,
                         gradients[dense.W], gradients.get(dense.b), self.head_work)
        self.found = [dx], gradients
        return self.losses[:N], self.dlogits[:N]

    def backward(self, dy):
        return super().backward(dy) if self.found is None else self.found


class PlainOnGpu(PlainStep):
    """Any other layer, as it runs eagerly on the device.

    Parameters
    ----------
    in_any_order : bool
        Whether it takes images in whatever order they lie, and leaves them so.
    """

    def __init__(self, layers, bottoms, learns, need_dx, options, logits,
                 in_any_order=False):
        super().__init__(layers, bottoms, learns, need_dx, options, logits)
        self.as_it_takes = (lambda x: x) if in_any_order else contiguous

    def forward(self, xs):
        return super().forward([self.as_it_takes(x) for x in xs])

    def backward(self, dy):
        return super().backward(self.as_it_takes(dy))


def mask_shape(dropout, batch):
    """The shape of a batch's mask."""
    return tuple(1 if axis in dropout.shared_axes else n
                 for axis, n in enumerate((batch, *dropout.input_shape[1:])))


def value(param):
    """A parameter's array, or None."""
    return None if param is None else param.value
