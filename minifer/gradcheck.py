r"""Gradient check: is the hand-written backward pass right?

The gradient of a function f along a direction d can be measured without any
backward pass, by stepping a little to both sides:

.. math:: f'(0) \approx \frac{8\,(f(h) - f(-h)) - (f(2h) - f(-2h))}{12\,h}

whose error falls with h⁴. If it agrees with the gradient that ``backward``
claims, the backward pass is right. In float64, agreement is to 9 digits or so.

>>> import minifer
>>> from minifer import layers, gradcheck
>>> net = layers.DenseLayer(layers.InputLayer((None, 3)), num_units=2, name="dense")
>>> report = gradcheck.check(net)
>>> report.ok
True
>>> print(report)                                       # doctest: +SKIP
parameter       shape     probes          largest error  verdict
dense.W         (3, 2)    6 elements            1.2e-12  ok
...
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .device.arrays import resolve, to_device, to_host
from .errors import SettingError, ShapeError
from .layers import (BatchNormLayer, InputLayer, Layer, forward, get_all_layers,
                     get_all_params)

__all__ = ["check", "compare", "Report", "Row"]

# Steps to try: a kink (of ReLU, of max-pooling) spoils the difference only
# while a step crosses it, so what fails is tried again closer by.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


@dataclass(frozen=True)
class Row:
    """What was found for one array.

    ``error`` is the largest relative error over all ``probes`` that are not
    kinks.
    """

    name: str
    shape: tuple
    probes: int
    directional: bool
    kinks: int
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is in tolerance and most probes could be judged."""
        return self.error <= self.tolerance and 2 * self.kinks <= self.probes

    @property
    def verdict(self) -> str:
        if self.error > self.tolerance:
            return "WRONG"
        kinks = f" ({self.kinks} at a kink)" if self.kinks else ""
        return ("ok" if self.ok else "UNDECIDED") + kinks


@dataclass(frozen=True)
class Report:
    """A table of rows; ``ok`` if all are."""

    rows: tuple

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def __str__(self):
        lines = [f"{'parameter':<20}{'shape':<20}{'probes':<16}"
                 f"{'largest error':>13}  verdict"]
        for row in self.rows:
            kind = "directions" if row.directional else "elements"
            lines.append(f"{row.name:<20}{str(row.shape):<20}"
                         f"{f'{row.probes} {kind}':<16}{row.error:>13.1e}  "
                         f"{row.verdict}")
        return "\n".join(lines)


def check(network: Layer | Sequence[Layer],
          inputs: Array | dict[Layer, Array] | None = None, deterministic: bool = False,
          batch: int = 3, seed: int = 0, tolerance: float = 1e-6, directions: int = 4,
          elementwise_up_to: int = 200, device: str = "cpu") -> Report:
    """Compare a network's gradients with measured ones.

    The loss is ``sum(dy * y)`` with random dy, so every output counts. The
    check runs in float64 whatever the network's type is; parameters, running
    averages and random streams are left as they were.

    Parameters
    ----------
    network : Layer or list of Layer
        A whole network, or one layer on an InputLayer.
    inputs : array or dict of Layer -> array, optional
        Default: Gaussian noise of the input layers' shapes.
    deterministic : bool, default False
        Check the pass used in training (False) or prediction.
    batch : int, default 3
        Length of axes that are None in the input shape.
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

    Returns
    -------
    Report
    """
    rng, device = np.random.default_rng(seed), resolve(device)
    order = get_all_layers(network)
    given = _float64_inputs(order, inputs, batch, rng)
    options = {"deterministic": deterministic}
    if any(isinstance(layer, BatchNormLayer) for layer in order):
        options["batch_norm_update_averages"] = False
    params = get_all_params(network, trainable=True)

    with _frozen(order, get_all_params(network)) as values:
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
        found = tape.backward([to_device(dy, device) for dy in dys], wrt_inputs=True)

        def loss():
            return sum(float((dy * to_host(y)).sum()) for dy, y in zip(dys, run()[0]))

        claimed = {p: to_host(g) for p, g in (found | found.inputs).items()}
        arrays = {f"input {layer.name or ''}".strip(): (x, claimed.get(layer))
                  for layer, x in given.items()}
        arrays.update(_named(params, values, claimed))
        return compare(loss, arrays, rng, tolerance, directions, elementwise_up_to)


