"""Recurrent layers: ONNX's gates in the order of ours."""

from __future__ import annotations

import numpy as np

from .... import nonlinearities as f
from ....layers import (ConcatLayer, DimshuffleLayer, GRULayer, Gate, LSTMLayer, Layer,
                        RecurrentLayer, SliceLayer)

__all__ = ["TABLE"]

NONLINEARITIES = {"sigmoid": f.sigmoid, "tanh": f.tanh, "relu": f.rectify,
                  "softplus": f.softplus, "elu": f.elu, "identity": f.identity}
USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh",
                                                               "Tanh"]}


class Weights:
    """What a recurrent node has for one direction."""

    def __init__(self, graph, node, direction, gates, places):
        self.H = node.get("hidden_size")
        W, R = (graph.weights(node, place)[direction] for place in (1, 2))
        H = self.H = self.H or R.shape[-1]
        if W.shape[0] != gates * H or R.shape != (gates * H, H):
            node.fail(f"weights of {gates} gates of {H}", f"{W.shape} and {R.shape}")
        b = np.zeros((2, gates * H), W.dtype)
        if node.has(3):
            b = graph.weights(node, 3)[direction].reshape(2, gates * H)
        self.W, self.R, self.b, self.b_hid = (
            one.reshape(gates, H, -1) for one in (W, R, b[0], b[1]))

    def gate(self, k, nonlinearity, sign=1, inside=False, **more):
        """Gate k; ``inside``: its second bias is kept apart."""
        b = self.b[k, :, 0] + (0 if inside else self.b_hid[k, :, 0])
        more.setdefault("W_cell", None)
        return Gate(sign * self.W[k].T, sign * self.R[k].T, b=sign * b,
                    nonlinearity=nonlinearity, **more)


def functions(node, direction, number):
    """The nonlinearities of a direction."""
    names = node.get("activations") or USUAL[node.op] * 2
    names = names[direction * number:(direction + 1) * number]
    if node.get("activation_alpha") or node.get("activation_beta") or len(
            names) < number or any(name.lower() not in NONLINEARITIES
                                   for name in names):
        node.fail("activations of minifer, without options", str(names))
    return [NONLINEARITIES[name.lower()] for name in names]


def sequences(graph, node):
    """The input as (N, T, D)."""
    x = graph.layer(node, 0)
    return x if node.get("layout", 0) else graph.shuffled(node, x, (1, 0, 2))


def start(graph, node, place, direction):
    """A state before the first step: a row (1, H), or a layer (N, H); or nothing."""
    if not node.has(place):
        return {}
    value, axis = graph.value(node, place), 1 if node.get("layout", 0) else 0
    if isinstance(value, Layer):
        return SliceLayer(graph.layer(node, place), direction, axis)
    rows = np.take(value, direction, axis)
    if not (rows == rows[:1]).all():
        return SliceLayer(graph.layer(node, place), direction, axis)
    return rows[:1]


def recurrent(graph, node, build):
    """Both directions of a node, and its outputs.

    Parameters
    ----------
    build : function
        ``build(x, direction, **options)`` returns a layer (N, T, H).
    """
    if node.get("clip"):
        node.fail("no limit of what enters the gates", "clip")
    if node.has(4):
        lengths = graph.array(node, 4, "sequence_lens")
        T = graph.layer(node, 0).output_shape[1 if node.get("layout", 0) else 0]
        if T is None or (lengths != T).any():
            node.fail("sequences that are all as long as the input",
                      f"{lengths.tolist()} of {T}")
    x, way = sequences(graph, node), node.get("direction", "forward")
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[way]
    found = [build(x, direction, backwards=backwards,
                   name=graph.called(node) or node.name or None)
             for direction, backwards in enumerate(ways)]
    batch_first = node.get("layout", 0)
    parts = [DimshuffleLayer(one, (0, 1, "x", 2) if batch_first else (1, "x", 0, 2))
             for one in found]
    last = [DimshuffleLayer(SliceLayer(one, 0 if backwards else -1, 1),
                            (0, "x", 1) if batch_first else ("x", 0, 1))
            for one, backwards in zip(found, ways)]
    y = parts[0] if len(parts) == 1 else ConcatLayer(parts, 2 if batch_first else 1)
    h = last[0] if len(last) == 1 else ConcatLayer(last, 1 if batch_first else 0)
    return [y, h, None]


def lstm(graph, node):
    """Gates i, o, f, c."""
    if node.get("input_forget", 0):
        node.fail("gates of their own for input and forgetting", "input_forget=1")

    def build(x, direction, **options):
        gate_f, cell_f, out_f = functions(node, direction, 3)
        weights = Weights(graph, node, direction, 4, 3)
        peepholes = node.has(7)
        seen = {k: {} for k in range(3)}
        if peepholes:
            P = graph.weights(node, 7)[direction].reshape(3, -1)
            seen = {k: {"W_cell": P[k]} for k in range(3)}
        states = {option: start(graph, node, place, direction) for option, place
                  in (("hid_init", 5), ("cell_init", 6)) if node.has(place)}
        return LSTMLayer(
            x, weights.H, weights.gate(0, gate_f, **seen[0]),
            weights.gate(2, gate_f, **seen[2]), weights.gate(3, cell_f),
            weights.gate(1, gate_f, **seen[1]), out_f, peepholes=peepholes,
            **states, **options)

    return recurrent(graph, node, build)


def gru(graph, node):
    """Gates z, r, h. ONNX's z says what stays, our update what is new: a sigmoid of
    the negated sum."""
    def build(x, direction, **options):
        gate_f, new_f = functions(node, direction, 2)
        if gate_f is not f.sigmoid:
            node.fail("Sigmoid for the gates", str(gate_f))
        weights = Weights(graph, node, direction, 3, 3)
        after = bool(node.get("linear_before_reset", 0))
        b_hid = weights.b_hid[2, :, 0] if after and weights.b_hid[2].any() else None
        states = {"hid_init": start(graph, node, 5, direction)} if node.has(5) else {}
        return GRULayer(
            x, weights.H, weights.gate(1, gate_f), weights.gate(0, gate_f, -1),
            weights.gate(2, new_f, inside=b_hid is not None), reset_after=after,
            b_hid=b_hid, **states, **options)

    return recurrent(graph, node, build)


def plain(graph, node):
    """The plain recurrent layer."""
    def build(x, direction, **options):
        nonlinearity, = functions(node, direction, 1)
        weights = Weights(graph, node, direction, 1, 3)
        states = {"hid_init": start(graph, node, 5, direction)} if node.has(5) else {}
        return RecurrentLayer(x, weights.H, weights.W[0].T, weights.R[0].T,
                              weights.b[0, :, 0] + weights.b_hid[0, :, 0],
                              nonlinearity, **states, **options)

    return recurrent(graph, node, build)


TABLE = {"LSTM": lstm, "GRU": gru, "RNN": plain}
