"""The plan: a network looked at once, and laid out to run fast.

Neighbours are fused (convolution + bias + ReLU + max-pooling), each convolution
gets the algorithm that suits its shape, buffers are allocated once, and the
images are shared out among threads. What has no fast form runs as it does
eagerly. Eager and planned give the same numbers, but for rounding.
"""

import time
from collections import Counter

import numpy as np

from .. import nonlinearities
from ..layers import (BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer,
                      InputLayer, NonlinearityLayer, Pool2DLayer, get_all_layers)
from .batchwise import FixedNormStep, NormStep, PoolStep, ReluStep
from .conv import FusedConv
from .steps import ConvChain, DenseStep, DropoutStep, PlainStep
from .workers import Workers

__all__ = ["Plan"]


class Plan:
    """Run a network's layers in planned steps.

    Parameters
    ----------
    outputs : list of Layer
    options : dict
        Options of the pass, such as ``deterministic``.
    logits : bool
        Leave out the outputs' nonlinearity.
    batch : int
        Most images at once; smaller batches need no new plan.
    training : bool
        Whether gradients are wanted.
    threads : int
    algorithm : str
        See :func:`minifer.plan.conv.choose`.
    """

    def __init__(self, outputs, options, logits, batch, training, threads,
                 algorithm="auto"):
        self.outputs, self.options, self.logits = outputs, options, logits
        self.batch, self.training, self.algorithm = batch, training, algorithm
        self.workers = Workers(threads)
        self.order = get_all_layers(outputs)
        self.readers = Counter(i for one in self.order for i in one.incomings)
        self.readers.update(outputs)
        self.above = {i: one for one in self.order for i in one.incomings}
        self.learns = self._layers_that_learn()
        self.steps, done = [], set()
        for layer in self.order:
            if layer in done or isinstance(layer, InputLayer):
                continue
            step = self._step(layer)
            if step is not None:
                self.steps.append(step)
                done.update(step.layers)

    def run(self, given):
        """Run forward.

        Parameters
        ----------
        given : dict of InputLayer -> array

        Returns
        -------
        list of arrays
            Copies: they stay valid.
        """
        self.values = {layer: layer.forward(x)[0] for layer, x in given.items()}
        with self.workers.blas_alone():
            for step in self.steps:
                began = time.perf_counter()
                self.values[step.top] = step.forward(
                    [self.values[b] for b in step.bottoms])
                step.seconds += time.perf_counter() - began
        return [self.values[layer].copy() for layer in self.outputs]

    def backward(self, dys):
        """Gradients of all parameters that learn.

        Parameters
        ----------
        dys : dict of int -> array
            By the output's place; those that are missing are 0.

        Returns
        -------
        dict of Param -> array; valid until the next call
        """
        arrived, gradients = {}, {}
        for place, dy in dys.items():
            _add(arrived, self.outputs[place], dy)
        with self.workers.blas_alone():
            for step in reversed(self.steps):
                dy = arrived.pop(step.top, None)
                if dy is None or not step.learns:
                    continue
                began = time.perf_counter()
                dxs, found = step.backward(dy)
                step.seconds += time.perf_counter() - began
                for param, gradient in found.items():
                    _add(gradients, param, gradient)
                for bottom, dx in zip(step.bottoms, dxs):
                    if bottom in self.learns:
                        _add(arrived, bottom, dx)
        return gradients

    def table(self):
        """Rows of (name, algorithm, shape, MFLOP an image, bytes, seconds)."""
        return [row for step in self.steps for row in step.rows()]

    def clear_time(self):
        """Start timing anew."""
        for step in self.steps:
            step.clear_time()

    @property
    def nbytes(self):
        """Bytes in all buffers."""
        return sum(step.nbytes for step in self.steps)

    def __str__(self):
        return self.describe()

    def describe(self, images=None):
        """The table as text; with the number of images that ran, also times."""
        head = f"{'step':<34}{'algorithm':<17}{'output':<16}{'MFLOP':>8}{'MB':>8}"
        lines = [head + (f"{'ms/image':>10}{'GFLOP/s':>9}" if images else "")]
        for name, algorithm, shape, mflop, size, seconds in self.table():
            shape = "×".join("?" if n is None else str(n) for n in shape)
            line = (f"{name:<34}{algorithm:<17}{shape:<16}{mflop:>8.1f}"
                    f"{size / 1e6:>8.1f}")
            if images:
                ms = 1e3 * seconds / images
                line += f"{ms:>10.3f}{mflop / ms if ms else 0:>9.0f}"
            lines.append(line)
        total = sum(row[3] for row in self.table())
        lines.append(f"{'in all':<67}{total:>8.1f}{self.nbytes / 1e6:>8.1f}")
        lines.append(f"batch up to {self.batch}, {self.workers.count} threads; "
                     "MFLOP of a direct computation, an image")
        return "\n".join(lines)

    def _layers_that_learn(self):
        learns = set()
        for layer in self.order:
            own = layer.get_params(trainable=True)
            if self.training and (own or any(i in learns for i in layer.incomings)):
                learns.add(layer)
        return learns

    def _step(self, layer):
        """The step that begins with ``layer``; None if it does nothing."""
        bottoms = layer.incomings
        flags = layer in self.learns, any(b in self.learns for b in bottoms)
        logits = self._is_logits(layer)
        if self._can_fuse(layer):
            return self._chain(layer, bottoms, flags[1])
        if isinstance(layer, DropoutLayer) and not layer.shared_axes and (
                layer.p > 0 and not self.options.get("deterministic")
                and None not in layer.input_shape[1:]):
            return DropoutStep([layer], bottoms, *flags, self.workers, self.batch)
        if type(layer) is DenseLayer:
            return DenseStep([layer], bottoms, *flags, self.workers, self.batch, logits)
        Fast = self._between_convolutions(layer)
        if Fast is not None and not logits:
            return Fast([layer], bottoms, *flags, self.workers, self.batch)
        return PlainStep([layer], bottoms, *flags, self.options, logits)

    def _between_convolutions(self, layer):
        """The fast step for a layer of images that is no convolution, if any."""
        shape = getattr(layer, "input_shape", ())
        if len(shape) != 4 or None in shape[1:]:
            return None
        plain_options = set(self.options) <= {"deterministic"}
        if type(layer) is BatchNormLayer and layer.axes == (0, 2, 3) and plain_options:
            if not self.options.get("deterministic"):
                return NormStep
            return None if self.training else FixedNormStep
        if _halves(layer):
            return PoolStep
        if type(layer) is NonlinearityLayer and (
                layer.nonlinearity is nonlinearities.rectify):
            return ReluStep
        return None

    def _can_fuse(self, layer):
        """Whether a convolution has a fused form here."""
        return (type(layer) is Conv2DLayer and not layer.untie_biases
                and None not in layer.input_shape[1:]
                and layer.nonlinearity in (nonlinearities.rectify,
                                           nonlinearities.identity))

    def _chain(self, layer, bottoms, need_dx):
        """Fuse convolutions upwards, as long as nobody else looks in between."""
        members, names, convs = [], [], []
        while self._can_fuse(layer):
            conv, relu = layer, layer.nonlinearity is nonlinearities.rectify
            mine = [conv]
            top = self._only_reader(mine[-1])
            if not relu and type(top) is NonlinearityLayer and (
                    top.nonlinearity is nonlinearities.rectify
                    and not self._is_logits(top)):
                relu, mine = True, mine + [top]
                top = self._only_reader(top)
            pool = _halves(top)
            if pool:
                mine.append(top)
                top = self._only_reader(top)
            below = any(i in self.learns for i in conv.incomings)
            convs.append(FusedConv(conv, relu, pool, self.batch,
                                   self.training and conv in self.learns,
                                   below, self.algorithm))
            names.append(" + ".join(one.name or type(one).__name__ for one in mine))
            members += mine
            if top is None:
                break
            layer = top
        learns = members[-1] in self.learns  # the lowest may be frozen
        return ConvChain(members, bottoms, learns, need_dx, convs, names,
                         self.workers, self.batch)

    def _only_reader(self, layer):
        """The layer above, if it alone reads ``layer``."""
        return self.above.get(layer) if self.readers[layer] == 1 else None

    def _is_logits(self, layer):
        return self.logits and layer in self.outputs


def _halves(layer):
    """Whether a layer is max-pooling over 2×2 windows side by side."""
    return (isinstance(layer, Pool2DLayer) and layer.mode == "max"
            and layer.pool_size == layer.stride == (2, 2) and layer.pad == (0, 0)
            and (layer.ignore_border
                 or not any(n is None or n % 2 for n in layer.input_shape[2:])))


def _add(found, key, gradient):
    """Add to what has arrived, never into a buffer of a step."""
    found[key] = found[key] + gradient if key in found else gradient


def runs_planned(arrays, params):
    """Whether a plan applies: float32 (or whole numbers) in, float32 parameters."""
    return (all(np.asarray(a).dtype.kind in "iub" or a.dtype == np.float32
                for a in arrays)
            and all(p.dtype == np.float32 for p in params))
