"""Keras's arrays, layer by layer: by their names, or numbered in Keras's order."""

from __future__ import annotations

import math

import numpy as np

from ... import layers
from ...errors import WeightsError
from ...layers.conv import BaseConvLayer
from ...layers.conv_transposed import _TransposedConvLayer
from .recurrent_rules import RECURRENT, keras_recurrent
from .rules import Rule, inv_std_of, turned, unknown

__all__ = ["keras_rules", "POINTWISE", "SCALE", "SHIFT"]

#: A separable convolution of Keras is two layers here: NAME, which looks at each
#: channel by itself, and NAME_pointwise, which mixes them.
POINTWISE = "_pointwise"
#: And a layer normalisation three: NAME, and its factors and biases.
SCALE, SHIFT = "_scale", "_bias"


def keras_rules(where, name, layer, reordered=True):
    """The rules for a layer of a name.

    Parameters
    ----------
    where : str
        For errors.
    name : str
    layer : Layer
    reordered : bool
        Whether what is flattened below it counts (C, H, W), where Keras counts
        (H, W, C).
    """
    def order():
        return _channels_first(where, layer) if reordered else None

    if isinstance(layer, RECURRENT):
        return keras_recurrent(where, name, layer)
    match layer:
        case layers.LocallyConnected2DLayer():
            raise unknown(where, layer)
        case BaseConvLayer():
            return _convolution(name, layer)
        case layers.DenseLayer():
            rules = [("kernel", layer.W, {"change": order()}), ("bias", layer.b, {})]
        case layers.BatchNormLayer():
            change = order()
            rules = [("gamma", layer.gamma, {"change": change}),
                     ("beta", layer.beta, {"change": change}),
                     ("moving_mean", layer.mean, {"change": change}),
                     ("moving_variance", layer.inv_std,
                      {"change": inv_std_of(layer, change)})]
        case layers.ParametricRectifierLayer():
            rules = [("alpha", layer.alpha, _alpha(layer))]
        case layers.EmbeddingLayer():
            rules = [("embeddings", layer.W, {})]
        case layers.ScaleLayer() if name.endswith(SCALE) and _is_plain(
                layer.scales, reordered):
            return _numbered(name.removesuffix(SCALE), [("gamma", layer.scales, {})])
        case layers.BiasLayer() if name.endswith(SHIFT) and _is_plain(
                layer.b, reordered):
            scaled = isinstance(layer.input_layer, layers.ScaleLayer)
            return _numbered(name.removesuffix(SHIFT), [("beta", layer.b, {})], scaled)
        case _:
            raise unknown(where, layer)
    return _numbered(name, rules)


def _is_plain(param, reordered):
    """Whether its values stand in one order here and in Keras."""
    return not reordered or param.value.ndim == 1


def _numbered(name, rules, first=0):
    """Rules by name, or by the place among the arrays that a layer has."""
    there = [rule for rule in rules if rule[1] is not None]
    return [Rule([(*(f"{name}/{one}" for one in array.split()), f"{name}/{number}")],
                 param, **options)
            for number, (array, param, options) in enumerate(there, first)]


def _convolution(name, layer):
    """Filters (k..., C / groups, F)."""
    n, turn = layer.n, turned(layer.flip_filters)
    W = {"axes": (n + 1, n, *range(n)), "change": turn}
    kernel = "kernel"
    if isinstance(layer, _TransposedConvLayer):
        W["change"] = turned(not layer.flip_filters)
    elif isinstance(layer, layers.DilatedConv2DLayer):
        W["axes"] = (n, n + 1, *range(n))
    elif layer.num_groups == layer.input_shape[1]:
        W, kernel = _by_channel(layer, turn), "depthwise_kernel kernel"
    if name.endswith(POINTWISE):
        return _numbered(name.removesuffix(POINTWISE), [
            ("pointwise_kernel", layer.W, W), ("bias", layer.b, {})], 1)
    return _numbered(name, [(kernel, layer.W, W), ("bias", layer.b, {})])


def _by_channel(layer, turn):
    """Each channel's own filters, (k..., C, M), or groups of one, (k..., 1, C M)."""
    n, k, C = layer.n, layer.filter_size, layer.num_groups
    F = layer.num_filters

    def change(kernel):
        if kernel.shape[n] == C:
            kernel = kernel.transpose(n, n + 1, *range(n)).reshape(F, 1, *k)
        else:
            kernel = kernel.transpose(n + 1, n, *range(n))
        return kernel if turn is None else turn(kernel)

    return {"change": change, "given": [(*k, C, F // C), (*k, 1, F)]}


def _alpha(layer):
    """Slopes (..., C), of length 1 where they are shared, as (C, ...)."""
    shape = layer.input_shape[1:]
    ours = [1 if axis in layer.shared_axes else n for axis, n in enumerate(shape, 1)]
    return {"change": lambda alpha: np.moveaxis(alpha, -1, 0),
            "given": [(*ours[1:], ours[0])]}


def _channels_first(where, layer):
    """Bring rows that count (H, W, C) into the order (C, H, W), behind an image."""
    if isinstance(layer, layers.BatchNormLayer) and len(layer.input_shape) > 2:
        return None
    shape = flattened_image(where, layer)
    if shape is None:
        return None
    C, *lengths = shape
    order = np.moveaxis(np.arange(math.prod(shape)).reshape(*lengths, C), -1, 0).ravel()
    return lambda values: values[order]


def flattened_image(where, layer):
    """(C, ...) if the layer's input is a flattened image, else None."""
    if len(layer.input_shape) > 3:
        return layer.input_shape[1:]
    below = layer.input_layer
    while below is not None and not isinstance(
            below, (layers.DenseLayer, layers.InputLayer, layers.GlobalPoolLayer)):
        if len(below.incomings) != 1:
            raise WeightsError(
                f"{where}: expected one image or vector below {layer!r}, got "
                f"{below!r}, which Keras may order otherwise. Set its parameters by "
                "hand, with its name in skip.")
        if len(below.input_shape) > 3:
            return below.input_shape[1:]
        below = below.input_layer
    return None
