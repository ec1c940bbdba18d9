"""The plan: a network looked at once, and laid out to run fast.

Neighbours are fused (convolution + bias + ReLU + max-pooling), and buffers are
allocated once. What has no fast form runs as it does eagerly. Eager and planned
give the same numbers, but for rounding. This file holds what all plans share;
``cpu.py`` chooses the steps on a CPU, ``gpu.py`` those on a GPU.
"""

import contextlib
import functools
import time
from collections import Counter

import numpy as np

from .. import config, nonlinearities
from ..device.arrays import as_array
from ..layers import (Conv2DLayer, InputLayer, MaxPool2DLayer, NonlinearityLayer,
                      Pool2DLayer, get_all_layers)
from ..layers.padding import is_even
from ..layers.tape import checked, that_learn
from ..notebook import paragraph, table
from ..ops.backpropagation import BackwardStep, collect, walk_back

__all__ = ["Plan", "halves", "runs_planned", "takes_maxima"]


class Plan:
    """Run a network's layers in planned steps.

    A subclass has ``_step(layer)``, which makes the step that begins with a layer.

    Parameters
    ----------
    outputs : list of Layer
    options : dict
        Options of the pass, such as ``deterministic``.
    logits : collection of Layer
        Layers that leave out their nonlinearity.
    batch : int
        Most images at once; smaller batches need no new plan.
    training : bool
        Whether gradients are wanted.
    sources : list of Layer
        Layers, other than InputLayers, whose outputs are given.
    feeds_back : bool
        Whether gradients of what is given are wanted, too.
    again : bool
        Whether one way there may have several ways back, as with two losses.

    Attributes
    ----------
    dtype : numpy.dtype
        The float type that it works in.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, outputs, options, logits, batch, training, sources=(),
                 feeds_back=False, again=False):
        self.outputs, self.options, self.logits = outputs, options, logits
        self.feeds_back, self.again = feeds_back, again
        self.batch, self.training = batch, training
        self.note, self.profiling = None, False
        self.order = get_all_layers(outputs, treat_as_input=list(sources))
        self.sources = {*sources} | {
            one for one in self.order if isinstance(one, InputLayer)}
        reading = [one for one in self.order if one not in self.sources]
        self.readers = Counter(i for one in reading for i in one.incomings)
        self.readers.update(outputs)
        self.above = {i: one for one in reading for i in one.incomings}
        self.learns = that_learn(self.order, self._wanted, self.sources)
        self.steps, done = [], set()
        for layer in reading:
            if layer in done:
                continue
            step = self._step(layer)
            if step is not None:
                self.steps.append(step)
                done.update(step.layers)

    def run(self, given):
        """Run forward.

        Parameters
        ----------
        given : dict of Layer -> array

        Returns
        -------
        list of arrays
            Copies: they stay valid.
        """
        self.values = {layer: checked(layer, x) for layer, x in given.items()}
        most = max([self.batch, *(len(x) for x in self.values.values())])
        with self._surroundings():
            for step in self.steps:
                began = self._now()
                xs = [self.values[b] for b in step.bottoms]
                self._check_rows(step, xs, most)
                self.values[step.top] = step.forward(xs)
                step.seconds += self._now() - began
        return [self._result(layer) for layer in self.outputs]

    def backward(self, dys, keep=None):
        """Gradients of all parameters that learn.

        Parameters
        ----------
        dys : dict of int -> array
            By the output's place; those that are missing are 0.
        keep : function, optional
            See :func:`minifer.ops.backpropagation.walk_back`.

        Returns
        -------
        dict of Param -> array; valid until the next call, as are those of what was
            given, in ``input_gradients``
        """
        self.input_gradients = arrived = {}
        for place, dy in dys.items():
            collect(arrived, self.outputs[place], dy)
        steps = [BackwardStep(step.top, step.bottoms,
                              functools.partial(self._backward, step))
                 for step in self.steps if step.learns]
        with self._surroundings():
            return walk_back(steps, arrived, keep)

    def _wanted(self, layer):
        """Whether a layer has something to learn, or hands on what others want."""
        if layer in self.sources:
            return self.training and self.feeds_back
        return self.training and layer.get_params(trainable=True)

    def _backward(self, step, dy):
        began = self._now()
        if step.adds:
            step.beside = self.input_gradients.pop(step.bottoms[0], None)
        dxs, found = step.backward(dy)
        step.seconds += self._now() - began
        return [dx if bottom in self.learns else None
                for bottom, dx in zip(step.bottoms, dxs)], found

    def _check_rows(self, step, xs, most):
        """Refuse more images than buffers are for: a layer's shape was not true.

        Where an output is not (N, ...) of known lengths, as of a parameter or with time
        first, its first axis need not be the images, and no buffer is made for it.
        """
        for below, x in zip(step.bottoms, xs):
            first, *others = below.output_shape or (1,)
            if first is None and None not in others and len(x) > most:
                below.fail(f"at most {most} images, by its get_output_shape_for",
                           f"an output of shape {x.shape}")

    def table(self):
        """Rows of (name, algorithm, shape, MFLOP an image, bytes, seconds)."""
        return [row for step in self.steps for row in step.rows()]

    def clear_time(self):
        """Start timing again from 0."""
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
        return "\n".join(lines + self._notes())

    def _notes(self):
        """The lines below the table."""
        return [f"batch up to {self.batch}, {self._place()}; "
                "MFLOP of a direct computation, an image",
                *([self.note] if self.note else [])]

    def _repr_html_(self):
        rows = [[name, algorithm, "×".join("?" if n is None else str(n) for n in shape),
                 f"{mflop:.1f}", f"{size / 1e6:.1f}"]
                for name, algorithm, shape, mflop, size, _ in self.table()]
        total = sum(row[3] for row in self.table())
        rows.append(["in all", "", "", f"{total:.1f}", f"{self.nbytes / 1e6:.1f}"])
        return (table(["step", "algorithm", "output", "MFLOP", "MB"], rows)
                + paragraph("\n".join(self._notes())))

    def begin(self):
        """What the host has to do before each :meth:`run`."""

    def _result(self, layer):
        """An output's value, as the caller may keep it."""
        return self.values[layer].copy()

    def _now(self):
        """The time, in seconds."""
        return time.perf_counter()

    def _step(self, layer):
        """The step that begins with ``layer``; None if it does nothing."""
        raise NotImplementedError

    def _surroundings(self):
        """A context in which the steps run."""
        return contextlib.nullcontext()

    def _place(self):
        """Where it runs, for the table."""
        raise NotImplementedError

    def _flags(self, layer):
        """(learns, need_dx) of a layer."""
        return layer in self.learns, any(i in self.learns for i in layer.incomings)

    def _can_fuse(self, layer):
        """Whether a layer is a convolution that can be fused with its neighbours."""
        return (type(layer) is Conv2DLayer and not layer.untie_biases
                and layer.num_groups == 1 and is_even(layer.pad)
                and None not in layer.input_shape[1:]
                and layer.nonlinearity in (nonlinearities.rectify,
                                           nonlinearities.identity))

    def _fused_above(self, conv):
        """The ReLU and 2×2 max-pooling that directly follow a convolution.

        Returns
        -------
        relu : bool
        pool : bool
        layers : list of Layer
            The convolution and what was found above it.
        """
        found, relu = [conv], conv.nonlinearity is nonlinearities.rectify
        top = self._only_reader(conv)
        if not relu and type(top) is NonlinearityLayer and (
                top.nonlinearity is nonlinearities.rectify
                and not self._is_logits(top)):
            relu, found = True, found + [top]
            top = self._only_reader(top)
        pool = halves(top)
        return relu, pool, found + [top] * pool

    def _only_reader(self, layer):
        """The layer above, if it alone reads ``layer``."""
        return self.above.get(layer) if self.readers[layer] == 1 else None

    def _is_logits(self, layer):
        return layer in self.logits


def halves(layer):
    """Whether a layer is max-pooling over 2×2 windows side by side."""
    return (takes_maxima(layer) and layer.pad == (0, 0)
            and layer.pool_size == layer.stride == (2, 2)
            and (layer.ignore_border
                 or not any(n is None or n % 2 for n in layer.input_shape[2:])))


def takes_maxima(layer):
    """Whether a layer is max-pooling of images."""
    return type(layer) in (Pool2DLayer, MaxPool2DLayer) and layer.mode == "max"


def runs_planned(arrays, params, types=(np.float32,)):
    """The float type of the plan that applies, or None.

    Parameters
    ----------
    arrays : list of arrays
        What is given. Whole numbers become ``config.floatX``.
    params : list of Param
    types : tuple of types
        Those that there are plans for.

    Returns
    -------
    numpy.dtype or None
        None if there are several types, or one that no plan is for.
    """
    found = {p.dtype for p in params} | {
        np.dtype(config.floatX) if a.dtype.kind in "iub" else a.dtype
        for a in map(as_array, arrays)}
    return found.pop() if len(found) == 1 and found <= set(map(np.dtype, types)) else (
        None)
