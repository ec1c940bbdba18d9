"""Rectifiers whose slope below 0 is learnt, or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import init, nonlinearities
from .._types import Rng, Shape
from ..ops.activation import leaky_rectify_backward, leaky_rectify_forward
from ..ops.rectifiers import sloped_rectify_backward, sloped_rectify_forward
from .base import Layer
from .noise import NoiseLayer
from .options import number, shared
from .param import Spec
from .scaling import SharingLayer

__all__ = ["ParametricRectifierLayer", "prelu", "RandomizedRectifierLayer", "rrelu"]


class ParametricRectifierLayer(SharingLayer):
    """``x`` where positive, else ``alpha * x`` with learnt alpha.

    He et al. (2015), "Delving deep into rectifiers", arXiv:1502.01852.

    Parameters
    ----------
    incoming : Layer or tuple
    alpha : Param, array or initialiser, default Constant(0.25)
        Values of the input's shape without ``shared_axes``.
    shared_axes : 'auto', 'all', int or tuple of int, default 'auto'
        Axes along which alpha is the same; 'auto' is all but the second.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, alpha: Spec = init.Constant(0.25),
                 shared_axes: str | int | Sequence[int] = "auto", *,
                 name: str | None = None):
        super().__init__(incoming, shared_axes, name)
        self.alpha = self.add_shared(alpha, "alpha", regularizable=False)

    def forward(self, x):
        return sloped_rectify_forward(x, self.spread(self.alpha, x))

    def backward(self, dy, cache):
        dx, dslope = sloped_rectify_backward(dy, cache)
        return dx, {self.alpha: dslope.reshape(self.alpha.shape)}


class RandomizedRectifierLayer(NoiseLayer):
    """``x`` where positive, else ``x`` times a slope that is drawn while training.

    With ``deterministic=True`` the slope is the middle of its range. Xu et al. (2015),
    "Empirical evaluation of rectified activations in convolutional network",
    arXiv:1505.00853.

    Parameters
    ----------
    incoming : Layer or tuple
    lower, upper : float, default 0.3 and 0.8
        The range of the slope, each value as likely as another.
    shared_axes : 'auto', 'all', int or tuple of int, default 'auto'
        Axes along which the slope is the same; 'auto' is all but the second.
    rng : int, generator or None
        Seed of the slopes; None draws one from :func:`minifer.random.get_rng`.
    name : str, optional
    """

    distribution = "uniform"

    def __init__(self, incoming: Layer | Shape, lower: float = 0.3, upper: float = 0.8,
                 shared_axes: str | int | Sequence[int] = "auto", *,
                 rng: Rng | None = None, name: str | None = None):
        super().__init__(incoming, rng, name)
        self.lower = number(self, "lower", lower)
        self.upper = number(self, "upper", upper)
        if self.lower > self.upper:
            self.fail("lower <= upper", f"lower={lower!r}, upper={upper!r}")
        self.shared_axes = shared(self, shared_axes)

    @property
    def is_quiet(self):
        return self.lower == self.upper

    def with_noise(self, x, noise):
        slope = noise * (self.upper - self.lower) + self.lower
        y, cache = sloped_rectify_forward(x, slope)
        return y, (True, cache)

    def without_noise(self, x):
        y, cache = leaky_rectify_forward(x, (self.lower + self.upper) / 2)
        return y, (False, cache)

    def noise_backward(self, dy, cache):
        drawn, cache = cache
        if drawn:
            return sloped_rectify_backward(dy, cache, need_dslope=False)[0]
        return leaky_rectify_backward(dy, cache)


def prelu(layer: Any, **kwargs: Any) -> Layer:
    """Put a :class:`ParametricRectifierLayer` in the place of a layer's nonlinearity.

    Parameters
    ----------
    layer : Layer
        Changed in place: it becomes linear.
    **kwargs
        For :class:`ParametricRectifierLayer`.
    """
    _make_linear(layer)
    return ParametricRectifierLayer(layer, **kwargs)


def rrelu(layer: Any, **kwargs: Any) -> Layer:
    """Put a :class:`RandomizedRectifierLayer` in the place of a layer's nonlinearity.

    Parameters
    ----------
    layer : Layer
        Changed in place: it becomes linear.
    **kwargs
        For :class:`RandomizedRectifierLayer`.
    """
    _make_linear(layer)
    return RandomizedRectifierLayer(layer, **kwargs)


def _make_linear(layer):
    if getattr(layer, "nonlinearity", None) is not None:
        layer.nonlinearity = nonlinearities.identity
