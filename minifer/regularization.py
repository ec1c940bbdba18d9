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
from .device.arrays import on_gpu
from .expressions import Expression
from .layers.base import Layer
from .layers.helper import get_all_params
from .layers.param import Param

__all__ = ["l1", "l2", "apply_penalty", "regularize_layer_params",
           "regularize_layer_params_weighted", "regularize_network_params"]


def l1(x: Array) -> Any:
    """``sum |x|``. The slope at 0 is taken as 0."""
    return np.abs(x).sum()


def l2(x: Array) -> Any:
    """``sum x²``, without a factor ½."""
    return (x * x).sum()


# A penalty of your own needs its gradient here: ``l3.gradient = …``.
l1.gradient = np.sign  # type: ignore[attr-defined]
l2.gradient = lambda x: 2 * x  # type: ignore[attr-defined]


class Penalty(Expression):
    """The weighted sum of a penalty over parameters, with its gradient."""

    def __init__(self, params, penalty, coefficients=None):
        self.params, self.penalty = params, penalty
        self.coefficients = coefficients or [1.0] * len(params)

    def forward(self):
        pairs = zip(self.coefficients, self.params)
        return sum(c * _number(self.penalty(p.value)) for c, p in pairs), ()

    def backward(self, dvalue, cache):
        scale, found = _number(dvalue), {}
        for c, p in zip(self.coefficients, self.params):
            gradient = self.penalty.gradient(p.value) * (c * scale)
            found[p] = found[p] + gradient if p in found else gradient
        return (), found


def _number(value):
    """A float; what is on a device stays there: fetching it would make the CPU wait."""
    return value if on_gpu(value) else float(value)


def apply_penalty(params: Param | Sequence[Param],
                  penalty: Callable[..., Any]) -> Penalty:
    """Sum of ``penalty`` over a list of parameters.

    Parameters
    ----------
    params : Param or list of Param
    penalty : function
        :func:`l1`, :func:`l2`, or one of your own with a ``gradient``.

    Returns
    -------
    Penalty
        An expression.
    """
    return Penalty(params if isinstance(params, (list, tuple)) else [params], penalty)


def regularize_layer_params(layer: Layer | Sequence[Layer], penalty: Callable[..., Any],
                            tags: dict[str, bool] | None = None) -> Penalty:
    """Penalty over the parameters of a layer, or of a list of layers.

    Parameters
    ----------
    layer : Layer or list of Layer
    penalty : function
    tags : dict, default {'regularizable': True}
        Weights and gamma; not biases, beta and running statistics.
    """
    layers: Any = layer if isinstance(layer, (list, tuple)) else [layer]
    tags = {"regularizable": True} if tags is None else tags
    return Penalty([p for one in layers for p in one.get_params(**tags)], penalty)


def regularize_layer_params_weighted(layers: dict[Any, float],
                                     penalty: Callable[..., Any],
                                     tags: dict[str, bool] | None = None) -> Penalty:
    """As :func:`regularize_layer_params`, for a dict of layer(s) -> coefficient."""
    tags = {"regularizable": True} if tags is None else tags
    params, coefficients = [], []
    for layer, coefficient in layers.items():
        for one in layer if isinstance(layer, (list, tuple)) else [layer]:
            found = one.get_params(**tags)
            params += found
            coefficients += [coefficient] * len(found)
    return Penalty(params, penalty, coefficients)


def regularize_network_params(layer: Layer, penalty: Callable[..., Any],
                              tags: dict[str, bool] | None = None) -> Penalty:
    """Penalty over the parameters of a whole network.

    Parameters
    ----------
    layer : Layer
        The output layer.
    penalty : function
    tags : dict, default {'regularizable': True}
    """
    tags = {"regularizable": True} if tags is None else tags
    return Penalty(get_all_params(layer, **tags), penalty)
