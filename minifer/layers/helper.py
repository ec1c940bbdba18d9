"""Functions on whole networks. A network is known by its output layer(s)."""

import difflib
import math
import warnings

from ..device.arrays import on_gpu, resolve, to_device, to_host
from ..errors import SettingError, WeightsError
from ..random import Stream
from .base import MergeLayer
from .input import InputLayer
from .normalization import BatchNormLayer, FrozenBatchNormLayer
from .param import device_of_params
from .tape import run

__all__ = ["get_all_layers", "get_output", "get_output_shape", "get_all_params",
           "count_params", "get_all_param_values", "set_all_param_values",
           "forward", "freeze", "seed_noise", "move_to"]


def get_all_layers(layer, treat_as_input=None):
    """All layers that feed ``layer``, inputs first, each once.

    Parameters
    ----------
    layer : Layer or list of Layer
        The output(s).
    treat_as_input : list of Layer, optional
        Layers whose own inputs are not followed.

    Returns
    -------
    list of Layer
        Depth-first from the output, every layer after all its inputs.
    """
    result, seen, done = [], set(treat_as_input or ()), set()
    stack = _as_list(layer)[::-1]
    while stack:
        top = stack[-1]
        if top is None or top in done:
            stack.pop()
        elif top not in seen:  # first visit: its inputs come before it
            seen.add(top)
            stack.extend(reversed(top.incomings))
        else:
            stack.pop()
            done.add(top)
            result.append(top)
    return result


def forward(layer_or_layers, inputs, deterministic=False, logits=False, keep=True,
            **kwargs):
    """Run a network and keep what its gradients need.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
        The output(s) wanted.
    inputs : array or dict of Layer -> array
        The batch; a dict if there are several input layers, or to start from
        a layer in the middle.
    deterministic : bool, default False
        True for prediction: no dropout, batch norm by running averages.
    logits : bool, default False
        Leave out the nonlinearity of the output layer(s).
    keep : bool, default True
        False saves memory where no gradient is wanted: the tape stays empty.
    **kwargs
        Further options for layers that name them in their ``forward``.

    Returns
    -------
    y : array, or list of arrays for a list of layers
    tape : Tape
        ``tape.backward(dy)`` gives the gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from minifer.layers import DenseLayer, InputLayer, forward
    >>> net = DenseLayer(InputLayer((None, 2)), 1, W=np.array([[1.], [2.]]))
    >>> y, tape = forward(net, np.array([[3., 4.]]))
    >>> gradients = tape.backward(np.ones_like(y))
    >>> y, gradients[net.W], gradients[net.b]
    (array([[11.]]), array([[3.],
           [4.]]), array([1.]))
    """
    outputs = _as_list(layer_or_layers)
    given = _as_inputs(outputs, inputs)
    order = get_all_layers(outputs, treat_as_input=list(given))
    device = device_of_params(p for one in order for p in one.params)
    if device != "cpu":
        given = {layer: to_device(x, device) for layer, x in given.items()}
    _warn_unknown_options(order, kwargs)
    kwargs["deterministic"] = deterministic
    ys, tape = run(order, outputs, given, kwargs, logits, keep)
    return (ys if isinstance(layer_or_layers, (list, tuple)) else ys[0]), tape


def get_output(layer_or_layers, inputs=None, **kwargs):
    """The output of a network.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    inputs : array, Variable, dict of Layer -> array or Variable, or None
        With None the result is an expression for :func:`minifer.function`, as
        in Lasagne, of the InputLayers' variables, or of those given instead; with
        arrays it is computed at once.
    **kwargs
        ``deterministic=True`` for prediction, and options of single layers.

    Returns
    -------
    array or expression, or a list of them for a list of layers
        On the device of the inputs, wherever the network is.
    """
    from ..expressions import Expression, output_of
    given = {} if inputs is None else _as_inputs(_as_list(layer_or_layers), inputs)
    if inputs is None or any(isinstance(x, Expression) for x in given.values()):
        return output_of(layer_or_layers, given, **kwargs)
    y = forward(layer_or_layers, given, keep=False, **kwargs)[0]
    if any(map(on_gpu, given.values())):
        return y
    return [to_host(one) for one in y] if isinstance(y, list) else to_host(y)


def get_output_shape(layer_or_layers, input_shapes=None):
    """The shape of the output, for other input shapes if given.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    input_shapes : tuple or dict of Layer -> tuple, optional
    """
    outputs = _as_list(layer_or_layers)
    if input_shapes is None:
        shapes = [layer.output_shape for layer in outputs]
    else:
        known = dict(_as_inputs(outputs, input_shapes))
        for layer in get_all_layers(outputs, treat_as_input=list(known)):
            if layer in known:
                continue
            below = [known[i] for i in layer.incomings]
            merges = isinstance(layer, MergeLayer)
            known[layer] = (layer.output_shape if not below else
                            layer.get_output_shape_for(below if merges else below[0]))
        shapes = [known[layer] for layer in outputs]
    return shapes if isinstance(layer_or_layers, (list, tuple)) else shapes[0]


def get_all_params(layer, **tags):
    """All parameters, in the order in which Lasagne stores them.

    Parameters
    ----------
    layer : Layer or list of Layer
    **tags : bool
        ``trainable=True`` keeps those with the tag, ``regularizable=False``
        those without. No tags: all, also running statistics.

    Returns
    -------
    list of Param
        A shared parameter once, at its first place.
    """
    params = [p for one in get_all_layers(layer) for p in one.get_params(**tags)]
    return list(dict.fromkeys(params))


def count_params(layer, **tags):
    """Number of values in all parameters that have the tags."""
    return sum(math.prod(p.shape) for p in get_all_params(layer, **tags))


def get_all_param_values(layer, **tags):
    """Copies of all parameter values, for ``np.savez(path, *values)``."""
    return [p.get_value() for p in get_all_params(layer, **tags)]


def set_all_param_values(layer, values, **tags):
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


def freeze(layer):
    """Keep a network's parameters as they are, from the inputs up to ``layer``.

    They lose the tag ``trainable``, so that ``get_all_params(network,
    trainable=True)`` leaves them out, and no gradient is worked out below the first
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


def seed_noise(layer, seed):
    """Start all random masks of a network anew from ``seed``.

    Each layer that has a ``stream`` gets one of its own, known by its place.
    """
    for place, one in enumerate(get_all_layers(layer)):
        if hasattr(one, "stream"):
            one.stream = Stream(seed, "dropout", place)


def move_to(layer, device):
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


def _as_list(layer):
    return list(layer) if isinstance(layer, (list, tuple)) else [layer]


def _as_inputs(outputs, inputs):
    """``inputs`` as a dict; a single array or shape belongs to the one InputLayer."""
    if isinstance(inputs, dict):
        return inputs
    sources = [one for one in get_all_layers(outputs) if isinstance(one, InputLayer)]
    if len(sources) != 1:
        raise SettingError(
            f"get_output: expected one InputLayer for one array of inputs, got "
            f"{len(sources)}. Pass a dict of layer -> array.")
    return {sources[0]: inputs}


def _warn_unknown_options(layers, kwargs):
    """Warn of options that no layer knows: most likely a spelling mistake."""
    known = {"deterministic"}.union(*(type(one).forward_options for one in layers))
    for name in set(kwargs) - known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Perhaps you meant '{close[0]}'?" if close else ""
        warnings.warn(f"get_output: no layer of this network knows the option "
                      f"'{name}'.{hint}", stacklevel=3)
