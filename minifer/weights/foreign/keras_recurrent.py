"""Keras's layers of sequences, each as layers of minifer."""

from __future__ import annotations

import functools

import numpy as np

from ... import layers, nonlinearities
from .keras_calls import Call, Value, activation
from .keras_names import both_ways

__all__ = ["RECURRENT_MAKERS"]


def _lstm(call, value, **options):
    inside, f = activation(call, "recurrent_activation"), activation(call)
    gate = functools.partial(layers.Gate, W_cell=None)
    gates = {name: gate(nonlinearity=inside)
             for name in ("ingate", "forgetgate", "outgate")}
    return layers.LSTMLayer(
        value.layer, call.get("units"), **gates, cell=gate(nonlinearity=f),
        nonlinearity=f, peepholes=False, **options)


def _gru(call, value, **options):
    inside, f = activation(call, "recurrent_activation"), activation(call)
    if inside is not nonlinearities.sigmoid and not isinstance(
            inside, nonlinearities.HardSigmoid):
        call.refuse(f"recurrent_activation={call.get('recurrent_activation')!r}")
    after, H = bool(call.get("reset_after", False)), call.get("units")
    gate = functools.partial(layers.Gate, W_cell=None)
    return layers.GRULayer(
        value.layer, H, gate(nonlinearity=inside), gate(nonlinearity=inside),
        gate(nonlinearity=f), reset_after=after,
        b_hid=np.zeros(H, np.float32) if after else None, **options)


def _simple(call, value, **options):
    if not call.get("use_bias", True):
        options["b"] = None
    return layers.RecurrentLayer(value.layer, call.get("units"),
                                 nonlinearity=activation(call), **options)


WAYS = {"LSTM": _lstm, "GRU": _gru, "SimpleRNN": _simple}


def _one(call, value, backwards=False):
    """A layer in one direction."""
    for option in ("stateful", "return_state", "unit_forget", "time_major"):
        call.only(option, False)
    call.only("go_backwards", backwards)
    value = value.channels_last()
    return Value(call.note(WAYS[call.kind](
        call, value, backwards=backwards, name=call.name,
        only_return_final=not call.get("return_sequences", False))), False)


def _bidirectional(call, value):
    """Both directions, and how they come together."""
    found = []
    for (kind, config), backwards in zip(both_ways(call.config), (False, True)):
        if kind not in WAYS:
            call.refuse(f"the layer {kind!r}")
        one = Call(kind, {**config, "go_backwards": backwards}, call.version)
        found.append(_one(one, value, backwards).layer)
        call.made.update(one.made)
    how = call.get("merge_mode", "concat")
    if how == "concat":
        top: layers.Layer = layers.ConcatLayer(
            found, len(found[0].output_shape) - 1, name=call.name)
    elif how == "mul":
        top = layers.ElemwiseMergeLayer(found, "multiply", name=call.name)
    else:
        if how not in ("sum", "ave"):
            call.refuse(f"merge_mode={how!r}")
        top = layers.ElemwiseSumLayer(found, 0.5 if how == "ave" else 1, name=call.name)
    return Value(top, False)


#: By Keras's class.
RECURRENT_MAKERS = {**dict.fromkeys(WAYS, _one), "Bidirectional": _bidirectional}
