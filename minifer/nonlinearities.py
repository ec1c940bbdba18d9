"""Nonlinearities that layers apply to their outputs.

Each is an object with ``forward(x) -> (y, cache)`` and ``backward(dy, cache)
-> dx``; calling it gives the output alone, of an expression an expression. The
mathematics is in :mod:`minifer.ops.activation`.

>>> import numpy as np
>>> from minifer.nonlinearities import rectify, softmax
>>> rectify(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 2.])
>>> softmax(np.array([[0.0, 0.0]]))
array([[0.5, 0.5]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._types import Array
from .errors import SettingError
from .expressions import Apply, Expression, Variable, all_below, evaluate, pull_back
from .ops import activation, gated

__all__ = ["Nonlinearity", "identity", "linear", "rectify", "LeakyRectify",
           "leaky_rectify", "very_leaky_rectify", "elu", "SELU", "selu", "tanh",
           "ScaledTanH", "ScaledTanh", "Softmax", "LogSoftmax", "sigmoid", "softplus",
           "softmax", "ClippedRectify", "relu6", "HardSigmoid", "hard_sigmoid",
           "softsign", "swish", "hard_swish", "gelu", "gelu_tanh", "mish",
           "as_nonlinearity"]


class Nonlinearity:
    """A pair of ops under one name.

    Parameters
    ----------
    name : str
        Its op is ``<name>_forward`` / ``_backward`` of :mod:`minifer.ops.activation` or
        :mod:`minifer.ops.gated`.
    **options : numbers
        Passed to the forward op.
    """

    def __init__(self, name: str, **options: float):
        self.name = name
        self.options = options
        ops = gated if hasattr(gated, name + "_forward") else activation
        self._forward = getattr(ops, name + "_forward")
        self._backward = getattr(ops, name + "_backward")

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Return ``y, cache``."""
        return self._forward(x, **self.options)

    def backward(self, dy: Array, cache: Any) -> Array:
        """Return ``dx``."""
        return self._backward(dy, cache)

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Expression):
            return Apply(self._forward, self._backward, x, ndim=x.ndim,
                         constants=tuple(self.options.values()))
        return self.forward(x)[0]

    def __repr__(self):
        options = ", ".join(f"{k}={v:g}" for k, v in self.options.items())
        return f"{self.name}({options})" if options else self.name


class Identity(Nonlinearity):
    """``y = x``."""

    def __init__(self):
        self.name, self.options = "identity", {}

    def __call__(self, x):
        return x

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


class ClippedRectify(Nonlinearity):
    """``min(max(0, x), ceiling)``; relu6 is that with 6 (Howard et al. 2017)."""

    def __init__(self, ceiling: float = 6.0):
        super().__init__("clipped_rectify", ceiling=ceiling)


class HardSigmoid(Nonlinearity):
    """``slope * x + shift`` within [0, 1].

    Slope and shift are 1/6 and 1/2 in PyTorch and Keras 3, 1/5 and 1/2 in Keras 2,
    Theano and ONNX.
    """

    def __init__(self, slope: float = 1 / 6, shift: float = 0.5):
        super().__init__("hard_sigmoid", slope=slope, shift=shift)


#: Lasagne's other spelling.
ScaledTanh = ScaledTanH


class Softmax(Nonlinearity):
    """Probabilities that sum to 1 along any axis; :data:`softmax` is that of rows."""

    def __init__(self, axis: int = 1):
        super().__init__("softmax_along", axis=axis)


class LogSoftmax(Nonlinearity):
    """The logarithm of :class:`Softmax`."""

    def __init__(self, axis: int = 1):
        super().__init__("log_softmax", axis=axis)


class OfExpression(Nonlinearity):
    """A function of expressions, such as ``minifer.tensor.nnet.relu``.

    Parameters
    ----------
    function : callable
        It makes another expression, of the same shape, of one, its input.
    """

    def __init__(self, function: Callable[[Expression], Expression]):
        self.name, self.options = getattr(function, "__name__", "function"), {}
        self.function, self.x = function, Variable("x")
        self.y = function(self.x)
        if not isinstance(self.y, Expression) or any(
                one.params or isinstance(one, Variable) and one is not self.x
                for one in all_below([self.y])):
            raise SettingError(
                f"nonlinearity: expected a function that makes an expression of its "
                f"input alone, got {self.name}, which gives {self.y!r}.")

    def __call__(self, x):
        return self.function(x) if isinstance(x, Expression) else self.forward(x)[0]

    def forward(self, x):
        done = evaluate([self.y], {self.x: x})
        return done[self.y][0], done

    def backward(self, dy, cache):
        return pull_back({self.y: dy}, cache, wrt=[self.x]).get(
            self.x, np.zeros_like(cache[self.x][0]))


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
relu6 = ClippedRectify(6.0)
hard_sigmoid = HardSigmoid()
softsign = Nonlinearity("softsign")
swish = Nonlinearity("swish")
hard_swish = Nonlinearity("hard_swish")
gelu = Nonlinearity("gelu")
gelu_tanh = Nonlinearity("gelu_tanh")
mish = Nonlinearity("mish")


def as_nonlinearity(f: Any) -> Nonlinearity:
    """``f`` if it is a nonlinearity, :data:`identity` if it is None.

    A function of expressions, such as ``minifer.tensor.tanh``, becomes one.

    Raises
    ------
    SettingError
        If it has no ``forward`` and ``backward`` and makes no expression: without a
        backward nothing below it could learn.
    """
    if f is None:
        return identity
    if hasattr(f, "forward") and hasattr(f, "backward"):
        return f
    made = None
    if callable(f):
        try:
            made = f(Variable("x"))
        except Exception:  # a function of arrays alone; what it raises is its own
            made = None
    if not isinstance(made, Expression):
        raise SettingError(
            f"nonlinearity: expected an object with forward and backward, got "
            f"{f!r}. Use one of minifer.nonlinearities, write a class with both, or a "
            "function of expressions (minifer.tensor).")
    return OfExpression(f)
