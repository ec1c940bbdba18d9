"""Arrays of recurrent layers, which both libraries keep as one for all gates.

Keras has ``kernel`` (D, G H), ``recurrent_kernel`` (H, G H) and ``bias`` for G gates,
PyTorch the same turned round, with two biases that are added. A layer that was saved
without biases gets zeros.

In their GRUs a gate z says what stays, ``h = z h' + (1 - z) c``; ours says what is
new. So its weights change their sign, which for a sigmoid is 1 - z.
"""

from __future__ import annotations

import numpy as np

from ... import layers, nonlinearities
from .rules import Rule, unknown

__all__ = ["keras_recurrent", "torch_recurrent", "RECURRENT"]

RECURRENT = (layers.LSTMLayer, layers.GRULayer, layers.RecurrentLayer)
#: The gates in either library's order, where they are of one mind.
LSTM_GATES = ("ingate", "forgetgate", "cell", "outgate")


def keras_recurrent(where, name, layer):
    """Rules for a layer, whose direction Keras does not name in its arrays."""
    found = []
    gates = _gates(where, layer, ("updategate", "resetgate", "hidden_update"))
    whole = len(gates) * layer.num_units
    two = isinstance(layer, layers.GRULayer) and layer.reset_after

    def rule(array, number, param, change, given, **options):
        found.append(Rule([(f"{name}/{array}", f"{name}/{number}")], param,
                          change=change, given=given, **options))

    for place, (sign, W_in, W_hid, b, b_hid) in enumerate(gates):
        part = (..., slice(place * layer.num_units, (place + 1) * layer.num_units))
        for number, array, W in ((0, "kernel", W_in), (1, "recurrent_kernel", W_hid)):
            rule(array, number, W, lambda a, part=part, sign=sign: sign * a[part],
                 [(W.shape[0], whole)])
        shapes = [(2, whole) if two else (whole,)]
        if b_hid is None:
            rule("bias", 2, b, lambda a, part=part, sign=sign:
                 sign * np.atleast_2d(a[part]).sum(0), shapes, optional=True)
        else:
            for row, one in enumerate((b, b_hid)):
                rule("bias", 2, one, lambda a, part=part, row=row: a[part][row],
                     shapes, optional=True)
    return found + _states(layer)


def torch_recurrent(where, name, layer):
    """Rules for one layer in one direction: ``weight_ih_l0`` (G H, D) and so on."""
    if layer.backwards:
        raise unknown(where, layer, " backwards")
    if isinstance(layer, layers.GRULayer) and not layer.reset_after:
        raise unknown(where, layer, " with reset_after=False")
    found = []
    gates = _gates(where, layer, ("resetgate", "updategate", "hidden_update"))
    whole = len(gates) * layer.num_units
    biases = [(f"{name}.bias_ih_l0",), (f"{name}.bias_hh_l0",)]
    for place, (sign, W_in, W_hid, b, b_hid) in enumerate(gates):
        part = slice(place * layer.num_units, (place + 1) * layer.num_units)
        for array, W in (("weight_ih_l0", W_in), ("weight_hh_l0", W_hid)):
            found.append(Rule([(f"{name}.{array}",)], W,
                              change=lambda a, part=part, sign=sign: sign * a[part].T,
                              given=[(whole, W.shape[0])]))
        for names, param in ([(biases, b)] if b_hid is None
                             else [(biases[:1], b), (biases[1:], b_hid)]):
            found.append(Rule(names, param, given=[(whole,)], optional=True,
                              change=lambda a, part=part, sign=sign: sign * a[part]))
    return found + _states(layer)


def _gates(where, layer, gru_order):
    """(sign, W_in, W_hid, b, b_hid or None) of each gate, in another's order."""
    match layer:
        case layers.LSTMLayer():
            if layer.peepholes:
                raise unknown(where, layer, " with peepholes")
            names = LSTM_GATES
        case layers.GRULayer():
            f = layer.updategate.nonlinearity
            if f is not nonlinearities.sigmoid and not isinstance(
                    f, nonlinearities.HardSigmoid):
                raise unknown(where, layer, " whose updategate is no sigmoid")
            if layer.reset_after and layer.b_hid is None:
                raise unknown(where, layer, " without b_hid, the second bias")
            names = gru_order
        case _:
            return [(1, layer.W_in_to_hid, layer.W_hid_to_hid, layer.b, None)]
    return [(-1 if name == "updategate" else 1,
             *(getattr(layer, f"{part}_{name}")
               for part in ("W_in_to", "W_hid_to", "b")),
             getattr(layer, "b_hid", None) if name == "hidden_update" else None)
            for name in names]


def _states(layer):
    """They are zeros in both."""
    known = [getattr(layer, state, None) for state in ("hid_init", "cell_init")]
    return [Rule([], one) for one in layer.params if any(one is k for k in known)]
