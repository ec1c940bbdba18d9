"""Other libraries' weights into minifer's networks, layer by layer, by name.

Each library has its own layout, in :mod:`minifer.weights.foreign.torch_rules` and
``keras_rules``; a rule says how one array becomes one parameter. Everything is fitted
first and set last: a network is loaded whole or left as it was.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ... import layers
from ...errors import SettingError, WeightsError, one_line
from ...layers import Layer
from .keras_rules import keras_rules
from .torch_rules import torch_rules

__all__ = ["load_torch_params", "load_keras_params", "fit_keras_params"]


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
    where = "load_torch_params"
    _load(where, arrays, _named_layers(where, network), skip, ".", torch_rules,
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
    where = "load_keras_params"
    _load(where, arrays, _named_layers(where, network), skip, "/", keras_rules)


def fit_keras_params(arrays: dict[str, np.ndarray], named: dict[str, Layer]) -> None:
    """Set the parameters of layers whose inputs are in Keras's own order.

    Parameters
    ----------
    arrays : dict of str -> array
    named : dict of str -> Layer
    """
    _load("read_keras_model", arrays, named, (), "/",
          functools.partial(keras_rules, reordered=False))


def _load(where, arrays, named, skip, separator, rules_of, unused=()):
    """Fit every array to its parameter; set them all, or raise."""
    if not isinstance(arrays, Mapping):
        raise WeightsError(f"{where}: expected a dict of name -> array, got "
                           f"{type(arrays).__name__}. Read the file first.")
    skip = _checked_skip(where, skip, separator, named, arrays)
    left = {name: np.asarray(array) for name, array in arrays.items()
            if not name.endswith(unused) and not _is_in(name, skip, separator)}
    values, used, missing, misshapen, not_finite = {}, set(), [], [], []
    rules = [rule for name, layer in named.items() if not _is_in(name, skip, separator)
             for rule in rules_of(where, name, layer) if rule.param is not None]
    for rule in rules:
        found = [next((name for name in names if name in left), None)
                 for names in rule.names]
        if rule.optional and not any(found):
            values[rule.param] = rule.value_of([])
            continue
        if None in found:
            missing.append(rule.names[found.index(None)][0])
            continue
        used.update(found)
        wrong = [f"{name}: expected numbers {' or '.join(map(str, rule.shapes))}, got "
                 f"{left[name].dtype} {left[name].shape}" for name in found
                 if left[name].shape not in rule.shapes
                 or left[name].dtype.kind not in "fiu"]
        if wrong:
            misshapen += wrong
            continue
        values[rule.param] = rule.value_of([left[name] for name in found])
        if not np.isfinite(values[rule.param]).all():
            not_finite.append(found[0])
    left = [name for name in left if name not in used]
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
