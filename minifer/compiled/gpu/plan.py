"""The plan on a GPU.

Convolutions and dense layers run as the fused kernels of ``kernels/``, and all
buffers belong to the plan, so that a step can be captured as one graph
(:mod:`minifer.compiled.gpu.replay`). A layer without a fused form runs as it does
eagerly, and the table says so. In float64, which serves to compare numbers, no
convolution and no dense layer has one: the graph alone spares time.
"""

from collections import Counter

import numpy as np

from ...cuda import first_conv, fused_conv, head as head_kernel
from ...cuda.scalars import send
from ...device import arrays
from ...layers import (BatchNormLayer, BiasLayer, ConcatLayer, Conv1DLayer, Conv2DLayer,
                       Conv3DLayer, CustomRecurrentLayer, DenseLayer,
                       DilatedConv2DLayer, DimshuffleLayer, DropoutLayer,
                       ElemwiseMergeLayer, ElemwiseSumLayer, EmbeddingLayer,
                       FeaturePoolLayer, FeatureWTALayer, FlattenLayer,
                       FrozenBatchNormLayer, GRULayer, GaussianNoiseLayer,
                       GlobalPoolLayer, LSTMLayer, LocalResponseNormalization2DLayer,
                       LocallyConnected2DLayer, MaxPool1DLayer, MaxPool2DLayer,
                       MaxPool3DLayer, NINLayer, NonlinearityLayer, PadLayer,
                       ParametricRectifierLayer, Pool1DLayer, Pool2DLayer, Pool3DLayer,
                       RandomizedRectifierLayer, RecurrentLayer, ReshapeLayer,
                       ScaleLayer, SliceLayer, SpatialPyramidPoolingLayer,
                       StandardizationLayer, TPSTransformerLayer, TransformerLayer,
                       TransposedConv2DLayer, TransposedConv3DLayer, Upscale1DLayer,
                       Upscale2DLayer, Upscale3DLayer)
from ...layers.pairs import name_of
from ...nonlinearities import rectify
from ..cpu.folding import Folding
from ..plan import Plan, halves
from .drawn import DropoutOnGpu, NoiseOnGpu
from .images import ConcatOnGpu, MergeOnGpu, NormOnGpu
from .steps import ConvOnGpu, DenseOnGpu, FirstConvOnGpu, HeadOnGpu, PlainOnGpu

__all__ = ["GpuPlan"]

#: Layers that, run eagerly, neither wait for the GPU nor need cuBLAS, and do the same
#: at every step: only those can be part of a graph. Dropout is among them, since only
#: where it does nothing does it run eagerly; and so it is with noise.
CAPTURABLE = (BatchNormLayer, BiasLayer, ConcatLayer, Conv1DLayer, Conv2DLayer,
              Conv3DLayer, DenseLayer, DilatedConv2DLayer, DimshuffleLayer,
              DropoutLayer, ElemwiseSumLayer, EmbeddingLayer, FeaturePoolLayer,
              FeatureWTALayer, FlattenLayer, FrozenBatchNormLayer, GRULayer,
              GlobalPoolLayer, LSTMLayer, LocalResponseNormalization2DLayer,
              LocallyConnected2DLayer, MaxPool1DLayer, MaxPool2DLayer, MaxPool3DLayer,
              NINLayer, NonlinearityLayer, PadLayer, ParametricRectifierLayer,
              Pool1DLayer, Pool2DLayer, Pool3DLayer, RecurrentLayer, ReshapeLayer,
              ScaleLayer, SliceLayer, SpatialPyramidPoolingLayer, StandardizationLayer,
              TPSTransformerLayer, TransformerLayer, TransposedConv2DLayer,
              TransposedConv3DLayer, Upscale1DLayer, Upscale2DLayer, Upscale3DLayer)
MERGES = (ElemwiseMergeLayer, ElemwiseSumLayer)
NORMS = (BatchNormLayer, FrozenBatchNormLayer)
NOISE = (GaussianNoiseLayer, RandomizedRectifierLayer)

#: Layers that, run eagerly, take images in whatever order they lie in memory and leave
#: them so: their kernels know both, or do not mind.
IN_ANY_ORDER = (Conv2DLayer, GlobalPoolLayer, MaxPool2DLayer, NonlinearityLayer,
                Pool2DLayer)


