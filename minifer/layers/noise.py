"""Layers that disturb their input while training: dropout, and noise."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from .._types import Rng, Shape
from ..ops.dropout import (dropout_backward, dropout_drawn_forward, dropout_forward,
                           keep_mask)
from ..ops.noise import noise
from ..random import Stream, draw_seed
from .base import Layer
from .options import number

__all__ = ["DropoutLayer", "dropout", "dropout_channels", "spatial_dropout",
           "dropout_locations", "GaussianNoiseLayer"]


class DropoutLayer(Layer):
    """Set each unit to zero with probability ``p`` while training.

    With ``deterministic=True`` (prediction, validation) units pass unchanged.

    Parameters
    ----------
    incoming : Layer or tuple
    p : float in [0, 1), default 0.5
        Probability of dropping a unit.
    rescale : bool, default True
        Divide what stays by 1 - p, so that means are kept.
    shared_axes : tuple of int, default ()
        Axes along which units are dropped together: (2, 3) drops whole maps.
    rng : int, generator or None
        Seed of the masks; None draws one from :func:`minifer.random.get_rng`.
    name : str, optional

    Attributes
    ----------
    stream : minifer.random.Stream
        Where the masks come from. Its ``step`` grows by one each forward pass.
    """

    def __init__(self, incoming: Layer | Shape, p: float = 0.5, rescale: bool = True,
                 shared_axes: Sequence[int] = (), *, rng: Rng | None = None,
                 name: str | None = None):
        super().__init__(incoming, name)
        if not isinstance(p, numbers.Real) or not 0 <= p < 1:
            self.fail("p, the probability of dropping a unit, in [0, 1)", repr(p))
        self.p = float(p)
        self.rescale = bool(rescale)
        ndim = len(self.input_shape)
        if not isinstance(shared_axes, (tuple, list)) or any(
                not isinstance(axis, numbers.Integral) or not -ndim <= axis < ndim
                for axis in shared_axes):
            self.fail(f"shared_axes among the {ndim} axes", repr(shared_axes))
        self.shared_axes = tuple(axis % ndim for axis in shared_axes)
        self.stream = Stream(draw_seed(rng), "dropout")

    def forward(self, x, deterministic=False):
        if deterministic or self.p == 0:
            return x, None
        if not self.shared_axes and self.stream.part is None:
            return dropout_drawn_forward(x, self.stream, self.p, self.rescale)
        shape = tuple(1 if axis in self.shared_axes else n
                      for axis, n in enumerate(x.shape))
        start = 0 if 0 in self.shared_axes else None  # one mask for the whole batch
        mask = keep_mask(self.stream, shape, self.p, x, start)
        return dropout_forward(x, mask, self.p, self.rescale)

    def backward(self, dy, cache):
        return (dy if cache is None else dropout_backward(dy, cache)), {}


#: Lasagne's name in composed definitions: ``DenseLayer(dropout(net, p=.5), 10)``.
dropout = DropoutLayer


def dropout_channels(incoming: Any, *args: Any, **kwargs: Any) -> DropoutLayer:
    """Dropout of whole channels: of all that lies behind the second axis, together.

    Tompson et al. (2015), "Efficient object localization using convolutional networks",
    arXiv:1411.4280.

    Parameters
    ----------
    incoming : Layer or tuple
    *args, **kwargs
        For :class:`DropoutLayer`, without ``shared_axes``.
    """
    ndim = len(getattr(incoming, "output_shape", incoming))
    return DropoutLayer(incoming, *args, **{**kwargs,
                                           "shared_axes": tuple(range(2, ndim))})


spatial_dropout = dropout_channels


def dropout_locations(incoming: Any, *args: Any, **kwargs: Any) -> DropoutLayer:
    """Dropout of whole pixels: of all channels together.

    Parameters
    ----------
    incoming : Layer or tuple
    *args, **kwargs
        For :class:`DropoutLayer`, without ``shared_axes``.
    """
    return DropoutLayer(incoming, *args, **{**kwargs, "shared_axes": (1,)})


class NoiseLayer(Layer):
    """Base of layers that draw a number for each element while training.

    A subclass has ``with_noise(x, noise)`` and ``without_noise(x)``, which return y and
    a cache.

    Parameters
    ----------
    incoming : Layer or tuple
    rng : int, generator or None
    name : str, optional

    Attributes
    ----------
    stream : minifer.random.Stream
        Where the noise comes from. Its ``step`` grows by one each forward pass.
    distribution : {'normal', 'uniform'}
    shared_axes : tuple of int
        Axes along which one number serves for all.
    """

    distribution = "normal"
    shared_axes: tuple[int, ...] = ()

    def __init__(self, incoming: Layer | Shape, rng: Rng | None = None,
                 name: str | None = None):
        super().__init__(incoming, name)
        self.stream = Stream(draw_seed(rng), "noise")

    @property
    def is_quiet(self):
        """Whether there is nothing to draw."""
        return False

    def with_noise(self, x, noise):
        """The output while training."""
        raise NotImplementedError

    def without_noise(self, x):
        """The output in prediction."""
        raise NotImplementedError

    def noise_backward(self, dy, cache):
        """The gradient of x, from the cache of either."""
        return dy

    def noise_shape(self, shape):
        """The shape of the noise for an input of a shape."""
        return tuple(1 if axis in self.shared_axes else n
                     for axis, n in enumerate(shape))

    def forward(self, x, deterministic=False):
        if deterministic or self.is_quiet:
            return self.without_noise(x)
        start = 0 if 0 in self.shared_axes else None  # one draw for the whole batch
        return self.with_noise(x, noise(self.stream, self.distribution,
                                        self.noise_shape(x.shape), x, start))

    def backward(self, dy, cache):
        return self.noise_backward(dy, cache), {}


class GaussianNoiseLayer(NoiseLayer):
    """Add normal noise of mean 0 while training.

    With ``deterministic=True`` the input passes unchanged.

    Parameters
    ----------
    incoming : Layer or tuple
    sigma : float >= 0, default 0.1
        The noise's standard deviation.
    rng : int, generator or None
        Seed of the noise; None draws one from :func:`minifer.random.get_rng`.
    name : str, optional
    """

    def __init__(self, incoming: Layer | Shape, sigma: float = 0.1, *,
                 rng: Rng | None = None, name: str | None = None):
        super().__init__(incoming, rng, name)
        self.sigma = number(self, "sigma", sigma, least=0)

    @property
    def is_quiet(self):
        return self.sigma == 0

    def with_noise(self, x, noise):
        return x + noise * self.sigma, ()

    def without_noise(self, x):
        return x, ()
