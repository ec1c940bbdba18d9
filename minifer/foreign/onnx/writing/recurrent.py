"""Recurrent layers: by ONNX's LSTM, GRU and RNN where these do the same, else step by
step, as the body of a Scan."""

from __future__ import annotations

import math

import numpy as np

from ....layers import (CustomRecurrentLayer, GRULayer, LSTMLayer, RecurrentLayer)
from .nonlinear import activated

__all__ = ["LAYERS"]

#: Nonlinearities that ONNX's own layers take.
ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "rectify": "Relu",
               "softsign": "Softsign", "softplus": "Softplus", "elu": "Elu"}


def lstm(graph, layer, xs):
    """Long short-term memory."""
    i, f, c, o = layer.gates
    kinds = [_kind(one.nonlinearity) for one in (i, f, o, c)]
    kinds.append(_kind(layer.nonlinearity))
    if None in kinds or len(set(kinds[:3])) > 1 or layer.mask_input is not None:
        return _scanned(graph, layer, xs, _lstm_step)
    order = (i, o, f, c)
    weights = _weights(graph, layer, order)
    seen = ""
    if layer.peepholes:
        seen = graph.constant(np.concatenate(
            [one.W_cell.get_value() for one in (i, o, f)])[None], _called(layer, "P"))
    return _operator(graph, "LSTM", layer, xs, [*weights, "", *_starts(
        graph, layer, xs, ("hid_init", "cell_init")), seen], kinds[2:])


def gru(graph, layer, xs):
    """Gated recurrent units. ONNX's update gate says what stays, ours what is new:
    a sigmoid of the negated sum."""
    r, u, c = layer.gates
    kinds = [_kind(one.nonlinearity) for one in (u, c)]
    if (kinds[0] != "Sigmoid" or _kind(r.nonlinearity) != "Sigmoid" or None in kinds
            or layer.mask_input is not None):
        return _scanned(graph, layer, xs, _gru_step)
    weights = _weights(graph, layer, (u, r, c), (-1, 1, 1), None if layer.b_hid is None
                       else layer.b_hid.get_value())
    inputs = [*weights, "", *_starts(graph, layer, xs, ("hid_init",))]
    return _operator(graph, "GRU", layer, xs, inputs, kinds,
                     linear_before_reset=int(layer.reset_after))


def plain(graph, layer, xs):
    """The recurrent layer of dense layers."""
    kind = _kind(layer.nonlinearity)
    if kind is None or layer.mask_input is not None:
        return custom(graph, layer, xs)
    W, R = layer.W_in_to_hid.get_value(), layer.W_hid_to_hid.get_value()
    b = np.zeros(len(R)) if layer.b is None else layer.b.get_value()
    weights = [graph.constant(one[None], _called(layer, name)) for name, one in (
        ("W", W.T), ("R", R.T), ("B", np.concatenate([b, np.zeros_like(b)])))]
    return _operator(graph, "RNN", layer, xs, [*weights, "", *_starts(
        graph, layer, xs, ("hid_init",))], [kind])


def custom(graph, layer, xs):
    """Recurrence through two networks."""
    return _scanned(graph, layer, xs, _custom_step)


# --- ONNX's own ---------------------------------------------------------------------

def _kind(nonlinearity):
    """ONNX's name of a nonlinearity that its recurrent operators take, or None."""
    options = getattr(nonlinearity, "options", {})
    return None if options else ACTIVATIONS.get(getattr(nonlinearity, "name", None))


def _called(layer, part):
    return f"{layer.name}.{part}" if layer.name else part


def _weights(graph, layer, gates, signs=None, b_hid=None):
    """W (1, G H, D), R (1, G H, H) and B (1, 2 G H) of gates in an order; ``b_hid`` is
    the last gate's second bias."""
    signs = signs or (1,) * len(gates)
    W, R, b = ([sign * getattr(gate, part).get_value() for sign, gate
                in zip(signs, gates)] for part in ("W_in", "W_hid", "b"))
    W, R = (np.concatenate(one, axis=1).T[None] for one in (W, R))
    more = np.zeros(W.shape[1])
    if b_hid is not None:
        more[-len(b_hid):] = b_hid
    b = np.concatenate([*b, more])[None]
    return [graph.constant(one, _called(layer, name))
            for name, one in (("W", W), ("R", R), ("B", b))]


def _rows(graph, layer, x):
    """Sequences (N, T, D), of one more axis or several."""
    shape = layer.input_shapes[0]
    if len(shape) == 3:
        return x
    return graph.add("Reshape", x, [0, 0, math.prod(shape[2:])])


def _batch(graph, x):
    """How many sequences there are, as an array of one."""
    return graph.part(graph.add("Shape", x), 0, 0, 1)


def _start(graph, layer, xs, option):
    """A state before the first step, (N, ...)."""
    if option in layer.places:
        return xs[layer.places[option]]
    param = getattr(layer, option)
    shape = graph.add("Concat", _batch(graph, xs[0]), list(param.shape[1:]), axis=0)
    return graph.add("Expand", graph.param(param), shape)


def _starts(graph, layer, xs, options):
    """The states (1, N, H) of ONNX's layers; those of zeros are left out."""
    found = []
    for option in options:
        zero = option not in layer.places and not getattr(layer, option).get_value(
            ).any()
        found.append("" if zero else graph.add("Unsqueeze", _start(
            graph, layer, xs, option), [0]))
    return found


