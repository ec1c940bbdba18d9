"""The plan on a CPU.

Each convolution gets the algorithm that suits its shape, and the images are shared
out among threads.
"""

import numpy as np

from ... import nonlinearities
from ...device.threads import Workers
from ...layers import (BatchNormLayer, Conv1DLayer, Conv2DLayer, Conv3DLayer,
                       DenseLayer, DilatedConv2DLayer, DropoutLayer, ElemwiseSumLayer,
                       FeaturePoolLayer, FeatureWTALayer, FrozenBatchNormLayer,
                       GRULayer, LSTMLayer, LocallyConnected2DLayer,
                       LocalResponseNormalization2DLayer,
                       MaxPool1DLayer, MaxPool2DLayer, MaxPool3DLayer, NINLayer,
                       NonlinearityLayer, PadLayer, ParametricRectifierLayer,
                       Pool1DLayer, Pool2DLayer, Pool3DLayer,
                       SpatialPyramidPoolingLayer, StandardizationLayer,
                       TransposedConv2DLayer, TransposedConv3DLayer, Upscale1DLayer,
                       Upscale2DLayer, Upscale3DLayer)
from ..plan import Plan, halves, takes_maxima
from ..steps import PlainStep
from .batch_norm import BatchNorm
from .conv_chain import ConvChain
from .folding import Folding
from .fused_conv import FusedConv
from .image_steps import FixedNormStep, ImageStep, NormStep, ReluStep
from .lstm import LSTMStep, is_usual
from .narrow import NarrowStep, is_narrow
from .normed_conv import NormedConv
from .pool import PoolStep
from .program import Desk
from .rephrased import rephrased
from .residual import SumStep
from .steps import DenseStep, DropoutStep, SequenceStep, SharedStep

__all__ = ["CpuPlan"]

#: Layers that look at each image by itself, so that threads can share a batch.
IMAGE_BY_IMAGE = (Conv1DLayer, Conv2DLayer, Conv3DLayer, DilatedConv2DLayer,
                  FeaturePoolLayer, FeatureWTALayer, LocallyConnected2DLayer,
                  LocalResponseNormalization2DLayer,
                  MaxPool1DLayer, MaxPool2DLayer, MaxPool3DLayer, NINLayer, Pool1DLayer,
                  Pool2DLayer, Pool3DLayer, SpatialPyramidPoolingLayer,
                  TransposedConv2DLayer, TransposedConv3DLayer, Upscale1DLayer,
                  Upscale2DLayer, Upscale3DLayer)


def is_by_image(layer):
    """Whether threads can share a batch for a layer, whose options may forbid it."""
    if type(layer) is PadLayer:
        return layer.batch_ndim > 0
    if type(layer) is ParametricRectifierLayer:
        return 0 in layer.shared_axes
    if type(layer) is StandardizationLayer:
        return 0 not in layer.axes
    return type(layer) in IMAGE_BY_IMAGE


