"""Normalisation: of batches, by what training has found, and of each image."""

from __future__ import annotations

import numpy as np

from ....layers import (BatchNormLayer, LocalResponseNormalization2DLayer,
                        StandardizationLayer)

__all__ = ["LAYERS"]


def batch_norm(graph, layer, x):
    """In its form for prediction: by the running averages."""
    inv_std = layer.inv_std.get_value().astype(np.float64)
    variance, epsilon = 1 / inv_std**2 - layer.epsilon, layer.epsilon
    if variance.min(initial=0) < 0:
        variance, epsilon = 1 / inv_std**2, 0.0
    gamma = np.ones_like(inv_std) if layer.gamma is None else layer.gamma
    beta = np.zeros_like(inv_std) if layer.beta is None else layer.beta
    ndim = len(layer.input_shape)

    def given(value, wish):
        if value is layer.gamma or value is layer.beta or value is layer.mean:
            return graph.param(value)
        return graph.constant(value, f"{layer.name}.{wish}" if layer.name else wish)

    names = [given(gamma, "gamma"), given(beta, "beta"), given(layer.mean, "mean"),
             given(variance, "variance")]
    if ndim >= 2 and layer.axes == (0, *range(2, ndim)):
        return graph.add("BatchNormalization", x, *names, epsilon=epsilon,
                         wish=layer.name)

    def spread(param, wish, make=lambda value: value):
        return graph.param(param, lambda value: np.expand_dims(make(value), layer.axes),
                           f".{wish}")

    y = graph.add("Mul", graph.add("Sub", x, spread(layer.mean, "spread")),
                  spread(layer.inv_std, "spread"))
    if layer.gamma is not None:
        y = graph.add("Mul", y, spread(layer.gamma, "spread"))
    if layer.beta is not None:
        y = graph.add("Add", y, spread(layer.beta, "spread"))
    return y


def standardized(graph, layer, x):
    """Mean 0 and variance 1 over some axes of each input."""
    shape, axes = layer.input_shape, layer.axes
    last = tuple(range(axes[0], len(shape)))
    if axes == last and None not in shape[axes[0]:] and axes[0] > 0:
        ones = np.ones(shape[axes[0]:], np.float32)
        return graph.add("LayerNormalization", x, graph.constant(ones),
                         axis=axes[0], epsilon=layer.epsilon, wish=layer.name)
    centred = graph.add("Sub", x, graph.mean(x, axes, keepdims=True))
    variance = graph.mean(graph.add("Mul", centred, centred), axes, keepdims=True)
    spread = graph.add("Sqrt", graph.add("Add", variance, layer.epsilon))
    return graph.add("Div", centred, spread, wish=layer.name)


def response(graph, layer, x):
    """By what the channels around amount to; ONNX's alpha is of their mean.

    A bias that is no whole number is taken out, as OpenVINO (2026.4.1) would cut it:
    :math:`(k + s)^\\beta = k^\\beta (1 + s / k)^\\beta`.
    """
    settings = {"beta": layer.beta, "size": layer.n}
    alpha, bias = layer.alpha * layer.n, float(layer.k)
    if bias.is_integer() or bias < 0:
        return graph.add("LRN", x, alpha=alpha, bias=bias, wish=layer.name, **settings)
    x = graph.add("LRN", x, alpha=alpha / bias, bias=1., **settings)
    return graph.add("Mul", x, bias ** -layer.beta, wish=layer.name)


LAYERS = {BatchNormLayer: batch_norm, StandardizationLayer: standardized,
          LocalResponseNormalization2DLayer: response}