def compare(loss: Callable[[], float],
            arrays: dict[str, tuple[np.ndarray, np.ndarray | None]],
            rng: int | np.random.Generator = 0, tolerance: float = 1e-6,
            directions: int = 4, elementwise_up_to: int = 200) -> Report:
    """Compare claimed gradients of any function with measured ones.

    Parameters
    ----------
    loss : function
        Without arguments; returns a float that depends on ``arrays``.
    arrays : dict of name -> (array, gradient)
        float64 arrays that ``loss`` reads (they are changed in place while
        measuring, and restored) and their claimed gradients; None claims 0.
    rng : int or numpy.random.Generator
        Draws the directions.
    tolerance, directions, elementwise_up_to
        As in :func:`check`.

    Returns
    -------
    Report
    """
    rng = np.random.default_rng(rng)
    rows = []
    for name, (array, gradient) in arrays.items():
        if array.dtype != np.float64:
            raise SettingError(
                f"gradcheck: expected float64 for '{name}', got {array.dtype}. "
                "In float32 a difference is mostly rounding.")
        gradient = np.zeros_like(array) if gradient is None else gradient
        if gradient.shape != array.shape:
            raise ShapeError(
                f"gradcheck: expected a gradient of shape {array.shape} for "
                f"'{name}', got {gradient.shape}.")
        directional = array.size > elementwise_up_to
        probes = (_directions(gradient, directions, rng) if directional
                  else _elements(array))
        typical = float(np.sqrt((gradient ** 2).mean()))
        results = [_probe(loss, array, d, float((gradient * d).sum()), typical,
                          tolerance) for d in probes]
        errors = [error for error, kink in results if not kink]
        rows.append(Row(name, array.shape, len(results), directional,
                        len(results) - len(errors), max(errors, default=0.0),
                        tolerance))
    return Report(tuple(rows))


def _elements(array):
    """One direction for each element."""
    for i in range(array.size):
        d = np.zeros(array.size)
        d[i] = 1.0
        yield d.reshape(array.shape)


def _directions(gradient, count, rng):
    """Random unit vectors along which the claimed gradient does not cancel out.

    Random sizes with the gradient's own signs: a wrong element changes the
    slope along them all the same, and the slope stays far above rounding.
    """
    for _ in range(count):
        d = np.abs(rng.standard_normal(gradient.shape))
        d *= np.where(gradient < 0, -1.0, 1.0)
        yield d / np.linalg.norm(d)


def _probe(loss, array, direction, claimed, typical, tolerance):
    """Smallest relative error over the steps, and whether there is a kink."""
    before, best = array.copy(), np.inf

    def at(step):
        array[...] = before + step * direction
        return loss()

    try:
        for h in STEPS:
            measured = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
            scale = max(abs(claimed), abs(measured), typical, 1e-4)
            best = min(best, abs(measured - claimed) / scale)
            if best <= tolerance:
                return best, False
        return best, _is_kink(at, claimed, scale)
    finally:
        array[...] = before


def _is_kink(at, claimed, scale):
    """Whether the slopes left and right differ, with the claimed one between."""
    here = at(0.0)
    for h in (1e-5, 1e-6):  # a curve's one-sided slopes meet as h shrinks
        right, left = (at(h) - here) / h, (here - at(-h)) / h
        slack = 1e-3 * scale
        if abs(right - left) < slack or not (
                min(left, right) - slack <= claimed <= max(left, right) + slack):
            return False
    return True


def _float64_inputs(order, inputs, batch, rng):
    sources = [layer for layer in order if isinstance(layer, InputLayer)]
    if inputs is None:
        inputs = {layer: rng.standard_normal([batch if n is None else n
                                              for n in layer.shape])
                  for layer in sources}
    elif not isinstance(inputs, dict):
        inputs = {sources[0]: inputs}
    return {layer: np.array(x, np.float64) for layer, x in inputs.items()}


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


def _named(params, values, found):
    """Arrays and gradients by parameter name, made unique where names repeat."""
    named = {}
    for param in params:
        name, n = param.name or "parameter", 2
        while name in named:
            name, n = f"{param.name} ({n})", n + 1
        named[name] = (values[param], found.get(param))
    return named