class CpuPlan(Plan):
    """A plan whose steps run on a CPU; see :class:`minifer.compiled.plan.Plan`.

    Parameters
    ----------
    outputs, options, logits, batch, training, sources, feeds_back, again
        As for :class:`minifer.compiled.plan.Plan`.
    threads : int
    algorithm : str
        See :func:`minifer.compiled.cpu.choice.choose`.
    """

    #: The float types that there are plans for.
    types = (np.float32,)

    def __init__(self, outputs, options, logits, batch, training, threads,
                 algorithm="auto", sources=(), feeds_back=False, again=False):
        self.workers, self.algorithm = Workers(threads), algorithm
        self.desks = [Desk() for _ in range(threads)]
        super().__init__(outputs, options, logits, batch, training, sources, feeds_back,
                         again)
        self._join()
        if not self.again:
            self._overwrite()

    def _join(self):
        """Let steps write straight into the buffers of the convolutions beside them."""
        makers, fed = {step.top: step for step in self.steps}, set()
        for step in self.steps:
            below = makers.get(step.bottoms[0]) if step.bottoms else None
            if isinstance(below, ImageStep) and isinstance(step, ConvChain) and (
                    step.below is None and below not in fed):
                below.y, step.fed = step.input, True
                fed.add(below)
            elif isinstance(below, ConvChain) and isinstance(step, ImageStep) and (
                    step.need_dx and below.norm is None
                    and self.readers[below.top] == 1):
                step.dx, below.fed_back = below.output_gradient, True

    def _overwrite(self):
        """Let gradients lie where images of the way there were, if all who read those
        are done with them by then. Others may hand on, or keep, what they read.
        """
        for step in self.steps:
            if isinstance(step, ConvChain) or isinstance(step, SumStep) and all(
                    isinstance(one, (ConvChain, ImageStep)) for one in self.steps
                    if step.top in one.bottoms):
                step.overwrite()

    @property
    def nbytes(self):
        """Bytes in all buffers."""
        return super().nbytes + sum(desk.nbytes for desk in self.desks)

    def _surroundings(self):
        return self.workers.blas_alone()

    def _place(self):
        return f"{self.workers.count} threads"

    def _step(self, layer):
        """The step that begins with ``layer``; None if it does nothing."""
        bottoms = layer.incomings
        flags = self._flags(layer)
        logits = self._is_logits(layer)
        if self._can_fuse(layer):
            return self._chain(layer, bottoms, flags[1])
        if self._adds_images(layer):
            top = self._only_reader(layer)
            norms = [self._norm_below(one, cuts=False) for one in bottoms]
            return SumStep([layer, top] if self._is_relu(top) else [layer], bottoms,
                           flags[0], self.workers, self.batch, norms, self.desks)
        if type(layer) is DropoutLayer and not layer.shared_axes and (
                layer.p > 0 and not self.options.get("deterministic")
                and None not in layer.input_shape[1:]):
            return DropoutStep([layer], bottoms, *flags, self.workers, self.batch)
        if type(layer) is DenseLayer:
            return DenseStep([layer], bottoms, *flags, self.workers, self.batch, logits)
        if type(layer) is LSTMLayer and is_usual(layer):
            return LSTMStep([layer], bottoms, *flags, self.options, self.workers)
        if type(layer) in (LSTMLayer, GRULayer):
            return SequenceStep([layer], bottoms, *flags, self.options, self.workers)
        Fast = self._between_convolutions(layer)
        if Fast is not None and not logits:
            return Fast([layer], bottoms, *flags, self.workers, self.batch)
        if type(layer) is Conv2DLayer and is_narrow(layer, self.batch):
            return NarrowStep([layer], bottoms, *flags, logits, self.workers,
                              self.batch)
        if type(layer) in (Conv2DLayer, DilatedConv2DLayer, TransposedConv2DLayer):
            Rephrased = rephrased(layer)
            if Rephrased is not None:
                return Rephrased([layer], bottoms, *flags, logits, self.workers,
                                 self.batch)
        if is_by_image(layer):
            return SharedStep([layer], bottoms, *flags, self.options, logits,
                              self.workers, self.batch)
        return PlainStep([layer], bottoms, *flags, self.options, logits)

    def _between_convolutions(self, layer):
        """The fast step for a layer of images that is no convolution, if any."""
        shape = getattr(layer, "input_shape", ())
        if len(shape) != 4 or None in shape[1:]:
            return None
        if self._is_fixed_norm(layer):
            return FixedNormStep
        if self._is_batch_norm(layer):
            return NormStep
        if takes_maxima(layer):
            return PoolStep
        return ReluStep if self._is_relu(layer) else None

    def _around(self, conv, learns):
        """What is fused with a convolution: as ``_fused_above``, and a Folding.

        Batch norms that are fixed are folded where neither they nor it learn.
        """
        if learns:
            return *self._fused_above(conv), Folding()
        found, norms = [conv], Folding([], [], [])
        relu, pool = conv.nonlinearity is nonlinearities.rectify, False
        while True:
            top = self._only_reader(found[-1])
            if self._is_fixed_norm(top):
                (norms.behind if pool else norms.between if relu
                 else norms.before).append(top)
            elif not (relu or pool) and self._is_relu(top):
                relu = True
            elif not pool and halves(top):
                pool = True
            else:
                return relu, pool, found, norms
            found.append(top)

    def _norm_above(self, conv, found):
        """Batch norm by the batch's statistics, with ReLU and pooling behind it.

        Returns
        -------
        BatchNorm or None
        layers : list of Layer
            What it does the work of.
        """
        norm = self._only_reader(found[-1])
        if not self._is_batch_norm(norm):
            return None, []
        found, cuts, pool, size = [norm], False, False, conv.output_shape[2:]
        while True:
            top = self._only_reader(found[-1])
            if self._is_relu(top) and not cuts:
                cuts = True
            elif halves(top) and not (pool or any(n % 2 for n in size)):
                pool = True
            else:
                return BatchNorm(norm, cuts, pool, size, self.batch,
                                 self.desks), found
            found.append(top)

    def _reads_tiles(self, layer):
        """Whether a layer is a convolution that may read what tiles hold."""
        return (self._can_fuse(layer) and layer.filter_size == (3, 3)
                and layer.pad == layer.stride == (1, 1))

    def _norm_below(self, layer, cuts=True):
        """The BatchNorm from which a step may read ``layer``'s output unnormalised.

        ``cuts`` says whether one with ReLU behind it will do.
        """
        step = next((one for one in self.steps if one.top is layer), None)
        norm = step.norm if isinstance(step, ConvChain) else None
        if norm is None or self.readers[layer] > 1 or norm.cuts > cuts:
            return None
        norm.joined = True
        return norm

    def _adds_images(self, layer):
        """Whether a layer adds up images of one size, as they are."""
        return (type(layer) is ElemwiseSumLayer and len(layer.output_shape) == 4
                and None not in layer.output_shape[1:] and not self._is_logits(layer)
                and {*layer.coeffs} == {1} and not any(layer.cropping or ())
                and {*layer.input_shapes} == {layer.output_shape})

    def _is_relu(self, layer):
        return (type(layer) is NonlinearityLayer and not self._is_logits(layer)
                and layer.nonlinearity is nonlinearities.rectify)

    def _is_norm(self, layer):
        """Whether a layer is batch norm of images, and no option changes it."""
        return (type(layer) in (BatchNormLayer, FrozenBatchNormLayer)
                and layer.axes == (0, 2, 3) and set(self.options) <= {"deterministic"})

    def _is_batch_norm(self, layer):
        """Whether it is batch norm by the statistics of the batch."""
        return self._is_norm(layer) and not (
            layer.frozen or self.options.get("deterministic"))

    def _is_fixed_norm(self, layer):
        """Whether it is batch norm by running averages, and does not learn."""
        return self._is_norm(layer) and layer not in self.learns and (
            layer.frozen or bool(self.options.get("deterministic")))

    def _chain(self, layer, bottoms, need_dx):
        """Fuse convolutions upwards, as long as nothing else reads in between.

        A batch norm by the statistics of the batch ends a chain: no image can go on
        before all have come so far.
        """
        members, names, convs = [], [], []
        below = self._norm_below(bottoms[0])
        while self._can_fuse(layer):
            conv, norm = layer, None
            learns, need_dx = self._flags(conv)
            relu, pool, mine, norms = self._around(conv, learns)
            if learns and not pool:
                norm, more = self._norm_above(conv, mine)
                mine = mine + more
            top = self._only_reader(mine[-1])
            if norm is None:
                convs.append(FusedConv(conv, relu, pool, norms, self.batch, learns,
                                       need_dx, self.algorithm, below))
            else:
                as_tiles = not (norm.pool or need_dx) and self._reads_tiles(top)
                convs.append(NormedConv(norm, conv, relu, self.batch, need_dx,
                                        self.algorithm, below, as_tiles))
            names.append(" + ".join(one.name or type(one).__name__ for one in mine))
            members, below = members + mine, None
            if top is None or norm is not None:
                break
            layer = top
        learns = members[-1] in self.learns  # the lowest may be frozen
        return ConvChain(members, bottoms, learns, convs[0].need_dx, convs, names,
                         self.workers, self.batch, self.desks)
