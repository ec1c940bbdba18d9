"""Penalties on the parameters, to add to a loss.

>>> import minifer
>>> net = minifer.layers.DenseLayer(minifer.layers.InputLayer((None, 3)), 2,
...                                 W=minifer.init.Constant(0.5))
>>> penalty = regularize_network_params(net, l2)
>>> float(penalty)
1.5

A penalty is an expression: ``loss + 1e-4 * penalty`` is a loss too, and
``float(penalty)`` its value now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._types import Array
from .expressions import Expression, as_expression
from .layers.base import Layer
from .layers.helper import get_all_params
from .layers.param import Param

__all__ = ["l1", "l2", "apply_penalty", "regularize_layer_params",
           "regularize_layer_params_weighted", "regularize_network_params"]


def l1(x: Array | Expression) -> Any:
    """``sum |x|``. The slope at 0 is taken as 0."""
    return abs(x).sum()  # type: ignore[operator]


def l2(x: Array | Expression) -> Any:
    """``sum x²``, without a factor ½."""
    return (x * x).sum()  # type: ignore[operator]


# What arrays take in one step; a penalty of your own may be of expressions alone.
l1.gradient = np.sign  # type: ignore[attr-defined]
l2.gradient = lambda x: 2 * x  # type: ignore[attr-defined]


class Penalty(Expression):
    """The weighted sum of a penalty over parameters, with its gradient."""

    ndim = 0

    def __init__(self, params, penalty, coefficients=None):
        self.params, self.penalty = params, penalty
        self.coefficients = coefficients or [1.0] * len(params)

    def forward(self):
        pairs = zip(self.coefficients, self.params)
        total = sum(c * _number(self.penalty(p.value)) for c, p in pairs)
        kinds = [p.dtype.type for p in self.params[:1]]
        return kinds[0](total) if kinds and isinstance(total, float) else total, ()

    def backward(self, dvalue, cache):
        scale, found = _number(dvalue), {}
        for c, p in zip(self.coefficients, self.params):
            gradient = self.penalty.gradient(p.value) * (c * scale)
            found[p] = found[p] + gradient if p in found else gradient
        return (), found


def _number(value):
    """A float; what is on a device stays there: fetching it would make the CPU wait."""
    here = isinstance(value, (float, int, np.generic, np.ndarray))
    return float(value) if here else value


def apply_penalty(tensor_or_tensors: Any, penalty: Callable[..., Any],
                  **kwargs: Any) -> Expression:
    """Sum of ``penalty`` over parameters, or over any expressions.

    Parameters
    ----------
    tensor_or_tensors : Param, expression, or list of them
    penalty : function
        :func:`l1`, :func:`l2`, or one of your own: of an expression to a number, or,
        with a ``gradient`` beside it, of an array.
    **kwargs
        Passed to it.
    """
    several = isinstance(tensor_or_tensors, (list, tuple))
    tensors = list(tensor_or_tensors) if several else [tensor_or_tensors]
    return _weighted(tensors, [1.0] * len(tensors), penalty, kwargs)


def regularize_layer_params(layer: Layer | Sequence[Layer], penalty: Callable[..., Any],
                            tags: dict[str, bool] | None = {"regularizable": True},
                            **kwargs: Any) -> Expression:
    """Penalty over the parameters of a layer, or of a list of layers.

    Parameters
    ----------
    layer : Layer or list of Layer
    penalty : function
    tags : dict, default {'regularizable': True}
        Weights and gamma; not biases, beta and running statistics.
    **kwargs
        Passed to the penalty.
    """
    layers: Any = layer if isinstance(layer, (list, tuple)) else [layer]
    return apply_penalty(
        [p for one in layers for p in one.get_params(**_chosen(tags))], penalty,
        **kwargs)


def regularize_layer_params_weighted(layers: dict[Any, float],
                                     penalty: Callable[..., Any],
                                     tags: dict[str,
                                                bool] | None = {"regularizable": True},
                                     **kwargs: Any) -> Expression:
    """As :func:`regularize_layer_params`, for a dict of layer(s) -> coefficient."""
    params: list[Param] = []
    coefficients: list[float] = []
    for layer, coefficient in layers.items():
        for one in layer if isinstance(layer, (list, tuple)) else [layer]:
            found = one.get_params(**_chosen(tags))
            params += found
            coefficients += [coefficient] * len(found)
    return _weighted(params, coefficients, penalty, kwargs)


def regularize_network_params(layer: Layer, penalty: Callable[..., Any],
                              tags: dict[str, bool] | None = {"regularizable": True},
                              **kwargs: Any) -> Expression:
    """Penalty over the parameters of a whole network.

    Parameters
    ----------
    layer : Layer
        The output layer.
    penalty : function
    tags : dict, default {'regularizable': True}
    **kwargs
        Passed to the penalty.
    """
    return apply_penalty(get_all_params(layer, **_chosen(tags)), penalty, **kwargs)


def _chosen(tags):
    return {"regularizable": True} if tags is None else tags


def _weighted(tensors, coefficients, penalty, kwargs):
    """The sum of penalties: one step if they know their gradient, else of many."""
    plain = all(isinstance(one, Param) for one in tensors) and not any(
        isinstance(c, Expression) for c in coefficients)
    if plain and hasattr(penalty, "gradient") and not kwargs:
        return Penalty(tensors, penalty, coefficients)
    terms = [c * penalty(as_expression(one), **kwargs)
             for c, one in zip(coefficients, tensors)]
    return as_expression(sum(terms[1:], terms[0]) if terms else 0.0)
