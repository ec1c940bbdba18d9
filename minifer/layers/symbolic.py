"""Networks as expressions: what ``get_output`` gives where there are no data yet.

A pass through a network is one expression; its value is the list of its outputs, and
its two halves are :func:`~minifer.layers.tape.forward` and
:meth:`Tape.backward() <minifer.layers.tape.Tape.backward>`.
"""

import numpy as np

from .. import nonlinearities
from ..errors import SettingError
from ..expressions import Apply, Expression, Variable
from ..ops.activation import softmax_backward, softmax_forward
from .base import Layer
from .input import InputLayer
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

    A network that ends in softmax is run up to its logits, so that a
    cross-entropy that follows can fuse with the softmax.

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
    ends = [getattr(layer, "nonlinearity", None) for layer in outputs]
    fuse = (len(outputs) == 1 and ends[0] is nonlinearities.softmax
            and "logits" in outputs[0].forward_options)
    network_pass = NetworkPass(outputs, options, fuse, variables)
    results = [Output(network_pass, i) for i in range(len(outputs))]
    if fuse:
        results = [Apply(softmax_forward, softmax_backward, r)
                   for r in results]
    return results[0] if isinstance(layer_or_layers, Layer) else results
