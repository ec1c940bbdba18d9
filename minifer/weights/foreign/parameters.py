"""Other libraries' weights into minifer's networks, layer by layer, by name.

Each library has its own layout; a :class:`Rule` says how one array becomes one
parameter. Everything is fitted first and set last: a network is loaded whole or
left as it was.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

from ... import layers
from ...errors import SettingError, WeightsError, one_line
from ...layers import Layer
from ...layers.param import Param

__all__ = ["load_torch_params", "load_keras_params"]


@dataclass(frozen=True)
class Rule:
    """How an array becomes a parameter's value.

    Attributes
    ----------
    names : tuple of str
        What the array may be called; its layer's name is put before it.
    param : Param or None
        None where the layer does without.
    axes : tuple of int, optional
        The array's axes in the order in which ours has them.
    change : callable, optional
        What happens to the values then.
    """

    names: tuple
    param: Param | None
    axes: tuple | None = None
    change: Callable | None = None

    @property
    def shape(self):
        """The shape that the array must have."""
        ours = self.param.shape
        axes = range(len(ours)) if self.axes is None else self.axes
        return tuple(ours[axes.index(axis)] for axis in range(len(ours)))

    def value_of(self, array):
        """The parameter's value, in its dtype."""
        value = array if self.axes is None else array.transpose(self.axes)
        with np.errstate(all="ignore"):  # the caller looks for NaN and infinity
            value = value if self.change is None else self.change(value)
            return value.astype(self.param.dtype)


def load_torch_params(arrays: dict[str, np.ndarray], network: Layer,
                      skip: Sequence[str] = ()) -> None:
    """Set a network's parameters from PyTorch's.

    Parameters
    ----------
    arrays : dict of str -> array
        Such as ``"layer1.0.conv1.weight"``: what :func:`read_torch` or
        :func:`read_safetensors` gave, or a ``state_dict`` of arrays.
    network : Layer
        Its layers must have PyTorch's names, as those of
        :func:`minifer.models.resnet50`. All parameters are set.
    skip : sequence of str, default ()
        Layers to leave as they are, with all below them: ``("fc",)`` for a head of
        one's own. What the file has for them is not looked at.

    Raises
    ------
    WeightsError
        If arrays are missing, misshapen, not finite, or belong to no layer. The
        message names some of each, and the network is unchanged.
    SettingError
        If ``skip`` names nothing.

    Notes
    -----
    - Filters (F, C, kh, kw) stay as they are; a layer with ``flip_filters=True`` gets
      them mirrored. Dense weights (U, D) are transposed.
    - Batch norm: ``inv_std`` is 1 / √(running_var + epsilon), with the layer's own
      epsilon: build the network with PyTorch's 1e-5. ``num_batches_tracked`` is
      left out.
    - A model saved from ``DataParallel`` has ``module.`` before each name; take it
      off first.

    Examples
    --------
    >>> import numpy as np
    >>> from minifer.layers import DenseLayer, InputLayer
    >>> network = DenseLayer(InputLayer((None, 3)), num_units=2, name="fc")
    >>> load_torch_params({"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)},
    ...                   network)
    >>> network.W.value.shape
    (3, 2)
    """
    _load("load_torch_params", arrays, network, skip, ".", _torch_rules,
          unused=".num_batches_tracked")


def load_keras_params(arrays: dict[str, np.ndarray], network: Layer,
                      skip: Sequence[str] = ()) -> None:
    """Set a network's parameters from Keras's.

    Parameters
    ----------
    arrays : dict of str -> array
        Such as ``"conv1_conv/kernel"`` or ``"conv1_conv/0"``: what
        :func:`read_keras` gave.
    network : Layer
        Its layers must have Keras's names, as those of
        :func:`minifer.models.keras_resnet50`. All parameters are set.
    skip : sequence of str, default ()
        Layers to leave as they are; see :func:`load_torch_params`.

    Raises
    ------
    WeightsError, SettingError
        As :func:`load_torch_params`.

    Notes
    -----
    - Filters (kh, kw, C, F) become (F, C, kh, kw), mirrored where the layer has
      ``flip_filters=True``.
    - Behind a flattened image Keras counts its values in the order (H, W, C), minifer
      in (C, H, W): rows of dense weights change places accordingly.
    - Batch norm: ``inv_std`` is 1 / √(moving_variance + epsilon), with the layer's own
      epsilon: build the network with Keras's, 1e-3 unless told otherwise.
    - Padding is the network's business: with a stride, Keras's ``"same"`` puts the odd
      row of zeros below and to the right only.
    """
    _load("load_keras_params", arrays, network, skip, "/", _keras_rules)


def _load(where, arrays, network, skip, separator, rules_of, unused=()):
    """Fit every array to its parameter; set them all, or raise."""
    if not isinstance(arrays, Mapping):
        raise WeightsError(f"{where}: expected a dict of name -> array, got "
                           f"{type(arrays).__name__}. Read the file first.")
    named = _named_layers(where, network)
    skip = _checked_skip(where, skip, separator, named, arrays)
    left = {name: np.asarray(array) for name, array in arrays.items()
            if not name.endswith(unused) and not _is_in(name, skip, separator)}
    rules = [(name + separator, rule) for name, layer in named.items()
             if not _is_in(name, skip, separator)
             for rule in rules_of(where, layer) if rule.param is not None]
    values, missing, misshapen, not_finite = {}, [], [], []
    for before, rule in rules:
        names = [before + name for name in rule.names]
        name = next((name for name in names if name in left), None)
        if name is None:
            missing.append(names[0])
            continue
        array = left.pop(name)
        if array.shape != rule.shape or array.dtype.kind not in "fiu":
            misshapen.append(f"{name}: expected numbers {rule.shape}, got "
                             f"{array.dtype} {array.shape}")
            continue
        values[rule.param] = rule.value_of(array)
        if not np.isfinite(values[rule.param]).all():
            not_finite.append(name)
    _raise_if_any(where, {
        "missing": missing, "of no layer": [one_line(name) for name in left],
        "of another shape": misshapen,
        "not finite or of negative variance": not_finite})
    for param, value in values.items():
        param.set_value(value)


