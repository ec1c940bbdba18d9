"""The tape: what a forward pass keeps, so that it can be walked back.

Going forward, each layer's output and cache are noted. Going back,
:func:`~minifer.ops.backpropagation.walk_back` hands each layer the gradient of its
output.
"""

from __future__ import annotations

import difflib
import functools
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from .. import config
from .._types import Array
from ..device.arrays import as_array, to_device
from ..errors import SettingError, ShapeError
from ..ops.backpropagation import BackwardStep, collect, walk_back
from .base import Layer, Layers, MergeLayer
from .input import InputLayer, takes_data, values_of_expressions
from .param import Param, device_of_params

__all__ = ["Tape", "Gradients", "get_all_layers", "forward", "run", "checked",
           "that_learn"]


def get_all_layers(layer: Layers,
                   treat_as_input: Sequence[Layer] | None = None) -> list[Layer]:
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
    stack = as_list(layer)[::-1]
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


def forward(layer_or_layers: Layers, inputs: Array | dict[Layer, Array],
            deterministic: bool = False, logits: bool | Collection[Layer] = False,
            keep: bool = True, **kwargs: Any) -> tuple[Any, Tape]:
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
    logits : bool or collection of Layer, default False
        Leave out the nonlinearity of the output layer(s), or of these layers.
    keep : bool, default True
        False saves memory where no gradient is wanted: the tape stays empty.
    **kwargs
        Further options for layers that name them in their ``forward``.

    Returns
    -------
    y : array, or list of arrays for a list of layers
        Empty, of the shape that the layers say, for a batch without an image.
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
    outputs = as_list(layer_or_layers)
    given = {one: as_array(x) for one, x in as_inputs(outputs, inputs).items()}
    order = get_all_layers(outputs, treat_as_input=list(given))
    given.update(values_of_expressions(order, given))
    device = device_of_params(p for one in order for p in one.params)
    if device != "cpu":
        given = {layer: to_device(x, device) for layer, x in given.items()}
    warn_unknown_options(order, kwargs)
    kwargs["deterministic"] = deterministic
    if logits is True:
        feeding = {i for one in order for i in one.incomings}
        logits = [one for one in outputs if one not in feeding]
    if any(x.shape[:1] == (0,) for x in given.values()):
        ys, tape = _of_no_image(order, outputs, given)
    else:
        ys, tape = run(order, outputs, given, kwargs, logits or (), keep)
    return (ys if isinstance(layer_or_layers, (list, tuple)) else ys[0]), tape


class Gradients(dict):
    """Gradients by :class:`~minifer.layers.param.Param`.

    Attributes
    ----------
    inputs : dict of Layer -> array
        Gradients with respect to the given inputs, where they were asked for.
    """

    def __init__(self, of_params, inputs):
        super().__init__(of_params)
        self.inputs = inputs


class Tape:
    """The record of one forward pass; see :func:`run`."""

    #: Whether there was no image: nothing has been computed, and all gradients are 0.
    is_empty = False

    def __init__(self, order, outputs, given):
        self.order, self.outputs, self.given = order, outputs, given
        self.values, self.caches = {}, {}

    def backward(self, dys: Array | Sequence[Array], wrt_inputs: bool = False,
                 params: Sequence[Param] | None = None) -> Gradients:
        """Walk back.

        Parameters
        ----------
        dys : array or list of arrays
            Gradient of the loss with respect to each output.
        wrt_inputs : bool, default False
            Also compute the gradients of the inputs (``result.inputs``).
        params : list of Param, optional
            The wanted ones; layers below the lowest of them are skipped. Default: all
            that are trainable.

        Returns
        -------
        Gradients
            A dict of Param -> array, for every parameter that is not a
            running statistic.
        """
        dys = dys if isinstance(dys, (list, tuple)) else [dys]
        arrived: dict = {}
        for layer, dy in zip(self.outputs, dys):
            if dy.shape != self.values[layer].shape:
                raise ShapeError(
                    f"backward: expected a gradient of the output's shape "
                    f"{self.values[layer].shape}, got {dy.shape}.")
            collect(arrived, layer, dy)

        def wanted(layer):
            if layer in self.given:
                return wrt_inputs
            return (layer.get_params(trainable=True) if params is None
                    else any(p in params for p in layer.get_params()))

        learns = that_learn(self.order, wanted, self.given)
        if self.is_empty:
            found = [p for layer in self.order if layer in learns and layer not in
                     self.given for p in layer.get_params(trainable=True)]
            return Gradients({p: np.zeros_like(p.value) for p in found},
                             {one: np.zeros_like(x) for one, x in self.given.items()
                              if wrt_inputs})
        steps = [BackwardStep(layer, layer.incomings,
                              functools.partial(self._backward, layer, learns))
                 for layer in self.order if layer in learns and layer not in self.given]
        of_params = walk_back(steps, arrived)
        return Gradients(of_params, {layer: arrived[layer] for layer in self.given
                                     if wrt_inputs and layer in arrived})

    def _backward(self, layer, learns, dy):
        cache = self.caches[layer]
        if layer.can_skip_dx and not any(i in learns for i in layer.incomings):
            return (), layer.backward(dy, cache, need_dx=False)[1]
        dx, of_params = layer.backward(dy, cache)
        return dx if isinstance(layer, MergeLayer) else (dx,), of_params


