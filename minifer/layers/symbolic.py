"""Networks as expressions: what ``get_output`` gives where there are no data yet.

A pass through a network is one expression; its value is the list of its outputs, and
its two halves are :func:`~minifer.layers.tape.forward` and
:meth:`Tape.backward() <minifer.layers.tape.Tape.backward>`.
"""

from collections import Counter

import numpy as np

from ..errors import SettingError
from ..expressions import Apply, Expression, Variable
from ..nonlinearities import Nonlinearity
from ..ops import activation
from .base import Layer
from .input import InputLayer
from .shape import FlattenLayer, ReshapeLayer
from .tape import forward, get_all_layers

__all__ = ["NetworkPass", "Output", "output_of"]


class NetworkPass(Expression):
    """A pass through a network; its value is the list of outputs."""

    def __init__(self, outputs, options, logits, variables):
        self.outputs, self.options, self.logits = outputs, options, logits
        self.sources = [layer for layer in get_all_layers(outputs)
                        if isinstance(layer, InputLayer)]
        for layer in self.sources:
            if layer.input_var is None and layer not in variables:
                layer.input_var = Variable(layer.name, len(layer.shape))
        self.inputs = tuple(variables.get(layer, layer.input_var)
                            for layer in self.sources)

    def forward(self, *values):
        return forward(self.outputs, dict(zip(self.sources, values)),
                       logits=self.logits, **self.options)

    def backward(self, dvalues, tape):
        dys = [np.zeros_like(tape.values[layer]) if i not in dvalues else dvalues[i]
               for i, layer in enumerate(self.outputs)]
        return (), tape.backward(dys)


class Output(Expression):
    """One output of a :class:`NetworkPass`."""

    def __init__(self, network_pass, index):
        self.inputs, self.index = (network_pass,), index

    def forward(self, values):
        return values[self.index], ()

    def backward(self, dvalue, cache):
        return ({self.index: dvalue},), {}


def output_of(layer_or_layers, variables, **options):
    """The output of a network as an expression; see ``layers.get_output``.

    A network that ends in softmax or sigmoid is run up to its logits, so that a
    cross-entropy that follows can fuse with it.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    variables : dict of InputLayer -> Variable
        Those that take the place of the layers' own.
    **options
        Options passed to the layers.

    Returns
    -------
    Expression, or a list of them for a list of layers

    Raises
    ------
    SettingError
        If it is anything but variables, or for another kind of layer.
    """
    for layer, variable in variables.items():
        if not isinstance(layer, InputLayer) or not isinstance(variable, Variable):
            raise SettingError(
                "get_output: expected arrays for any layers, or variables for "
                f"InputLayers, got {type(variable).__name__} for {layer!r}.")
    outputs = ([layer_or_layers] if isinstance(layer_or_layers, Layer)
               else list(layer_or_layers))
    ends = [_end(layer, outputs) for layer in outputs]
    network_pass = NetworkPass(outputs, options, [end for end in ends if end],
                               variables)
    results = []
    for i, end in enumerate(ends):
        result = Output(network_pass, i)
        if end:
            name = end.nonlinearity.name
            result = Apply(getattr(activation, f"{name}_forward"),
                           getattr(activation, f"{name}_backward"), result)
        results.append(result)
    return results[0] if isinstance(layer_or_layers, Layer) else results


def _end(output, outputs):
    """The layer whose softmax or sigmoid can be done after all others; or None.

    It is the output itself. A sigmoid may have its shape changed behind it, since it
    works on each element alone. No other layer and no other output may read it.
    """
    readers = Counter(i for one in get_all_layers(outputs) for i in one.incomings)
    readers.update(set(outputs))
    end = output
    while type(end) in (FlattenLayer, ReshapeLayer) and readers[end] == 1:
        end, = end.incomings
    f = getattr(end, "nonlinearity", None)
    fusible = type(f) is Nonlinearity and (
        f.name == "sigmoid" or (f.name == "softmax" and end is output
                                and len(end.output_shape) == 2))
    return end if (fusible and readers[end] == 1
                   and "logits" in end.forward_options) else None
