"""Keras's layers, each as layers of minifer.

A maker gets what is below and Keras's options, and returns the value on top; what has
parameters is noted by Keras's name. Options that are not looked at here are those that
change nothing in prediction: how weights begin, what they are punished for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import layers, nonlinearities
from .keras_calls import Call, Value, activated, activation
from .keras_images import IMAGE_MAKERS
from .keras_recurrent import RECURRENT_MAKERS
from .keras_rules import SCALE, SHIFT

__all__ = ["MAKERS", "make"]


def make(kind, config, below, version):
    """A Keras layer on values.

    Parameters
    ----------
    kind : str
        Keras's class.
    config : dict
    below : list of Value
    version : str
        Version of Keras.

    Returns
    -------
    Value
    dict of str -> Layer
        What has parameters.

    Raises
    ------
    Unknown
    """
    call = Call(kind, config, version)
    if "data_format" in config:
        call.only("data_format", "channels_last", None)
    if len(below) > 1 and MAKERS[kind] not in MERGERS:
        call.refuse(f"{len(below)} inputs")
    value = MAKERS[kind](call, *(below if MAKERS[kind] not in MERGERS else [below]))
    return value, call.made


# --- nonlinearities --------------------------------------------------------------

def _nonlinearity(call, value):
    f: Any = activation(call) if call.kind == "Activation" else {
        "ReLU": _relu, "LeakyReLU": _leaky, "ELU": _elu,
        "Softmax": _softmax}[call.kind](call)
    return activated(call, value, f)


def _relu(call):
    slope, most = call.get("negative_slope", 0) or 0, call.get("max_value")
    if call.get("threshold", 0) or (slope and most is not None):
        call.refuse("a threshold, or a slope and a greatest value")
    if most is not None:
        return (nonlinearities.relu6 if most == 6
                else nonlinearities.ClippedRectify(float(most)))
    return nonlinearities.LeakyRectify(float(slope)) if slope else (
        nonlinearities.rectify)


def _leaky(call):
    return nonlinearities.LeakyRectify(
        float(call.get("negative_slope", call.get("alpha", 0.3))))


def _elu(call):
    alpha = call.get("alpha", 1.0)
    return nonlinearities.elu if alpha == 1 else nonlinearities.SELU(1.0, float(alpha))


def _softmax(call):
    call.only("axis", -1)
    return nonlinearities.softmax


def _prelu(call, value):
    ndim = len(value.shape)
    shared = [axis - 1 for axis in call.get("shared_axes") or []]  # of (H, W, C)
    value = value.channels_first() if ndim > 2 else value
    last = ndim - 2
    ours = (0, *sorted(1 if axis == last else axis + 2 for axis in shared))
    return value._replace(layer=call.note(layers.ParametricRectifierLayer(
        value.layer, shared_axes=ours, name=call.name)))


# --- shapes -----------------------------------------------------------------------

def _flatten(call, value):
    shape = value.shape[1:]
    if sum(n != 1 for n in shape) > 1:  # else both orders are the same
        value = value.channels_last()
    return Value(layers.FlattenLayer(value.layer, name=call.name), True)


def _reshape(call, value):
    target = tuple(call.get("target_shape"))
    if len(target) > 2 and all(n == 1 for n in target[:-1]) and len(value.shape) == 2:
        ones = (1,) * (len(target) - 1)
        return Value(layers.ReshapeLayer(value.layer, ([0], [1], *ones),
                                         name=call.name), True)
    return Value(layers.ReshapeLayer(value.channels_last().layer, ([0], *target),
                                     name=call.name), False)


def _permute(call, value):
    value = value.channels_last()
    return Value(layers.DimshuffleLayer(
        value.layer, (0, *call.get("dims")), name=call.name), False)


# --- all others of one input -------------------------------------------------------

def _dense(call, value):
    ndim = len(value.shape)
    value = value.channels_last() if ndim > 2 else value
    options = {} if call.get("use_bias", True) else {"b": None}
    layer = layers.DenseLayer(value.layer, call.get("units"), nonlinearity=None,
                              num_leading_axes=ndim - 1, name=call.name, **options)
    return activated(call, value._replace(layer=call.note(layer)), activation(call))


def _norm(call, value):
    ndim, axis = len(value.shape), call.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, ndim - 1):
        call.refuse(f"axis={axis!r}")
    value = value.channels_first() if ndim > 2 else value
    momentum = call.get("momentum", 0.99)
    layer = layers.BatchNormLayer(
        value.layer, epsilon=call.get("epsilon", 1e-3), alpha=1 - momentum,
        name=call.name, **{option: None for option, there in (
            ("beta", call.get("center", True)), ("gamma", call.get("scale", True)))
            if not there})
    return value._replace(layer=call.note(layer))


def _layer_norm(call, value):
    """Over some axes of each input; factor and bias are a layer each."""
    call.only("rms_scaling", False)
    value = value.channels_last()
    ndim, axis = len(value.shape), call.get("axis", -1)
    axes = tuple(one % ndim for one in (axis if isinstance(axis, list) else [axis]))
    if list(axes) != sorted(set(axes)) or 0 in axes:
        call.refuse(f"axis={axis!r}")
    top = layers.StandardizationLayer(value.layer, axes, call.get("epsilon", 1e-3),
                                      name=call.name)
    shared = tuple(one for one in range(ndim) if one not in axes)
    for option, kind, ending in (("scale", layers.ScaleLayer, SCALE),
                                 ("center", layers.BiasLayer, SHIFT)):
        if call.get(option, True):
            name = call.name + ending
            top = call.note(kind(top, shared_axes=shared, name=name), name)
    return Value(top, False)


def _dropout(call, value):
    rate = call.get("rate", call.get("p", 0.5))
    call.only("noise_shape", None)
    if call.kind.startswith("Spatial"):
        value = value.channels_first()
        shared = tuple(range(2, len(value.shape)))
        return value._replace(layer=layers.DropoutLayer(
            value.layer, rate, shared_axes=shared, name=call.name))
    return value._replace(layer=layers.DropoutLayer(value.layer, rate, name=call.name))


def _noise(call, value):
    return value._replace(layer=layers.GaussianNoiseLayer(
        value.layer, call.get("stddev"), name=call.name))


def _as_it_is(call, value):
    return value


def _rescaling(call, value):
    """``x * scale + offset``, of which nothing is learnt."""
    value = value.channels_first() if len(value.shape) > 2 else value
    scale, offset = call.get("scale"), call.get("offset", 0.0)
    if not all(isinstance(one, (int, float)) for one in (scale, offset)):
        call.refuse("a number for each channel")
    C = value.shape[1]
    one = layers.ScaleLayer(value.layer, np.full(C, scale, np.float32))
    two = layers.BiasLayer(one, np.full(C, offset, np.float32))
    for layer in (one, two):
        for tags in layer.params.values():
            tags.discard("trainable")
    return value._replace(layer=two)


def _embedding(call, value):
    call.only("mask_zero", False)
    layer = layers.EmbeddingLayer(value.layer, call.get("input_dim"),
                                  call.get("output_dim"), name=call.name)
    return Value(call.note(layer), False)


# --- several inputs ----------------------------------------------------------------

def _together(values):
    """All with their channels in one place."""
    if any(value.first and len(value.shape) > 2 for value in values):
        values = [value.channels_first() for value in values]
    return [value.layer for value in values], values[0].first


def _merge(call, values):
    below, first = _together(values)
    if len({len(one.output_shape) for one in below}) > 1:
        call.refuse("inputs of several numbers of axes")
    how = {"Multiply": "multiply", "Maximum": "maximum", "Minimum": "minimum",
           "Subtract": "subtract"}
    if call.kind in how:
        return Value(layers.ElemwiseMergeLayer(below, how[call.kind], name=call.name),
                     first)
    coeffs = 1 / len(below) if call.kind == "Average" else 1
    return Value(layers.ElemwiseSumLayer(below, coeffs, name=call.name), first)


def _concatenate(call, values):
    below, first = _together(values)
    ndim = len(below[0].output_shape)
    axis = call.get("axis", -1) % ndim
    if first and ndim > 2:
        axis = 1 if axis == ndim - 1 else axis + (axis > 0)
    return Value(layers.ConcatLayer(below, axis, name=call.name), first)


MERGERS = (_merge, _concatenate)

#: By Keras's class.
MAKERS = {
    **IMAGE_MAKERS, **RECURRENT_MAKERS,
    **dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"),
                    _nonlinearity),
    "PReLU": _prelu,
    **{f"SpatialDropout{n}D": _dropout for n in (1, 2, 3)},
    "Flatten": _flatten, "Reshape": _reshape, "Permute": _permute, "Dense": _dense,
    "BatchNormalization": _norm, "Dropout": _dropout, "GaussianNoise": _noise,
    "Rescaling": _rescaling, "Embedding": _embedding,
    "LayerNormalization": _layer_norm,
    **dict.fromkeys(("Add", "Average", "Multiply", "Maximum", "Minimum", "Subtract"),
                    _merge),
    "Concatenate": _concatenate,
    **dict.fromkeys(("ActivityRegularization", "RandomFlip", "RandomRotation",
                     "RandomZoom", "RandomTranslation", "RandomContrast",
                     "RandomBrightness"), _as_it_is)}
