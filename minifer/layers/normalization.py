"""Batch normalisation."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import init, nonlinearities
from .._types import Shape
from ..ops.norm import (batch_norm_backward, batch_norm_fixed_backward,
                        batch_norm_fixed_forward, batch_norm_forward)
from .base import Layer
from .options import axes as axes_of
from .param import Spec
from .special import NonlinearityLayer

__all__ = ["BatchNormLayer", "FrozenBatchNormLayer", "batch_norm", "strip",
           "with_nonlinearity"]


class BatchNormLayer(Layer):
    r"""Normalise each channel to mean 0 and variance 1, then scale and shift.

    .. math:: y = (x - \mu)\,\frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} + \beta

    Training uses the statistics of the batch and keeps running averages;
    ``deterministic=True`` uses the averages and changes nothing.

    Parameters
    ----------
    incoming : Layer or tuple
    axes : 'auto', int or tuple of int, default 'auto'
        Axes to normalise over; 'auto' is all but the second.
    epsilon : float > 0, default 1e-4
    alpha : float in [0, 1], default 0.1
        Share of the batch in the running averages of μ and σ² + ε:
        s ← (1 - α) s + α batch. A batch of one value a channel is left out.
    beta, gamma : Param, array, initialiser or None
        Shift (default 0) and scale (default 1); None leaves them out.
    mean, inv_std : Param, array or initialiser
        Running average of μ, and 1/√ of that of σ² + ε (default 0 and 1).
    name : str, optional
    """

    frozen = False
    #: The :class:`minifer.ranks.Part` of a batch that ranks share, if they do.
    part: Any = None
    alpha: float

    def __init__(self, incoming: Layer | Shape,
                 axes: str | int | Sequence[int] = "auto", epsilon: float = 1e-4,
                 alpha: float = 0.1, beta: Spec | None = init.Constant(0),
                 gamma: Spec | None = init.Constant(1), mean: Spec = init.Constant(0),
                 inv_std: Spec = init.Constant(1), *, name: str | None = None):
        super().__init__(incoming, name)
        if isinstance(axes, str) and axes == "auto":
            axes = (0, *range(2, len(self.input_shape)))
        self.axes = axes_of(self, "axes", axes)
        if not (isinstance(epsilon, numbers.Real) and epsilon > 0
                and isinstance(alpha, numbers.Real) and 0 <= alpha <= 1):
            self.fail("epsilon > 0 and alpha in [0, 1]",
                      f"epsilon={epsilon!r}, alpha={alpha!r}")
        self.epsilon, self.alpha = float(epsilon), float(alpha)

        shape = tuple(n for axis, n in enumerate(self.input_shape)
                      if axis not in self.axes)
        if None in shape:
            self.fail("known lengths of all axes that are not normalised over",
                      f"input_shape={self.input_shape}, axes={self.axes}")
        self.beta = None if beta is None else self.add_param(
            beta, shape, "beta", regularizable=False)
        self.gamma = None if gamma is None else self.add_param(gamma, shape, "gamma")
        if self.gamma is not None and self.gamma is self.beta:
            self.fail("a gamma and a beta", "one parameter as both",
                      "Make two of the same values.")
        statistic = dict(trainable=False, regularizable=False, batch_norm_stat=True)
        self.mean = self.add_param(mean, shape, "mean", **statistic)
        self.inv_std = self.add_param(inv_std, shape, "inv_std", **statistic)

    def get_output_shape_for(self, input_shape):
        mine = self.input_shape
        if len(input_shape) != len(mine) or any(
                None not in (a, b) and a != b for axis, (a, b)
                in enumerate(zip(input_shape, mine)) if axis not in self.axes):
            self.fail(f"an input of shape {mine}", str(tuple(input_shape)))
        return tuple(input_shape)

    def forward(self, x, deterministic=False, batch_norm_use_averages=None,
                batch_norm_update_averages=None):
        use_averages = (deterministic if batch_norm_use_averages is None
                        else batch_norm_use_averages)
        update_averages = (not deterministic if batch_norm_update_averages is None
                           else batch_norm_update_averages)
        if self.frozen:
            use_averages, update_averages = True, False
        gamma = None if self.gamma is None else self.gamma.value
        beta = None if self.beta is None else self.beta.value
        if not use_averages or update_averages:
            y, mean, inv_std, cache = batch_norm_forward(
                x, gamma, beta, self.axes, self.epsilon, self.part)
        if use_averages:
            y, cache = batch_norm_fixed_forward(
                x, gamma, beta, self.mean.value, self.inv_std.value, self.axes)
        if update_averages and self.counts(x.size // mean.size):
            self.update_averages(mean, inv_std)
        return y, (use_averages, cache)

    def counts(self, values):
        """Whether so many values a channel tell how much values differ: one does not.
        """
        shared = self.part is not None and 0 in self.axes
        return (self.part.whole(values) if shared else values) > 1

    def update_averages(self, mean, inv_std):
        """Move the running averages by a batch's μ and 1/√(σ² + ε)."""
        self.mean.value *= 1 - self.alpha
        self.mean.value += self.alpha * mean
        # σ² + ε is averaged, not its root's inverse: that of a channel which hardly
        # varies in one small batch is huge, and would be all that is remembered.
        known = self.inv_std.value > 0
        kept = np.where(known, self.inv_std.value, inv_std)
        self.inv_std.value[...] = 1 / np.sqrt((1 - self.alpha) / (kept * kept)
                                              + self.alpha / (inv_std * inv_std))

    def backward(self, dy, cache):
        use_averages, cache = cache
        backward = batch_norm_fixed_backward if use_averages else batch_norm_backward
        dx, dgamma, dbeta = backward(dy, cache)
        gradients = {self.gamma: dgamma, self.beta: dbeta}
        return dx, {p: g for p, g in gradients.items() if p is not None}


class FrozenBatchNormLayer(BatchNormLayer):
    """Batch norm that uses and keeps its running averages, in training too.

    What :func:`minifer.layers.freeze` turns a :class:`BatchNormLayer` into. None
    of its parameters is trainable, and no option of the pass moves its averages.
    It is a class of its own, so that model files and plans know it by its name.
    """

    frozen = True

    def add_param(self, spec, shape, name, **tags):
        return super().add_param(spec, shape, name, **{**tags, "trainable": False})


def batch_norm(layer: Any, **kwargs: Any) -> Layer:
    """Put batch normalisation between a layer and its nonlinearity.

    The layer loses its bias (beta replaces it) and its nonlinearity, which
    moves into a NonlinearityLayer behind the new BatchNormLayer.

    Parameters
    ----------
    layer : Layer
        Changed in place.
    **kwargs
        For :class:`BatchNormLayer`.

    Returns
    -------
    Layer
        The new top.
    """
    nonlinearity = strip(layer)
    bn_name = kwargs.pop("name", None) or (layer.name and layer.name + "_bn")
    top = BatchNormLayer(layer, name=bn_name, **kwargs)
    return with_nonlinearity(top, nonlinearity, bn_name)


def strip(layer):
    """Take a layer's nonlinearity, which is returned, and its bias."""
    nonlinearity = getattr(layer, "nonlinearity", None)
    if nonlinearity is not None:
        layer.nonlinearity = nonlinearities.identity
    if getattr(layer, "b", None) is not None:
        del layer.params[layer.b]
        layer.b = None
    return nonlinearity


def with_nonlinearity(top, nonlinearity, name):
    """The nonlinearity of :func:`strip` on top, if it does anything."""
    if nonlinearity in (None, nonlinearities.identity):
        return top
    return NonlinearityLayer(top, nonlinearity, name=name and name + "_nonlin")
