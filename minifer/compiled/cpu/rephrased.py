"""Convolutions that are plain ones, seen otherwise: grouped, dilated, transposed.

Plain convolutions of images have fast kernels. So

- one in groups is one for each group;
- a dilated one, with steps of d, never mixes a pixel with its next neighbours: each of
  the d·d images that hold every d-th pixel is convolved by itself, as in the trous
  algorithm of Holschneider et al. (1990);
- a transposed one, with strides of s, makes s·s outputs side by side of each place,
  which are later put one beside the other (Shi et al. 2016, arXiv:1609.05158).

What is left is to bring images there and back: each thread does it for a few images at
a time, just before and after it convolves them.
"""

import itertools

import numpy as np

from ...layers import Conv2DLayer, DilatedConv2DLayer
from ...layers.padding import is_even
from ...layers.param import Param
from ...nonlinearities import identity, rectify
from ..steps import PlainStep
from .conv_chain import ConvChain
from .folding import Folding
from .fused_conv import FusedConv

__all__ = ["rephrased"]

#: Channels, and filters, of a product from which on the kernels are worth it.
ENOUGH = 8


def rephrased(layer):
    """The step for a layer of these kinds, if it pays; or None."""
    if len(layer.input_shape) != 4 or None in layer.input_shape[1:] or (
            layer.untie_biases or not is_even(getattr(layer, "pad", ()))):
        return None
    C, F, groups = layer.input_shape[1], layer.num_filters, layer.num_groups
    if type(layer) is Conv2DLayer:
        return GroupedStep if min(C, F) >= ENOUGH * groups > ENOUGH else None
    if groups > 1 or C < ENOUGH:
        return None
    if type(layer) is DilatedConv2DLayer:
        return DilatedStep if F >= ENOUGH else None
    fits = all((length + c - 1) // s < H + -(-k // s) - 1 for length, c, s, H, k
               in zip(layer.output_shape[2:], layer.crop, layer.stride,
                      layer.input_shape[2:], layer.filter_size))
    return TransposedStep if fits and F * np.prod(layer.stride) >= ENOUGH else None


