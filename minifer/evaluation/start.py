r"""How does a network start? Spread of its values and gradients, before any step.

A good start lets values and gradients through at about one size, and its loss is that
of a guess, ln K for K classes. Where values grow from layer to layer, the first steps
are spent on making them small again; where they fade, nothing is learnt.

>>> from minifer.layers import DenseLayer, InputLayer
>>> from minifer.init import Normal
>>> from minifer.nonlinearities import softmax
>>> network = DenseLayer(InputLayer((None, 20)), 4, W=Normal(5., rng=1),
...                      nonlinearity=softmax, name="output")
>>> x = np.random.default_rng(0).standard_normal((50, 20))
>>> look_at_start(network, x, np.arange(50) % 4).verdict.split("; ")
['bad start: loss 23.4, where a guess has ln 4 = 1.39',
 "'output' makes values 20 times as large"]
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from .. import layers
from .._types import Array
from ..device.arrays import device_of, to_device, to_host
from ..errors import LabelError, ShapeError

__all__ = ["look_at_start", "Start", "LayerStart"]

#: A loss so far above that of a guess is a bad start.
LOSS = 0.25
#: So many times larger, or smaller, in one layer is bad.
GROWTH, FADING = 4.0, 1 / 16


@dataclasses.dataclass(frozen=True)
class LayerStart:
    """A layer before training.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Axes of its output behind the batch.
    mean, spread : float
        Mean and root mean square of its outputs; the last layer's are its logits.
    gradient : float
        Root mean square of the loss's gradient by its weights; nan without weights.
    silent : float in [0, 1]
        Share of its outputs that are 0 for every image: ReLUs that nothing wakes.
    growth : float
        Spread over that of what it was given.
    """

    name: str
    shape: tuple
    mean: float
    spread: float
    gradient: float
    silent: float
    growth: float


@dataclasses.dataclass(frozen=True)
class Start:
    """A network before training; ``str()`` is a table that ends in the verdict.

    Attributes
    ----------
    layers : list of LayerStart
    loss, guess : float
        Mean cross-entropy, and that of a guess, ln K.
    """

    layers: list
    loss: float
    guess: float

    @property
    def good(self) -> bool:
        """Whether nothing was found that would slow the first steps."""
        return self.verdict.startswith("good")

    @property
    def verdict(self) -> str:
        """One line: how the network starts, and which layer is to blame."""
        K = round(math.exp(self.guess))
        loss = f"loss {self.loss:.3g}, where a guess has ln {K} = {self.guess:.3g}"
        grown, faded = (pick(self._learning, key=lambda one: one.growth)
                        for pick in (max, min))
        silent = max(self.layers, key=lambda one: one.silent)
        if not self.loss <= self.guess + LOSS:
            last = self._learning[-1]
            return f"bad start: {loss}; " + (
                f"'{grown.name}' makes values {grown.growth:.2g} times as large"
                if grown.growth > GROWTH else
                f"the scores of '{last.name}' spread by {last.spread:.2g}, not by 0.5 "
                "or less")
        if faded.growth < FADING:
            return (f"bad start: values fade; '{faded.name}' makes them "
                    f"{1 / max(faded.growth, 1e-30):.2g} times smaller")
        if silent.silent > .5:
            return (f"bad start: {silent.silent:.0%} of '{silent.name}' are 0 for "
                    "every image")
        if grown.growth > GROWTH and grown.spread > GROWTH:
            return (f"bad start: '{grown.name}' makes values {grown.growth:.2g} times "
                    f"as large; {loss}")
        return f"good start: {loss}"

    @property
    def _learning(self):
        """The layers with weights; of a network without any, all."""
        return [one for one in self.layers if not math.isnan(one.gradient)] or (
            self.layers)

    def __str__(self):
        width = max(len(one.name) for one in self.layers)
        rows = [f"{'layer':{width}}  {'mean':>9}  {'spread':>8}  {'gradient':>8}  "
                "always 0"]
        for one in self.layers:
            gradient = "" if math.isnan(one.gradient) else f"{one.gradient:8.2g}"
            rows.append(f"{one.name:{width}}  {one.mean:9.2g}  {one.spread:8.2g}  "
                        f"{gradient:>8}  {one.silent:8.0%}")
        return "\n".join([*rows, self.verdict])


def look_at_start(network: layers.Layer, images: Array, labels: Array) -> Start:
    """Send one batch through a network and back; change nothing.

    Dropout is left out, and batch norm takes the batch's own mean and variance.

    Parameters
    ----------
    network : Layer
        Ends in softmax, output shape (N, K).
    images : array, shape (N, ...)
        What the network takes, scaled already; some dozen.
    labels : int array (N,)

    Returns
    -------
    Start

    Raises
    ------
    ShapeError, LabelError
        If images, labels and network do not fit.
    """
    norms = any(isinstance(one, layers.BatchNormLayer)
                for one in layers.get_all_layers(network))
    logits, tape = layers.forward(
        network, images, deterministic=True, logits=True,
        **dict.fromkeys(["batch_norm_use_averages", "batch_norm_update_averages"],
                        False) if norms else {})
    labels = _check(labels, logits.shape)
    scores = to_host(logits).astype(np.float64)  # (N, K)
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(p))
    loss = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[rows, labels])
    p[rows, labels] -= 1
    gradients = tape.backward(
        to_device((p / len(p)).astype(logits.dtype), device_of(logits)))
    return Start([_describe(one, tape, gradients) for one in tape.order
                  if one.incomings], float(loss), math.log(p.shape[1]))


def _describe(layer, tape, gradients):
    y = to_host(tape.values[layer])
    given = max(_rms(to_host(tape.values[i])) for i in layer.incomings)
    weights = [gradients[p] for p in layer.get_params(trainable=True)
               if p in gradients and p.value.ndim > 1]
    return LayerStart(
        layer.name or type(layer).__name__, y.shape[1:], float(y.mean()), _rms(y),
        _rms(to_host(weights[0])) if weights else math.nan,
        float((y == 0).all(axis=0).mean()), _rms(y) / max(given, 1e-30))


def _rms(array):
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


def _check(labels, shape):
    labels = np.asarray(labels)
    if len(shape) != 2 or labels.shape != shape[:1]:
        raise ShapeError(f"look_at_start: expected a network of outputs (N, K) and N "
                         f"labels, got outputs {shape} and labels {labels.shape}.")
    K = shape[1]
    if labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < K:
        raise LabelError(f"look_at_start: expected class numbers 0 … {K - 1}, "
                         f"got {labels.dtype} {labels.min()} … {labels.max()}.")
    return labels
