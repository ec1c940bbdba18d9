"""PyTorch's arrays, layer by layer."""

from __future__ import annotations

from ... import layers
from ...layers.conv import BaseConvLayer
from ...layers.conv_transposed import _TransposedConvLayer
from .recurrent_rules import RECURRENT, torch_recurrent
from .rules import Rule, inv_std_of, turned, unknown

__all__ = ["torch_rules"]


def torch_rules(where, name, layer):
    """The rules for a layer of a name."""
    def rule(array, param, *args, **options):
        return Rule([(f"{name}.{array}",)], param, *args, **options)

    if isinstance(layer, RECURRENT):
        return torch_recurrent(where, name, layer)
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
    raise unknown(where, layer)
