"""PyTorch's arrays, layer by layer."""

from __future__ import annotations

from ... import layers
from ...layers.conv import BaseConvLayer
from ...layers.conv_transposed import _TransposedConvLayer
from .rules import Rule, inv_std_of, turned, unknown

__all__ = ["torch_rules"]

#: Gates of an LSTM in PyTorch's order, and in Keras's.
LSTM_GATES = ("ingate", "forgetgate", "cell", "outgate")


def torch_rules(where, name, layer):
    """The rules for a layer of a name."""
    def rule(array, param, *args, **options):
        return Rule([(f"{name}.{array}",)], param, *args, **options)

    match layer:
        case layers.LocallyConnected2DLayer():
            raise unknown(where, layer)
        case _TransposedConvLayer():
            return [rule("weight", layer.W, change=turned(not layer.flip_filters)),
                    rule("bias", layer.b)]
        case BaseConvLayer():
            n = layer.n
            axes = (1, 0, *range(2, n + 2)) if (
                isinstance(layer, layers.DilatedConv2DLayer)) else None
            return [rule("weight", layer.W, axes, turned(layer.flip_filters)),
                    rule("bias", layer.b)]
        case layers.DenseLayer():
            return [rule("weight", layer.W, (1, 0)), rule("bias", layer.b)]
        case layers.BatchNormLayer():
            return [rule("weight", layer.gamma), rule("bias", layer.beta),
                    rule("running_mean", layer.mean),
                    rule("running_var", layer.inv_std, change=inv_std_of(layer))]
        case layers.ParametricRectifierLayer() if len(layer.alpha.shape) < 2:
            return [rule("weight", layer.alpha, given=[layer.alpha.shape or (1,)])]
        case layers.EmbeddingLayer():
            return [rule("weight", layer.W)]
        case layers.LSTMLayer():
            return _lstm(where, name, layer)
    raise unknown(where, layer)


def _lstm(where, name, layer):
    """One layer, one direction: ``weight_ih_l0`` (4H, D) and so on, two biases."""
    if layer.peepholes or layer.backwards:
        raise unknown(where, layer, " with peepholes or backwards")
    H, rules = layer.num_units, []
    for place, gate in enumerate(LSTM_GATES):
        part = slice(place * H, (place + 1) * H)
        for array, param in (("weight_ih_l0", getattr(layer, f"W_in_to_{gate}")),
                             ("weight_hh_l0", getattr(layer, f"W_hid_to_{gate}"))):
            rules.append(Rule([(f"{name}.{array}",)], param,
                              change=lambda a, part=part: a[part].T,
                              given=[(4 * H, param.shape[0])]))
        rules.append(Rule([(f"{name}.bias_ih_l0",), (f"{name}.bias_hh_l0",)],
                          getattr(layer, f"b_{gate}"),
                          change=lambda a, part=part: a[part], given=[(4 * H,)]))
    states = [one for one in layer.params if one in (layer.hid_init, layer.cell_init)]
    return rules + [Rule([], state) for state in states]
