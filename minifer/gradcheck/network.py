"""The gradients of a whole network, or of a layer, against measured ones."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .._types import Array
from ..device.arrays import resolve, to_device, to_host
from ..layers import (BatchNormLayer, EmbeddingLayer, Layer, forward, get_all_layers,
                      get_all_params)
from ..layers.input import takes_data
from .probing import OUTSIDE, compare
from .report import Report

__all__ = ["check"]

#: Batches that are tried: of several images, of one, of more than the first.
BATCHES = (3, 1, 8)
#: What the upstream gradient is multiplied by, and the gradients with it. Powers of
#: two change no bit of the rest.
FACTORS = (2.0**-30, -(2.0**20))
#: How far parameters are shifted, relative to their size, to get off a kink.
SHIFT = 0.1


def check(network: Layer | Sequence[Layer],
          inputs: Array | dict[Layer, Array] | None = None, deterministic: bool = False,
          batch: int | Sequence[int] = BATCHES, seed: int = 0, tolerance: float = 1e-6,
          directions: int = 4, elementwise_up_to: int = 200, device: str = "cpu",
          elements: int = 20) -> Report:
    """Compare a network's gradients with measured ones.

    The loss is ``sum(dy * y)`` with random dy, so every output counts. The
    check runs in float64 whatever the network's type is; parameters, running
    averages and random streams are left as they were.

    Two things need no measuring. Gradients are proportional to dy: they are computed
    again for tiny and for huge upstream gradients. And they are the same whether or not
    those of the inputs are asked for.

    Parameters
    ----------
    network : Layer or list of Layer
        A whole network, or one layer on an InputLayer.
    inputs : array or dict of Layer -> array, optional
        Default: Gaussian noise of the input layers' shapes; numbers of rows where an
        EmbeddingLayer reads them, which are not probed: they have no gradient.
    deterministic : bool, default False
        Check the pass used in training (False) or prediction.
    batch : int or tuple of int, default (3, 1, 8)
        Length of axes that are None in the input shape. Of several, the first is
        checked in full, and the others by fewer probes; 1 is left out where batch norm
        takes statistics.
    seed : int
        Seed for inputs, upstream gradients and directions.
    tolerance : float, default 1e-6
        Largest relative error that passes: ``|measured − claimed|`` over the
        larger of both (or over the array's typical gradient, if that is larger).
    directions : int, default 4
        Random directions in which a large array is probed.
    elementwise_up_to : int, default 200
        Arrays of up to so many elements are probed element by element.
    device : {'cpu', 'cuda', 'emu', 'auto'}, default 'cpu'
        Where the network runs while it is checked: its kernels are checked there.
    elements : int, default 20
        So many elements of a large array are probed by themselves, and three each
        of the largest and of the smallest claimed gradients.

    Returns
    -------
    Report
        Where most probes of a parameter meet kinks (of ReLU, at biases of 0), it is
        checked once more with all parameters shifted by a tenth.
    """
    rng, device = np.random.default_rng(seed), resolve(device)
    order = get_all_layers(network)
    options = {"deterministic": deterministic}
    if any(isinstance(layer, BatchNormLayer) for layer in order):
        options["batch_norm_update_averages"] = False
    params = get_all_params(network, trainable=True)
    few = tolerance, min(directions, 2), min(elementwise_up_to, 6), 0
    rows: dict = {}

    with _frozen(order, get_all_params(network)) as values:
        for size in _batches(batch, order, inputs, deterministic):
            given = _float64_inputs(order, inputs, size, rng)
            probes = few if rows else (tolerance, directions, elementwise_up_to,
                                       elements)
            found = _checked(network, order, params, values, given, options, device,
                             rng, probes)
            rows = {name: rows[name].at_worst(row) if rows else row
                    for name, row in found.items()}
        undecided = [name for name, row in rows.items() if _at_kinks(row)]
        if undecided and params:
            for param, value in values.items():
                if param in params:
                    size = SHIFT * (np.sqrt((value ** 2).mean()) or 1.0)
                    values[param] = value + size * rng.standard_normal(value.shape)
            found = _checked(network, order, params, values, given, options, device,
                             rng, probes, only=undecided)
            rows.update({name: row for name, row in found.items()
                         if not _at_kinks(row)})
    return Report(tuple(rows.values()))


def _checked(network, order, params, values, given, options, device, rng, probes,
             only=None):
    """Rows by name, for inputs and parameters as they are given."""
    def run():
        for layer in order:
            if hasattr(layer, "stream"):
                layer.stream.step = 0  # the same mask every time
        for param, value in values.items():
            param.value = to_device(value, device)
        there = {layer: to_device(x, device) for layer, x in given.items()}
        ys, tape = forward(network, there, **options)
        return ys if isinstance(ys, list) else [ys], tape

    ys, tape = run()
    dys = [rng.standard_normal(y.shape) for y in ys]

    def backward(factor=1.0, wrt_inputs=True):
        found = tape.backward([to_device(factor * dy, device) for dy in dys],
                              wrt_inputs=wrt_inputs)
        return {p: np.array(to_host(g)) for p, g in (found | found.inputs).items()}

    def loss():
        return sum(float((dy * to_host(y)).sum()) for dy, y in zip(dys, run()[0]))

    claimed = backward()
    names = {layer: f"input {layer.name or ''}".strip() for layer in given
             if not _rows_of(layer, order)}
    names.update(_names(params))
    wrong = {}
    for factor in FACTORS:
        _differences(claimed, backward(factor), factor, wrong,
                     "not proportional to the upstream gradient")
    with contextlib.suppress(TypeError):  # a layer that cannot go without dx says so
        _differences(claimed, backward(wrt_inputs=False), 1.0, wrong,
                     "other when those of the inputs are not asked for")
    arrays = {name: (given[one] if one in given else values[one], claimed.get(one))
              for one, name in names.items() if only is None or name in only}
    tolerance = probes[0]
    rows = {}
    for row in compare(loss, arrays, rng, *probes).rows:
        one = next(one for one, name in names.items() if name == row.name)
        error, note = wrong.get(one, (0.0, ""))
        if error > tolerance:
            row = row.at_worst(replace(row, error=error, note=note))
        rows[row.name] = row
    return rows


def _at_kinks(row):
    """Whether kinks alone are the reason that a row is not right."""
    return row.verdict.startswith("UNDECIDED") or row.note.startswith(OUTSIDE)


def _differences(claimed, again, factor, wrong, note):
    """Note, in ``wrong``, what a second way back gives otherwise."""
    for one, gradient in claimed.items():
        if one not in again or again[one].shape != gradient.shape:
            continue
        with np.errstate(all="ignore"):
            off = np.abs(again[one] / factor - gradient).max(initial=0.0)
            error = off / max(np.abs(gradient).max(initial=0.0), np.finfo(float).tiny)
        if error > wrong.get(one, (0.0, ""))[0]:
            wrong[one] = float(error), note


def _batches(batch, order, inputs, deterministic):
    """The sizes of the batches to try, the main one first."""
    sizes = [batch] if isinstance(batch, int) else list(batch)
    free = any(None in layer.shape for layer in order if takes_data(layer))
    if inputs is not None or not free:
        return sizes[:1]
    if not deterministic and any(isinstance(layer, BatchNormLayer) for layer in order):
        sizes = [n for n in sizes if n > 1] or sizes[:1]
    return sizes


def _float64_inputs(order, inputs, batch, rng):
    sources = [layer for layer in order if takes_data(layer)]
    if inputs is None:
        inputs = {}
        for layer in sources:
            shape = [batch if n is None else n for n in layer.shape]
            rows = _rows_of(layer, order)
            inputs[layer] = (rng.integers(0, rows, shape) if rows
                             else rng.standard_normal(shape))
    elif not isinstance(inputs, dict):
        inputs = {sources[0]: inputs}
    return {layer: np.array(x, np.float64) for layer, x in inputs.items()}


def _rows_of(layer, order):
    """How many rows the embeddings have that read a layer; 0 if there are none."""
    return min((one.input_size for one in order if isinstance(one, EmbeddingLayer)
                and layer in one.incomings), default=0)


@contextlib.contextmanager
def _frozen(order, params):
    """The parameters' values in float64; what they and the streams were, after."""
    before = [p.value for p in params]
    steps = {layer: layer.stream.step for layer in order if hasattr(layer, "stream")}
    try:
        yield {p: p.get_value().astype(np.float64) for p in params}
    finally:
        for param, value in zip(params, before):
            param.value = value
        for layer, step in steps.items():
            layer.stream.step = step


def _names(params):
    """Parameters and their names, made unique where names repeat."""
    names = {}
    for param in params:
        name, n = param.name or "parameter", 2
        while name in names.values():
            name, n = f"{param.name} ({n})", n + 1
        names[param] = name
    return names
