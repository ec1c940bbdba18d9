"""Networks as expressions: what ``get_output`` gives where there are no data yet.

A pass through a network is one expression; its value is the list of its outputs, and
its two halves are :func:`~minifer.layers.tape.forward` and
:meth:`Tape.backward() <minifer.layers.tape.Tape.backward>`.
"""

from collections import Counter

import numpy as np

from ..expressions import Apply, Expression, Part, as_expression
from ..nonlinearities import Nonlinearity
from ..ops import activation
from .base import Layer
from .input import InputLayer
from .shape import FlattenLayer, ReshapeLayer
from .tape import forward, get_all_layers, warn_unknown_options

__all__ = ["NetworkPass", "output_of"]


class NetworkPass(Expression):
    """A pass through a network; its value is the list of outputs.

    Parameters
    ----------
    outputs : list of Layer
    options : dict
        Options passed to the layers.
    logits : list of Layer
        Layers that leave out their nonlinearity.
    given : dict of Layer -> Expression
        What takes the place of these layers' outputs; InputLayers that are not among
        them have their own variables.

    Attributes
    ----------
    sources : list of Layer
        The layers whose outputs are ``inputs``.
    """

    can_skip_dx = True

    def __init__(self, outputs, options, logits, given):
        self.outputs, self.logits = outputs, logits
        order = get_all_layers(outputs, treat_as_input=list(given))
        known = warn_unknown_options(order, options)
        self.options = {k: v for k, v in options.items() if k in known}
        self.sources = [layer for layer in order
                        if layer in given or isinstance(layer, InputLayer)]
        self.sources += [None] if None in given else []
        self.inputs = tuple(given[layer] if layer in given else layer.input_var
                            for layer in self.sources)

    @property
    def params(self):
        """The parameters of which a way back finds gradients."""
        order = get_all_layers(self.outputs, treat_as_input=self.sources)
        return [p for layer in order if layer not in self.sources
                for p in layer.get_params(trainable=True)]

    def forward(self, *values):
        return forward(self.outputs, dict(zip(self.sources, values)),
                       logits=self.logits, **self.options)

    def backward(self, dvalues, tape, need_dx=False):
        dys = [np.zeros_like(tape.values[layer]) if i not in dvalues else dvalues[i]
               for i, layer in enumerate(self.outputs)]
        found = tape.backward(dys, wrt_inputs=need_dx)
        return tuple(found.inputs.get(layer) for layer in self.sources), dict(found)


def output_of(layer_or_layers, given, **options):
    """The output of a network as an expression; see ``layers.get_output``.

    A network that ends in softmax or sigmoid is run up to its logits, so that a
    cross-entropy that follows can fuse with it.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    given : dict of Layer -> Expression or array
        What takes the place of these layers' outputs.
    **options
        Options passed to the layers.

    Returns
    -------
    Expression, or a list of them for a list of layers
    """
    outputs = ([layer_or_layers] if isinstance(layer_or_layers, Layer)
               else list(layer_or_layers))
    given = {layer: as_expression(value) for layer, value in given.items()}
    ends = [_end(layer, outputs, given) for layer in outputs]
    network_pass = NetworkPass(outputs, options, [end for end in ends if end], given)
    results = []
    for i, end in enumerate(ends):
        ndim = _ndim(outputs[i])
        result = Part(network_pass, i, ndim)
        if end:
            name = end.nonlinearity.name
            result = Apply(getattr(activation, f"{name}_forward"),
                           getattr(activation, f"{name}_backward"), result, ndim=ndim)
        results.append(result)
    return results[0] if isinstance(layer_or_layers, Layer) else results


def _ndim(layer):
    """The number of axes of a layer's output; None of a layer that does not say."""
    try:
        return len(layer.output_shape)
    except (NotImplementedError, TypeError):
        return None


def _end(output, outputs, given):
    """The layer whose softmax or sigmoid can be done after all others; or None.

    It is the output itself. A sigmoid may have its shape changed behind it, since it
    works on each element alone. No other layer and no other output may read it.
    """
    order = get_all_layers(outputs, treat_as_input=list(given))
    readers = Counter(i for one in order if one not in given for i in one.incomings)
    readers.update(set(outputs))
    end = output
    while type(end) in (FlattenLayer, ReshapeLayer) and readers[end] == 1 and (
            end not in given):
        end, = end.incomings
    if end in given:
        return None
    f = getattr(end, "nonlinearity", None)
    fusible = type(f) is Nonlinearity and (
        f.name == "sigmoid" or (f.name == "softmax" and end is output
                                and len(end.output_shape) == 2))
    return end if (fusible and readers[end] == 1
                   and "logits" in end.forward_options) else None
