"""How many multiplications and additions a layer takes.

Counted are products with weights: convolutions, dense and recurrent layers, computed
directly, padded zeros included. Everything else (batch norm, nonlinearities, pooling)
reads each number once or a few times, and counts as nothing, as in a plan's table.
"""

from __future__ import annotations

import functools
import math

from ..base import MergeLayer
from ..conv import BaseConvLayer
from ..conv_transposed import TransposedConv2DLayer, TransposedConv3DLayer
from ..dense import DenseLayer
from ..expression import ExpressionLayer
from ..helper import get_output_shape
from ..input import InputLayer
from ..inverse import InverseLayer
from ..local import LocallyConnected2DLayer
from ..nin import NINLayer
from ..recurrent import CustomRecurrentLayer
from ..recurrent.sequence import GatedLayer
from ..tape import get_all_layers

__all__ = ["products_of", "shapes_of"]


def shapes_of(order, input_shapes=None):
    """The output shape of each layer, for one image where the batch is not known.

    Parameters
    ----------
    order : list of Layer
        Every layer after its inputs.
    input_shapes : tuple or dict of Layer -> tuple, optional

    Returns
    -------
    dict of Layer -> tuple
    """
    if input_shapes is None:
        input_shapes = {one: (one.shape[0] or 1, *one.shape[1:]) for one in order
                        if isinstance(one, InputLayer)}
    return dict(zip(order, get_output_shape(order, input_shapes)))


def products_of(layer, shapes):
    """Multiplications and additions of a layer, for the whole batch of ``shapes``.

    Parameters
    ----------
    layer : Layer
    shapes : dict of Layer -> tuple
        The output shapes of the layer and of those below.

    Returns
    -------
    int or None
        Two for each product with a weight. None where that is not known: an axis is
        not, or the layer is of a class of one's own.
    """
    methods = [layer.written, getattr(type(layer), "linear_forward", layer.written)]
    if not all(one.__module__.startswith("minifer.") for one in methods):
        return None
    own = layer.input_shapes if isinstance(layer, MergeLayer) else [layer.input_shape]
    below = [shape if one is None else shapes[one]
             for one, shape in zip(layer.incomings or [None], own)]
    try:
        return 2 * _uses(layer, shapes[layer], below)
    except TypeError:  # an axis that is None
        return None


@functools.singledispatch
def _uses(layer, shape, below):
    """How often a weight meets a number."""
    return 0


@_uses.register
def _(layer: BaseConvLayer, shape, below):
    return layer.W.size * (shape[0] or 1) * math.prod(shape[2:])


@_uses.register(TransposedConv2DLayer)
@_uses.register(TransposedConv3DLayer)
def _(layer, shape, below):
    return layer.W.size * (shape[0] or 1) * math.prod(below[0][2:])


@_uses.register
def _(layer: LocallyConnected2DLayer, shape, below):
    return layer.W.size * (shape[0] or 1)


@_uses.register(DenseLayer)
@_uses.register(NINLayer)
def _(layer, shape, below):
    return layer.W.size * (shape[0] or 1) * math.prod(shape[1:]) // layer.num_units


@_uses.register
def _(layer: GatedLayer, shape, below):
    N, T = below[0][:2]
    weights = sum(gate.W_in.size + gate.W_hid.size for gate in layer.gates)
    return (N or 1) * T * weights


@_uses.register
def _(layer: CustomRecurrentLayer, shape, below):
    N, T = below[0][:2]
    return (N or 1) * T * (_of_network(layer.input_to_hidden)
                           + _of_network(layer.hidden_to_hidden))


@_uses.register
def _(layer: InverseLayer, shape, below):
    return _uses(layer.layer, below[1], below[2:])


@_uses.register
def _(layer: ExpressionLayer, shape, below):
    raise TypeError("a function of which only its result is known")


def _of_network(network):
    """Those of a network, for one image."""
    order = get_all_layers(network)
    shapes = shapes_of(order)
    found = [products_of(one, shapes) for one in order]
    batch = next(shapes[one][0] for one in order if isinstance(one, InputLayer))
    return sum(found) // (2 * batch)