def _operator(graph, kind, layer, xs, inputs, activations, **attributes):
    """One of ONNX's recurrent operators, time first, there and back."""
    x = graph.add("Transpose", _rows(graph, layer, xs[0]), perm=[1, 0, 2])
    while inputs and isinstance(inputs[-1], str) and inputs[-1] == "":
        inputs.pop()
    y, last = graph.add(kind, x, *inputs, outputs=2, activations=activations,
                        hidden_size=layer.num_units, **attributes,
                        direction="reverse" if layer.backwards else "forward")
    if layer.only_return_final and layer.backwards:
        # Not the operator's own last state: some readers take the last step's for it.
        return graph.add("Squeeze", graph.part(y, 0, 0, 1), [0, 1])
    if layer.only_return_final:
        return graph.add("Squeeze", last, [0])
    return graph.add("Transpose", graph.add("Squeeze", y, [1]), perm=[1, 0, 2])


# --- step by step -------------------------------------------------------------------

def _scanned(graph, layer, xs, step):
    """A Scan whose body is a step: ``step(inside, layer, x, states)``."""
    options = getattr(layer, "STATES", ("hid_init",))
    starts = [_start(graph, layer, xs, option) for option in options]
    mask = xs[layer.places["mask_input"]] if layer.mask_input is not None else None
    below = [xs[0]] if mask is None else [xs[0], mask]
    inside = graph.inner()
    states = [inside.name(option) for option in options]
    given = [inside.name(wish) for wish in ("step", "flag")[:len(below)]]
    new = step(inside, layer, given[0], states)
    if mask is not None:
        shape = [-1, *(1,) * (len(_state_shape(layer)) - 1)]
        flag = inside.add("Cast", inside.add("Reshape", given[1], shape),
                          to=inside.onnx.TensorProto.BOOL)
        new = [inside.add("Where", flag, *pair) for pair in zip(new, states)]
    info = inside.onnx.helper.make_tensor_value_info
    kind = inside.onnx.TensorProto.FLOAT
    ends = [*new, inside.add("Identity", new[0])]
    names = [inside.add("Identity", one) for one in ends[:-1]] + ends[-1:]
    body = inside.finish("step", [info(one, kind, None) for one in (*states, *given)],
                         [info(one, kind, None) for one in names], whole=False)
    way = int(layer.backwards)
    found = graph.add("Scan", *starts, *below, outputs=len(states) + 1, body=body,
                      num_scan_inputs=len(below), scan_input_axes=[1] * len(below),
                      scan_input_directions=[way] * len(below), scan_output_axes=[1],
                      scan_output_directions=[way])
    return found[0] if layer.only_return_final else found[-1]


def _state_shape(layer):
    """The shape of a state, (N, ...)."""
    return layer.get_output_shape_for(layer.input_shapes) if layer.only_return_final \
        else (None, *layer.output_shape[2:])


def _sums(inside, layer, x, h):
    """What the input and the state add to the gates, each (N, G H)."""
    D = len(layer.gates[0].W_in.get_value())
    x = inside.add("Reshape", x, [-1, D])
    W, R, b = (np.concatenate([getattr(gate, part).get_value() for gate in layer.gates],
                              axis=-1) for part in ("W_in", "W_hid", "b"))
    z = inside.add("Add", inside.add("MatMul", x, inside.constant(
        W, _called(layer, "W"))), inside.constant(b, _called(layer, "b")))
    return z, inside.add("MatMul", h, inside.constant(R, _called(layer, "R")))


def _split(inside, layer, z):
    H = layer.num_units
    return [inside.part(z, 1, k * H, (k + 1) * H) for k in range(len(layer.gates))]


def _lstm_step(inside, layer, x, states):
    h, c = states
    add = inside.add
    sums = _split(inside, layer, add("Add", *_sums(inside, layer, x, h)))
    i, f, new, o = sums
    functions = [gate.nonlinearity for gate in layer.gates]

    def seen(z, option, cell):
        if not layer.peepholes:
            return z
        return add("Add", z, add("Mul", cell, inside.param(getattr(layer,
                                                                   option).W_cell)))

    i = activated(inside, functions[0], seen(i, "ingate", c), 2)
    f = activated(inside, functions[1], seen(f, "forgetgate", c), 2)
    new = activated(inside, functions[2], new, 2)
    c = add("Add", add("Mul", f, c), add("Mul", i, new))
    o = activated(inside, functions[3], seen(o, "outgate", c), 2)
    return [add("Mul", o, activated(inside, layer.nonlinearity, c, 2)), c]


def _gru_step(inside, layer, x, states):
    (h,), add = states, inside.add
    z, product = (_split(inside, layer, one) for one in _sums(inside, layer, x, h))
    functions = [gate.nonlinearity for gate in layer.gates]
    r, u = (activated(inside, functions[k], add("Add", z[k], product[k]), 2)
            for k in (0, 1))
    if layer.reset_after:
        kept = product[2] if layer.b_hid is None else add(
            "Add", product[2], inside.param(layer.b_hid))
        kept = add("Mul", r, kept)
    else:
        kept = add("MatMul", add("Mul", r, h), inside.param(layer.gates[2].W_hid))
        kept = kept if layer.b_hid is None else add("Add", kept, inside.param(
            layer.b_hid))
    new = add("Add", z[2], kept)
    new = activated(inside, functions[2], new, 2)
    return [add("Add", h, add("Mul", u, add("Sub", new, h)))]


def _custom_step(inside, layer, x, states):
    from .network import write_network
    seen, kept = (write_network(inside, [network.output], {network.input: name})[0][0]
                  for network, name in ((layer.inner, x), (layer.again, states[0])))
    return [activated(inside, layer.nonlinearity, inside.add("Add", kept, seen),
                      len(_state_shape(layer)))]


LAYERS = {LSTMLayer: lstm, GRULayer: gru, RecurrentLayer: plain,
          CustomRecurrentLayer: custom}