def _raise_if_any(where, problems):
    """One error for all problems, with a few names of each."""
    found = "; ".join(
        f"{len(names)} {problem} ({', '.join(names[:3])}{', …' * (len(names) > 3)})"
        for problem, names in problems.items() if names)
    if found:
        raise WeightsError(
            f"{where}: expected the weights of this network, got arrays that are not: "
            f"{found}. Nothing was set; build the same network, or leave layers out "
            "with skip.")


def _named_layers(where, network):
    """The layers that have parameters, by name."""
    named = {}
    for layer in layers.get_all_layers(network):
        if layer.params and (layer.name is None or layer.name in named):
            raise WeightsError(
                f"{where}: expected each layer with parameters to have a name of its "
                f"own, got {layer!r}. Name it as the other library does.")
        if layer.params:
            named[layer.name] = layer
    return named


def _checked_skip(where, skip, separator, *places):
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    known = [name for place in places for name in place]
    for name in skip:
        if not any(_is_in(one, (name,), separator) for one in known):
            close = difflib.get_close_matches(name, known, 1)
            hint = f" Perhaps you meant {close[0]!r}?" if close else ""
            raise SettingError(f"{where}: expected names of layers in skip, got "
                               f"{name!r}, which neither side has.{hint}")
    return skip


def _is_in(name, roots, separator):
    return any(name == root or name.startswith(root + separator) for root in roots)


# --- PyTorch ------------------------------------------------------------------

def _torch_rules(where, layer):
    match layer:
        case layers.Conv2DLayer():
            return [Rule(("weight",), layer.W, change=_filters_of(layer)),
                    Rule(("bias",), layer.b)]
        case layers.DenseLayer():
            return [Rule(("weight",), layer.W, axes=(1, 0)), Rule(("bias",), layer.b)]
        case layers.BatchNormLayer():
            return [Rule(("weight",), layer.gamma), Rule(("bias",), layer.beta),
                    Rule(("running_mean",), layer.mean),
                    Rule(("running_var",), layer.inv_std, change=_inv_std_of(layer))]
    raise _unknown(where, layer)


# --- Keras --------------------------------------------------------------------

def _keras_rules(where, layer):
    match layer:
        case layers.Conv2DLayer():
            rules = [Rule(("kernel",), layer.W, (3, 2, 0, 1), _filters_of(layer)),
                     Rule(("bias",), layer.b)]
        case layers.DenseLayer():
            rules = [Rule(("kernel",), layer.W, change=_channels_first(where, layer)),
                     Rule(("bias",), layer.b)]
        case layers.BatchNormLayer():
            order = _channels_first(where, layer)
            rules = [Rule(("gamma",), layer.gamma, change=order),
                     Rule(("beta",), layer.beta, change=order),
                     Rule(("moving_mean",), layer.mean, change=order),
                     Rule(("moving_variance",), layer.inv_std,
                          change=_inv_std_of(layer, order))]
        case _:
            raise _unknown(where, layer)
    # Keras 3 numbers the arrays that a layer has.
    there = [rule for rule in rules if rule.param is not None]
    return [replace(rule, names=rule.names + (str(number),))
            for number, rule in enumerate(there)]


def _channels_first(where, layer):
    """Bring rows that count (H, W, C) into the order (C, H, W), behind an image."""
    if isinstance(layer, layers.BatchNormLayer) and len(layer.input_shape) > 2:
        return None
    shape = _flattened_image(where, layer)
    if shape is None:
        return None
    C, H, W = shape
    order = np.arange(H * W * C).reshape(H, W, C).transpose(2, 0, 1).ravel()
    return lambda values: values[order]


def _flattened_image(where, layer):
    """(C, H, W) if the layer's input is a flattened image, else None."""
    if len(layer.input_shape) == 4:
        return layer.input_shape[1:]
    below = layer.input_layer
    while below is not None and not isinstance(
            below, (layers.DenseLayer, layers.InputLayer, layers.GlobalPoolLayer)):
        if len(below.incomings) != 1:
            raise WeightsError(
                f"{where}: expected one image or vector below {layer!r}, got "
                f"{below!r}, which Keras may order otherwise. Set its parameters by "
                "hand, with its name in skip.")
        if len(below.input_shape) == 4:
            return below.input_shape[1:]
        below = below.input_layer
    return None


# --- both ---------------------------------------------------------------------

def _filters_of(layer):
    return (lambda W: W[:, :, ::-1, ::-1]) if layer.flip_filters else None


def _inv_std_of(layer, order=None):
    def inv_std(variance):
        variance = variance if order is None else order(variance)
        return 1 / np.sqrt(np.where(variance < 0, math.nan, variance) + layer.epsilon)
    return inv_std


def _unknown(where, layer):
    return WeightsError(
        f"{where}: expected convolutions, dense layers and batch norms, got "
        f"{layer!r}. Set its parameters by hand, with its name in skip.")
