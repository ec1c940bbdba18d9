"""Nonlinearities that layers apply to their outputs.

Each is an object with ``forward(x) -> (y, cache)`` and ``backward(dy, cache)
-> dx``; calling it gives the output alone. The mathematics is in
:mod:`minifer.ops.activation`.

>>> import numpy as np
>>> from minifer.nonlinearities import rectify, softmax
>>> rectify(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 2.])
>>> softmax(np.array([[0.0, 0.0]]))
array([[0.5, 0.5]])
"""

from __future__ import annotations

from typing import Any

from ._types import Array
from .errors import SettingError
from .ops import activation

__all__ = ["Nonlinearity", "identity", "linear", "rectify", "LeakyRectify",
           "leaky_rectify", "very_leaky_rectify", "elu", "SELU", "selu", "tanh",
           "ScaledTanH", "sigmoid", "softplus", "softmax", "as_nonlinearity"]


class Nonlinearity:
    """A pair of ops under one name.

    Parameters
    ----------
    name : str
        Its op is ``minifer.ops.activation.<name>_forward`` / ``_backward``.
    **options : numbers
        Passed to the forward op.
    """

    def __init__(self, name: str, **options: float):
        self.name = name
        self.options = options
        self._forward = getattr(activation, name + "_forward")
        self._backward = getattr(activation, name + "_backward")

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Return ``y, cache``."""
        return self._forward(x, **self.options)

    def backward(self, dy: Array, cache: Any) -> Array:
        """Return ``dx``."""
        return self._backward(dy, cache)

    def __call__(self, x: Array) -> Array:
        return self.forward(x)[0]

    def __repr__(self):
        options = ", ".join(f"{k}={v:g}" for k, v in self.options.items())
        return f"{self.name}({options})" if options else self.name


class Identity(Nonlinearity):
    """``y = x``."""

    def __init__(self):
        self.name, self.options = "identity", {}

    def forward(self, x):
        return x, ()

    def backward(self, dy, cache):
        return dy


class LeakyRectify(Nonlinearity):
    """``x`` where positive, else ``leakiness * x`` (Maas et al. 2013)."""

    def __init__(self, leakiness: float = 0.01):
        super().__init__("leaky_rectify", leakiness=leakiness)


class SELU(Nonlinearity):
    """``scale * x`` where positive, else ``scale * scale_neg * (exp(x) - 1)``.

    Klambauer et al. (2017), arXiv:1706.02515.
    """

    def __init__(self, scale: float = 1.0, scale_neg: float = 1.0):
        super().__init__("selu", scale=scale, scale_neg=scale_neg)


class ScaledTanH(Nonlinearity):
    """``scale_out * tanh(scale_in * x)`` (LeCun et al. 1998, "Efficient BackProp")."""

    def __init__(self, scale_in: float = 1.0, scale_out: float = 1.0):
        super().__init__("scaled_tanh", scale_in=scale_in, scale_out=scale_out)


identity = linear = Identity()
rectify = Nonlinearity("rectify")
leaky_rectify = LeakyRectify(0.01)
very_leaky_rectify = LeakyRectify(1 / 3)
elu = Nonlinearity("elu")
selu = SELU(scale=1.0507009873554804934193349852946,
            scale_neg=1.6732632423543772848170429916717)
tanh = Nonlinearity("tanh")
sigmoid = Nonlinearity("sigmoid")
softplus = Nonlinearity("softplus")
softmax = Nonlinearity("softmax")


def as_nonlinearity(f: Nonlinearity | None) -> Nonlinearity:
    """``f`` if it is a nonlinearity, :data:`identity` if it is None.

    Raises
    ------
    SettingError
        If it has no ``forward`` and ``backward``: without a backward nothing
        below it could learn.
    """
    if f is None:
        return identity
    if not (hasattr(f, "forward") and hasattr(f, "backward")):
        raise SettingError(
            f"nonlinearity: expected an object with forward and backward, got "
            f"{f!r}. Use one of minifer.nonlinearities, or write a class with both.")
    return f