def that_learn(order, wanted, given=()):
    """Layers with a wanted one among themselves and the layers below.

    Parameters
    ----------
    order : list of Layer
        Every layer after its inputs.
    wanted : function
        ``wanted(layer)``: whether the layer itself has something to learn.
    given : collection of Layer, optional
        Layers whose outputs were given: what lies below them does not count.

    Returns
    -------
    set of Layer
    """
    learns = set()
    for layer in order:
        if wanted(layer) or (layer not in given
                             and any(i in learns for i in layer.incomings)):
            learns.add(layer)
    return learns


def run(order, outputs, given, options, logits=(), keep=True):
    """Run layers in order.

    Parameters
    ----------
    order : list of Layer
        Every layer after its inputs.
    outputs : list of Layer
    given : dict of Layer -> array
        Outputs that are not computed but given; InputLayers check theirs.
    options : dict
        Each layer gets those that its ``forward`` names.
    logits : collection of Layer
        Those that leave out their nonlinearity, if they can.
    keep : bool
        Whether to note what the way back needs.

    Returns
    -------
    ys : list of arrays
    tape : Tape
    """
    tape = Tape(order, outputs, given)
    values = tape.values
    readers = Counter(i for layer in order for i in layer.incomings)
    readers.update(outputs)
    for layer in order:
        if layer in given:
            values[layer] = checked(layer, given[layer])
            continue
        mine = {k: v for k, v in options.items() if k in layer.forward_options}
        if layer in logits and "logits" in layer.forward_options:
            mine["logits"] = True
        incomings = inputs_of(layer)
        if None in incomings and None not in given:
            layer.fail("an incoming layer", "a shape only", "Give its output in a dict "
                       "of layer -> array, or its input, {None: array}.")
        below = [given[None] if i is None else values[i] for i in incomings]
        values[layer], cache = layer.forward(
            below if isinstance(layer, MergeLayer) else below[0], **mine)
        if keep:
            tape.caches[layer] = cache
            continue
        readers.subtract(layer.incomings)
        for i in set(layer.incomings):
            if i is not None and not readers[i]:
                del values[i]
    return [values[layer] for layer in outputs], tape


def checked(layer, x):
    """What is given in the place of a layer's output, if it has its shape.

    Whole numbers for an InputLayer become ``config.floatX``.
    """
    if isinstance(layer, InputLayer):
        return layer.forward(x)[0]
    if layer is not None:
        shape = layer.output_shape
        if x.ndim != len(shape) or any(
                want not in (None, have) for want, have in zip(shape, x.shape)):
            layer.fail(f"an array of shape {shape} in the place of its output",
                       str(x.shape))
    return x


def _of_no_image(order, outputs, given):
    """What :func:`run` returns, for a batch without an image: no layer is run."""
    tape, like = Tape(order, outputs, given), next(iter(given.values()))
    dtype = like.dtype if like.dtype.kind == "f" else config.floatX
    tape.is_empty = True
    for layer in order:
        if layer in given:
            tape.values[layer] = checked(layer, given[layer])
            continue
        below = [given[None].shape if i is None else tape.values[i].shape
                 for i in inputs_of(layer)]
        shape = layer.get_output_shape_for(below if isinstance(layer, MergeLayer)
                                           else below[0])
        tape.values[layer] = np.empty_like(like, shape=shape, dtype=dtype)
    return [tape.values[layer] for layer in outputs], tape


def inputs_of(layer):
    """The layers below; None stands for what lies below one made of a shape alone.

    A MergeLayer may have none: a :class:`~minifer.layers.ParamLayer`.
    """
    return layer.incomings if isinstance(layer, MergeLayer) else (
        layer.incomings or [None])


def as_list(layer):
    return list(layer) if isinstance(layer, (list, tuple)) else [layer]


def as_inputs(outputs, inputs):
    """``inputs`` as a dict; a single array or shape belongs to the one InputLayer."""
    if isinstance(inputs, dict):
        return inputs
    sources = [one for one in get_all_layers(outputs) if takes_data(one)]
    if len(sources) != 1:
        raise SettingError(
            f"get_output: expected one InputLayer for one array of inputs, got "
            f"{len(sources)}. Pass a dict of layer -> array.")
    return {sources[0]: inputs}


def warn_unknown_options(layers, kwargs):
    """Warn of options that no layer knows: most likely a spelling mistake.

    Returns
    -------
    set of str
        The options that are known.
    """
    known = {"deterministic"}.union(*(one.forward_options for one in layers))
    for name in set(kwargs) - known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Perhaps you meant '{close[0]}'?" if close else ""
        warnings.warn(f"get_output: no layer of this network knows the option "
                      f"'{name}'.{hint}", stacklevel=3)
    return known