class GpuPlan(Plan):
    """A plan whose steps run on a GPU; see :class:`minifer.compiled.plan.Plan`.

    Parameters
    ----------
    outputs, options, logits, batch, training, sources, feeds_back, again
        As for :class:`minifer.compiled.plan.Plan`.
    like : device array
        An array on the device where the plan runs, of the type that it works in.
    precision : {'fp32', 'tf32'}
        Precision of the products: as accurate as float32, or with inputs rounded to
        10 bits of fraction, which tensor cores multiply three times as fast.
    targets : dict of Param -> device array
        The arrays that are to hold gradients; other gradients get new buffers.
    head : bool
        Whether a last dense layer may be put off, until the targets are known.
    """

    #: The float types that there are plans for.
    types = (np.float32, np.float64)

    def __init__(self, outputs, options, logits, batch, training, like, precision,
                 targets={}, head=False, sources=(), feeds_back=False, again=False):
        self.like, self.device = like, arrays.device_of(like)
        self.dtype = like.dtype
        self.precision, self.may_head = precision, head
        self.streams = []
        # The tensor cores' products are of float32.
        self.fused = (self.dtype == np.float32
                      and arrays.compute_capability(self.device) >= 80)
        super().__init__(outputs, options, logits, batch, training, sources, feeds_back,
                         again)
        uses = Counter(p for layer in self.order for p in layer.params)
        self.targets = {p: t for p, t in targets.items() if uses[p] == 1}
        # (streams,): the step of each
        self.numbers = self.buffer(max(1, len(self.streams)), dtype=np.float64)

    def buffer(self, *shape, dtype=None):
        """A new array on the device; by default of the type that the plan works in."""
        return np.empty_like(self.like, shape=shape, dtype=dtype)

    def place_of(self, stream):
        """The place in ``numbers`` that will hold a stream's step."""
        self.streams.append(stream)
        return len(self.streams) - 1

    def begin(self):
        """The host's part of a pass: send what changes from one to the next."""
        for start in range(0, len(self.streams), 16):
            send(self.numbers, start, [s.step for s in self.streams[start:start + 16]])
        for stream in self.streams:
            stream.step += 1

    @property
    def head(self):
        """The last layer, if it is put off until the targets are known; or None."""
        last = self.steps[-1] if self.steps else None
        return last if isinstance(last, HeadOnGpu) else None

    def why_not_captured(self):
        """What keeps a pass from being captured in a graph, or None."""
        for step in self.steps:
            if isinstance(step, PlainOnGpu) and not self._can_capture(step.layer):
                return f"{step.name} has no kernel that a graph can hold"
        return None

    def _result(self, layer):
        if self.head is not None and layer is self.head.top:
            return self.values[layer]  # not filled yet
        return super()._result(layer)

    def _now(self):
        if self.profiling:
            arrays.synchronize(self.device)
        return super()._now()

    def _place(self):
        return f"{self.device}, {self.precision if self.fused else self.dtype}"

    def _step(self, layer):
        """The step that begins with ``layer``."""
        bottoms, flags = layer.incomings, self._flags(layer)
        logits = self._is_logits(layer)
        if self._can_fuse(layer) and self.fused:
            step = self._convolution(layer, bottoms, *flags)
            if step is not None:
                return step
        if self._drops(layer):
            return DropoutOnGpu([layer], bottoms, *flags, self)
        if self._makes_noise(layer) and None not in layer.input_shape[1:]:
            return NoiseOnGpu([layer], bottoms, *flags, self)
        if type(layer) is DenseLayer and self.fused and layer.rows_of(self.batch):
            return self._dense(layer, bottoms, *flags, logits)
        if self._is_norm(layer):
            return self._norm(layer, bottoms, *flags)
        if type(layer) is ConcatLayer and layer.axis == 1 and self._merges(layer):
            return ConcatOnGpu([layer], bottoms, *flags, self)
        if type(layer) in MERGES and self._merges(layer) and (
                len({shape[1:] for shape in layer.input_shapes}) == 1
                and self._can_capture(layer)):
            return MergeOnGpu([layer], bottoms, *flags, self.options, logits)
        return PlainOnGpu([layer], bottoms, *flags, self.options, logits,
                          type(layer) in IN_ANY_ORDER
                          and getattr(layer, "num_groups", 1) == 1)

    def _norm(self, norm, bottoms, learns, need_dx):
        """Batch norm with the ReLU, pooling and dropout that directly follow it."""
        found, relu, pool = [norm], False, False
        while True:
            top = self._only_reader(found[-1])
            if not relu and self._is_relu(top):  # before or behind pooling is the same
                relu = True
            elif not pool and halves(top):
                pool = True
            else:
                break
            found.append(top)
        found, dropout = self._with_dropout(found)
        return NormOnGpu(found, bottoms, learns, need_dx, self, self._is_fixed(norm),
                         relu, pool, dropout)

    def _is_fixed(self, norm):
        """Whether a batch norm goes by its running averages."""
        return norm.frozen or bool(self.options.get("deterministic"))

    def _merges(self, layer):
        """Whether a layer merges images of known size, as they are."""
        return layer.cropping is None and all(
            len(shape) == 4 and None not in shape[1:] for shape in layer.input_shapes)

    def _is_norm(self, layer):
        """Whether a layer is batch norm of channels, and no option changes it."""
        ndim = len(layer.output_shape) if type(layer) in NORMS else 0
        return (ndim in (2, 4) and layer.axes == (0, *range(2, ndim))
                and None not in layer.input_shape[1:]
                and set(self.options) <= {"deterministic"})

    def _is_relu(self, layer):
        return (type(layer) is NonlinearityLayer and not self._is_logits(layer)
                and layer.nonlinearity is rectify)

    def _convolution(self, conv, bottoms, learns, need_dx):
        """A convolution with what follows it, or None if no kernel has its shape."""
        C, F, size = conv.input_shape[1], conv.num_filters, conv.filter_size
        if conv.stride != (1, 1):
            return None
        if fused_conv.supported(C, F, *size, conv.pad):
            Step = ConvOnGpu
        elif not need_dx and first_conv.supported(C, F, *size, conv.pad):
            Step = FirstConvOnGpu
        else:
            return None
        relu, pool, layers, norms = self._around(conv, learns)
        layers, dropout = self._with_dropout(layers)
        return Step(layers, bottoms, learns, need_dx, self, relu, pool, norms, dropout)

    def _around(self, conv, learns):
        """What is fused with a convolution: as ``_fused_above``, and a Folding.

        Batch norms that are fixed are folded where neither they nor it learn.
        """
        if learns:
            return *self._fused_above(conv), Folding()
        found, norms = [conv], Folding([], [], [])
        relu, pool = conv.nonlinearity is rectify, False
        while True:
            top = self._only_reader(found[-1])
            if self._is_norm(top) and self._is_fixed(top) and top not in self.learns:
                (norms.behind if pool else norms.between if relu
                 else norms.before).append(top)
            elif not (relu or norms.behind) and self._is_relu(top):
                relu = True  # before or behind pooling is the same
            elif not pool and halves(top):
                pool = True
            else:
                return relu, pool, found, norms
            found.append(top)

    def _dense(self, dense, bottoms, learns, need_dx, logits):
        D, K = dense.W.shape
        flat = len(dense.input_shape) == len(dense.output_shape) == 2
        if (logits and self.may_head and flat and learns and head_kernel.supported(D, K)
                and self.readers[dense] == 1):
            return HeadOnGpu([dense], bottoms, learns, need_dx, self)
        layers, dropout = [dense], None
        if not logits and len(dense.output_shape) == 2 and (
                dense.nonlinearity is rectify):
            layers, dropout = self._with_dropout(layers)
        return DenseOnGpu(layers, bottoms, learns, need_dx, self, dropout, logits)

    def _with_dropout(self, layers):
        """The layers, and a dropout that alone reads the last of them."""
        top = self._only_reader(layers[-1])
        if self._drops(top) and not top.shared_axes:
            return layers + [top], top
        return layers, None

    def _drops(self, layer):
        return (type(layer) is DropoutLayer and layer.p > 0
                and not self.options.get("deterministic"))

    def _can_capture(self, layer):
        """Whether a layer that runs eagerly can be part of a graph."""
        if type(layer) is ElemwiseMergeLayer:  # a user's function might wait
            return name_of(layer.merge_function) is not None
        if type(layer) is CustomRecurrentLayer:
            return all(self._repeats(one) for network in (layer.inner, layer.again)
                       for one in network.order if one is not network.input)
        return type(layer) in CAPTURABLE or (type(layer) in NOISE
                                             and not self._makes_noise(layer))

    def _repeats(self, layer):
        """Whether a layer within another can be captured: it must not draw numbers,
        which the host counts, step by step of a sequence."""
        return (self._can_capture(layer) and not self._drops(layer)
                and not self._makes_noise(layer))

    def _makes_noise(self, layer):
        return (type(layer) in NOISE and not layer.is_quiet
                and not self.options.get("deterministic"))
