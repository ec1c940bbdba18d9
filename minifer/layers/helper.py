"""Functions on whole networks. A network is known by its output layer(s)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._types import Array
from ..device.arrays import on_gpu, resolve, to_host
from ..errors import SettingError, WeightsError
from ..expressions import Expression
from ..random import Stream
from ..ranks import Part
from .base import Layers, MergeLayer
from .normalization import BatchNormLayer, FrozenBatchNormLayer
from .param import Param
from .symbolic import output_of
from .tape import as_inputs, as_list, forward, get_all_layers, inputs_of

__all__ = ["get_all_layers", "get_output", "get_output_shape", "get_all_params",
           "count_params", "get_all_param_values", "set_all_param_values",
           "forward", "freeze", "seed_noise", "sharing",
           "move_to"]


def get_output(layer_or_layers: Layers, inputs: Any = None, **kwargs: Any) -> Any:
    """The output of a network.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    inputs : array, expression, dict of Layer -> array or expression, or None
        With None the result is an expression for :func:`minifer.function`, as
        in Lasagne, of the InputLayers' variables; with an expression among those given
        too, also for hidden layers; with arrays alone it is computed at once.
    **kwargs
        ``deterministic=True`` for prediction, and options of single layers.

    Returns
    -------
    array or expression, or a list of them for a list of layers
        On the device of the inputs, wherever the network is.
    """
    given = {} if inputs is None else as_inputs(as_list(layer_or_layers), inputs)
    if inputs is None or any(isinstance(x, Expression) for x in given.values()):
        return output_of(layer_or_layers, given, **kwargs)
    y = forward(layer_or_layers, given, keep=False, **kwargs)[0]
    if any(map(on_gpu, given.values())):
        return y
    return [to_host(one) for one in y] if isinstance(y, list) else to_host(y)


def get_output_shape(layer_or_layers: Layers, input_shapes: Any = None) -> Any:
    """The shape of the output, for other input shapes if given.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    input_shapes : tuple or dict of Layer -> tuple, optional
        The key None stands for what lies below a layer that was made of a shape alone.
    """
    outputs = as_list(layer_or_layers)
    if input_shapes is None:
        shapes = [layer.output_shape for layer in outputs]
    else:
        known = dict(as_inputs(outputs, input_shapes))
        for layer in get_all_layers(outputs, treat_as_input=list(known)):
            if layer in known:
                continue
            merges = isinstance(layer, MergeLayer)
            incomings: list[Any] = inputs_of(layer)
            below = [known[i] for i in incomings if i in known]
            if len(below) < len(incomings):  # it knows its own input
                known[layer] = layer.output_shape
            else:
                known[layer] = layer.get_output_shape_for(below if merges else below[0])
        shapes = [known[layer] for layer in outputs]
    return shapes if isinstance(layer_or_layers, (list, tuple)) else shapes[0]


def get_all_params(layer: Layers, unwrap_shared: bool = True,
                   **tags: bool) -> list[Param]:
    """All parameters, in the order in which Lasagne stores them.

    Parameters
    ----------
    layer : Layer or list of Layer
    unwrap_shared : bool, default True
        Whether, in the place of a parameter that is an expression (weights that are
        tied: ``W=other.W.T``), those stand that it is made of.
    **tags : bool
        ``trainable=True`` keeps those with the tag, ``regularizable=False``
        those without. No tags: all, also running statistics.

    Returns
    -------
    list of Param
        A shared parameter once, at its first place.
    """
    params = [p for one in get_all_layers(layer)
              for p in one.get_params(unwrap_shared, **tags)]
    return list(dict.fromkeys(params))


def count_params(layer: Layers, **tags: bool) -> int:
    """Number of values in all parameters that have the tags."""
    return sum(math.prod(p.shape) for p in get_all_params(layer, **tags))


def get_all_param_values(layer: Layers, **tags: bool) -> list[np.ndarray]:
    """Copies of all parameter values, for ``np.savez(path, *values)``."""
    return [p.get_value() for p in get_all_params(layer, **tags)]


def set_all_param_values(layer: Layers, values: Sequence[Array], **tags: bool) -> None:
    """Set all parameters, all or none.

    Parameters
    ----------
    layer : Layer or list of Layer
    values : list of arrays
        In the order of :func:`get_all_params`. Never reshaped.

    Raises
    ------
    WeightsError
        If their number or a shape differs. Nothing is changed then.
    """
    params, values = get_all_params(layer, **tags), list(values)
    if len(params) != len(values):
        raise WeightsError(
            f"set_all_param_values: expected {len(params)} arrays, got "
            f"{len(values)}. Are the weights of another network?")
    for i, (param, value) in enumerate(zip(params, values)):
        if getattr(value, "shape", None) != param.shape:
            raise WeightsError(
                f"set_all_param_values: expected shape {param.shape} for array {i} "
                f"('{param.name}'), got {getattr(value, 'shape', type(value))}. "
                "Are the weights of another network?")
    for param, value in zip(params, values):
        param.set_value(value)


def freeze(layer: Layers) -> None:
    """Keep a network's parameters as they are, from the inputs up to ``layer``.

    They lose the tag ``trainable``, so that ``get_all_params(network,
    trainable=True)`` leaves them out, and no gradient is computed below the first
    layer that learns. Each :class:`BatchNormLayer` becomes a
    :class:`FrozenBatchNormLayer`: it uses its running averages in training too, and
    no longer moves them. Dropout goes on dropping.

    Parameters
    ----------
    layer : Layer or list of Layer
        The last layer(s) to freeze. Its network is changed in place.

    Raises
    ------
    SettingError
        If a batch norm is of a class of one's own, whose averages cannot be
        stopped from here. Nothing is changed then.

    Notes
    -----
    Model files do not hold tags: freeze a loaded network again before training it.
    Functions that were made before look at the network as it was: freeze first.

    Examples
    --------
    >>> from minifer.layers import DenseLayer, InputLayer, count_params, freeze
    >>> body = DenseLayer(InputLayer((None, 2)), num_units=3)
    >>> network = DenseLayer(body, num_units=1)
    >>> freeze(body)
    >>> count_params(network), count_params(network, trainable=True)
    (13, 4)
    """
    order = get_all_layers(layer)
    for one in order:
        if isinstance(one, BatchNormLayer) and not one.frozen and (
                type(one) is not BatchNormLayer):
            raise SettingError(
                f"freeze: expected BatchNormLayer, got {one!r}. Derive your class from "
                "FrozenBatchNormLayer where its averages should stay.")
    for one in order:
        for tags in one.params.values():
            tags.discard("trainable")
        if type(one) is BatchNormLayer:
            # In place: the layers above and the user's variables go on holding it.
            one.__class__ = FrozenBatchNormLayer


def seed_noise(layer: Layers, seed: int) -> None:
    """Start all random masks of a network from ``seed``.

    Each layer that has a ``stream`` gets one of its own, known by its place.
    """
    for place, one in enumerate(get_all_layers(layer)):
        if hasattr(one, "stream"):
            one.stream = Stream(seed, "dropout", place)


@contextlib.contextmanager
def sharing(layer: Layers, part: Part | None) -> Iterator[None]:
    """For a block, let a network train on a part of each batch that ranks share.

    Dropout and noise draw the part's share of the batch's masks, and batch norm takes
    the statistics of the whole batch.

    Parameters
    ----------
    layer : Layer or list of Layer
    part : minifer.ranks.Part or None
        None: each rank is alone, within a block where they share, too.
    """
    order = get_all_layers(layer)
    shared = ([one.stream for one in order if hasattr(one, "stream")]
              + [one for one in order if hasattr(one, "part")])
    before = [one.part for one in shared]
    for one in shared:
        one.part = part
    try:
        yield
    finally:
        for one, previous in zip(shared, before):
            one.part = previous


def move_to(layer: Layers, device: str) -> str:
    """Move all parameters of a network.

    Parameters
    ----------
    layer : Layer or list of Layer
    device : {'cpu', 'cuda', 'emu', 'auto'}
        Where the network runs from now on; inputs are brought there.

    Returns
    -------
    str
        The device; ``'auto'`` is decided.
    """
    device = resolve(device)
    for param in get_all_params(layer):
        param.to_device(device)
    return device