class _Rephrased(PlainStep):
    """What all share: plain convolutions, each with a layer that stands for it.

    A subclass has ``_stand_in(layer)``, which makes these layers, ``_filters(part)``,
    their filters' values, ``_in``, ``_out``, ``_back`` and ``_through``, which bring
    images, outputs and their gradients there and back for a part and some images, and
    ``_gradients(dWs)``, the filters' gradient.
    """

    images = 1  # of the plain convolution, for each of the layer's

    def __init__(self, layers, bottoms, learns, need_dx, logits, workers, batch):
        super().__init__(layers, bottoms, learns, need_dx, {}, logits)
        layer, self.workers = self.layer, workers
        f = identity if logits else layer.nonlinearity
        self.f = None if f in (identity, rectify) else f
        self.stand_ins, self.chains = self._stand_in(layer), []
        for one in self.stand_ins:
            conv = FusedConv(one, f is rectify, False, Folding(), batch * self.images,
                             learns, need_dx)
            chain = ConvChain([one], [None], learns, need_dx, [conv], [""], workers,
                              batch * self.images, together=self.images)
            chain.fed = chain.fed_back = True
            self.chains.append(chain)
        self.y = np.empty((batch, *layer.output_shape[1:]), np.float32)
        self.dx = np.empty((batch, *layer.input_shape[1:]), np.float32) if (
            need_dx) else None
        self.nbytes = self.y.nbytes + (self.dx.nbytes if need_dx else 0) + sum(
            chain.nbytes for chain in self.chains)
        self.mflop = sum(chain.rows()[0][3] for chain in self.chains) * self.images
        self.algorithm = f"{self.kind} {self.chains[0].convs[0].algorithm}"

    def forward(self, xs):
        x = xs[0]
        self.N = len(x)
        b = None if self.layer.b is None else self.layer.b.value
        for place, (one, chain) in enumerate(zip(self.stand_ins, self.chains)):
            one.W.value = self._filters(place)
            if b is not None:
                one.b.value = self._bias(b, place)
        y = self.y[:self.N]
        for place, chain in enumerate(self.chains):
            chain.around[0] = (self._bring(self._in, x, place),
                               self._bring(self._out, y, place))
            chain.forward([chain.input[:self.N * self.images]])
        if self.f is not None:
            y, self.cache = self.f.forward(y)
        return y

    def backward(self, dy):
        if self.f is not None:
            dy = self.f.backward(dy, self.cache)
        dx, found = None if self.dx is None else self.dx[:self.N], []
        for place, chain in enumerate(self.chains):
            chain.around[1] = (self._bring(self._back, dy, place),
                               self._bring(self._through, dx, place))
            found.append(chain.backward(dy)[1])
        layer, ones = self.layer, self.stand_ins
        gradients = {layer.W: self._gradients(
            [of[one.W] for of, one in zip(found, ones)])}
        if layer.b is not None:
            gradients[layer.b] = self._bias_gradient(
                [of[one.b] for of, one in zip(found, ones)])
        return [dx], gradients

    def _bring(self, way, images, place):
        """What brings some of a chain's images along a way; None for no images."""
        def bring(some):
            mine = slice(some.start // self.images, some.stop // self.images)
            way(images[mine], place, some)

        return None if images is None else bring

    def _plain(self, shape, F, size, stride=1, pad=0):
        """A plain convolution for images (C, H, W), with parameters of zeros."""
        b = None if self.layer.b is None else Param(np.zeros(F, np.float32))
        return Conv2DLayer((None, *shape), F, size, stride, pad,
                           W=Param(np.zeros((F, shape[0], *size), np.float32)), b=b,
                           nonlinearity=None, flip_filters=False)

    def _facing(self, W, flips):
        return W[..., ::-1, ::-1] if flips else W

    def _bias(self, b, place):
        return b

    def _bias_gradient(self, dbs):
        return dbs[0]

    def _input(self, place, some):
        """Where images lie, (n·images, H, W, C)."""
        return self.chains[place].input[some]

    def _result(self, place, some):
        return self.chains[place].convs[0].result[some]

    def _upstream(self, place, some):
        return self.chains[place].output_gradient[some]

    def _input_gradient(self, place, some):
        return self.chains[place].dx[some]


class GroupedStep(_Rephrased):
    """A convolution in groups: one for each."""

    kind = "groups"

    def _stand_in(self, layer):
        (_, C, H, W), groups = layer.input_shape, layer.num_groups
        self.C, self.F = C // groups, layer.num_filters // groups
        return [self._plain((self.C, H, W), self.F, layer.filter_size, layer.stride,
                            layer.pad) for _ in range(groups)]

    def _filters(self, place):
        W = self.layer.W.value[self._mine(self.F, place)]
        return self._facing(W, self.layer.flip_filters)

    def _mine(self, size, place):
        return slice(place * size, (place + 1) * size)

    def _bias(self, b, place):
        return b[self._mine(self.F, place)]

    def _bias_gradient(self, dbs):
        return np.concatenate(dbs)

    def _gradients(self, dWs):
        return np.ascontiguousarray(self._facing(np.concatenate(dWs),
                                                 self.layer.flip_filters))

    def _in(self, x, place, some):
        self._input(place, some)[...] = _last(x[:, self._mine(self.C, place)])

    def _out(self, y, place, some):
        y[:, self._mine(self.F, place)] = _first(self._result(place, some))

    def _back(self, dy, place, some):
        self._upstream(place, some)[...] = _last(dy[:, self._mine(self.F, place)])

    def _through(self, dx, place, some):
        dx[:, self._mine(self.C, place)] = _first(self._input_gradient(place, some))


class DilatedStep(_Rephrased):
    """A dilated convolution: every d-th pixel is an image."""

    kind = "dilated"

    def _stand_in(self, layer):
        (_, C, *lengths), (_, _, *counts) = layer.input_shape, layer.output_shape
        self.steps = layer.dilation
        self.images = int(np.prod(self.steps))
        sides = [-(-(length + 2 * p) // d)
                 for length, p, d in zip(lengths, layer.pad, self.steps)]
        # By phase: an axis's pixels, where they lie in its image, and outputs.
        axes = [[_phase(r, d, length, p, count) for r in range(d)] for length, p, d,
                count in zip(lengths, layer.pad, self.steps, counts)]
        self.phases = list(itertools.product(*axes))
        return [self._plain((C, *sides), layer.num_filters, layer.filter_size)]

    def _filters(self, place):
        return self._facing(self.layer.W.value.swapaxes(0, 1), self.layer.flip_filters)

    def _gradients(self, dWs):
        return np.ascontiguousarray(self._facing(
            dWs[0].swapaxes(0, 1), self.layer.flip_filters))

    def _apart(self, images):
        """Images (n·d·d, ...) as (n, d·d, ...)."""
        return images.reshape(-1, self.images, *images.shape[1:])

    def _in(self, x, place, some):
        images = self._apart(self._input(place, some))
        for i, ((here, there, _, _), (across, along, _, _)) in enumerate(self.phases):
            images[:, i, there, along] = _last(x[:, :, here, across])

    def _through(self, dx, place, some):
        images = self._apart(self._input_gradient(place, some))
        for i, ((here, there, _, _), (across, along, _, _)) in enumerate(self.phases):
            dx[:, :, here, across] = _first(images[:, i, there, along])

    def _out(self, y, place, some):
        images = self._apart(self._result(place, some))
        for i, ((_, _, out, rows), (_, _, over, columns)) in enumerate(self.phases):
            y[:, :, out, over] = _first(images[:, i, :rows, :columns])

    def _back(self, dy, place, some):
        images = self._apart(self._upstream(place, some))
        for i, ((_, _, out, rows), (_, _, over, columns)) in enumerate(self.phases):
            images[:, i, :rows, :columns] = _last(dy[:, :, out, over])


def _phase(r, d, length, p, count):
    """Every d-th pixel from the r-th of a padded axis on: slices of the axis and of its
    own image; then the outputs that they give, and how many."""
    first = max(0, -((r - p) // d))
    pixels = range(r + d * first - p, length, d)
    outputs = range(r, count, d)
    return (slice(pixels.start, length, d), slice(first, first + len(pixels)),
            slice(r, count, d), len(outputs))


class TransposedStep(_Rephrased):
    """A transposed convolution: s·s outputs of each place, put side by side."""

    kind = "phases"

    def _stand_in(self, layer):
        (_, C, *lengths), self.F = layer.input_shape, layer.num_filters
        self.steps = list(itertools.product(*map(range, layer.stride)))
        self.size = size = [-(-k // s) for k, s in zip(layer.filter_size, layer.stride)]
        # By phase: where its outputs lie, and which places they are of.
        self.phases = []
        for phase in self.steps:
            axes = []
            for q, s, c, count in zip(phase, layer.stride, layer.crop,
                                      layer.output_shape[2:]):
                first = (q - c) % s
                outputs = len(range(first, count, s))
                place = (first + c - q) // s
                axes.append((slice(first, count, s), slice(place, place + outputs)))
            self.phases.append(axes)
        pad = [k - 1 for k in size]
        return [self._plain((C, *lengths), self.F * len(self.steps), size, 1, pad)]

    def _taps(self):
        """By phase: its slices of the filters, and of the plain convolution's, turned.
        """
        for i, phase in enumerate(self.steps):
            taps = [slice(q, None, s) for q, s in zip(phase, self.layer.stride)]
            counts = [len(range(q, k, s)) for q, s, k in zip(
                phase, self.layer.stride, self.layer.filter_size)]
            mine = [slice(k - 1, k - 1 - n if k > n else None, -1)
                    for k, n in zip(self.size, counts)]
            yield (slice(i * self.F, (i + 1) * self.F), slice(None), *mine), (
                slice(None), slice(None), *taps)

    def _filters(self, place):
        V = self._facing(self.layer.W.value, not self.layer.flip_filters)
        W = np.zeros(self.stand_ins[0].W.shape, np.float32)
        for there, taps in self._taps():
            W[there] = V[taps].swapaxes(0, 1)
        return W

    def _gradients(self, dWs):
        dV = np.empty(self.layer.W.shape, np.float32)
        for there, taps in self._taps():
            dV[taps] = dWs[0][there].swapaxes(0, 1)
        return np.ascontiguousarray(self._facing(dV, not self.layer.flip_filters))

    def _bias(self, b, place):
        return np.tile(b, len(self.steps))

    def _bias_gradient(self, dbs):
        return dbs[0].reshape(-1, self.F).sum(axis=0)

    def _channels(self, i):
        return slice(i * self.F, (i + 1) * self.F)

    def _in(self, x, place, some):
        self._input(place, some)[...] = _last(x)

    def _through(self, dx, place, some):
        dx[...] = _first(self._input_gradient(place, some))

    def _out(self, y, place, some):
        result = self._result(place, some)
        for i, ((rows, ms), (columns, ns)) in enumerate(self.phases):
            y[:, :, rows, columns] = _first(result[:, ms, ns, self._channels(i)])

    def _back(self, dy, place, some):
        upstream = self._upstream(place, some)
        for i, ((rows, ms), (columns, ns)) in enumerate(self.phases):
            upstream[:, ms, ns, self._channels(i)] = _last(dy[:, :, rows, columns])


def _last(images):
    """(N, C, H, W) with channels last; a view."""
    return images.transpose(0, 2, 3, 1)


def _first(images):
    """(N, H, W, C) with channels first; a view."""
    return images.transpose(0, 3, 1, 2)
