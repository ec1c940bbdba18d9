r"""Initialisers: the values parameters start from.

Pass one to a layer: ``DenseLayer(..., W=init.GlorotUniform())``. Each is
called with a shape and draws from its ``rng`` (a seed or a NumPy generator),
or from :func:`minifer.random.get_rng`.

>>> from minifer.init import Constant, GlorotUniform
>>> Constant(0.5)((2, 3))
array([[0.5, 0.5, 0.5],
       [0.5, 0.5, 0.5]])
>>> bool(abs(GlorotUniform(rng=1)((40, 60))).max() < (6 / 100) ** 0.5)
True

For weights of shape (n1, n2, ...), r is the product of the remaining axes:
a filter's area, or 1 for a dense layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._types import Rng
from .errors import SettingError, ShapeError
from .random import as_rng

__all__ = ["Initializer", "Constant", "Normal", "Uniform", "Glorot",
           "GlorotNormal", "GlorotUniform", "He", "HeNormal", "HeUniform",
           "Orthogonal"]


class Initializer:
    """Base class: ``initializer(shape)`` calls :meth:`sample`."""

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return self.sample(shape)

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        """Return an array of ``shape`` (float64; layers cast it)."""
        raise NotImplementedError


class Constant(Initializer):
    """Every element is ``val`` (default 0)."""

    def __init__(self, val: float = 0.0):
        self.val = val

    def sample(self, shape):
        return np.full(shape, float(self.val))


class Normal(Initializer):
    """Gaussian with standard deviation ``std`` and mean ``mean``."""

    def __init__(self, std: float = 0.01, mean: float = 0.0, rng: Rng | None = None):
        self.std, self.mean, self.rng = std, mean, rng

    def sample(self, shape):
        return as_rng(self.rng).normal(self.mean, self.std, size=shape)


class Uniform(Initializer):
    """Uniform in ``(-range, range)``, or in ``range`` if it is a pair.

    With ``std`` the interval is chosen for that standard deviation around
    ``mean``: mean ± √3·std.
    """

    def __init__(self, range: float | tuple[float, float] = 0.01,
                 std: float | None = None, mean: float = 0.0, rng: Rng | None = None):
        if std is not None:
            half = np.sqrt(3) * std
            self.range = (mean - half, mean + half)
        else:
            self.range = range if isinstance(range, tuple) else (-range, range)
        self.rng = rng

    def sample(self, shape):
        return as_rng(self.rng).uniform(*self.range, size=shape)


class _FanIn(Initializer):
    """Base of Glorot and He: a distribution whose std is computed from the shape."""

    def __init__(self, initializer: type[Initializer], gain: float | str = 1.0,
                 rng: Rng | None = None):
        self.initializer = initializer
        self.gain = np.sqrt(2) if gain == "relu" else gain
        self.rng = rng

    def sample(self, shape):
        if len(shape) < 2:
            raise ShapeError(
                f"{type(self).__name__}: expected a shape with at least 2 axes, "
                f"got {shape}. Use Constant or Normal for vectors.")
        std = self.gain * np.sqrt(self.variance(shape))
        return self.initializer(std=std, rng=self.rng).sample(shape)

    def variance(self, shape):
        raise NotImplementedError


class Glorot(_FanIn):
    r"""Variance ``gain² · 2 / ((n1 + n2) · r)``.

    Keeps the variance of activations and of gradients alike from layer to
    layer. ``gain`` is 1 for linear, sigmoid and tanh; ``"relu"`` means √2.

    References
    ----------
    Glorot & Bengio (2010): Understanding the difficulty of training
    deep feedforward neural networks. AISTATS.
    """

    def variance(self, shape):
        return 2.0 / ((shape[0] + shape[1]) * np.prod(shape[2:]))


class GlorotNormal(Glorot):
    """:class:`Glorot` with a Gaussian."""

    def __init__(self, gain: float | str = 1.0, rng: Rng | None = None):
        super().__init__(Normal, gain, rng)


class GlorotUniform(Glorot):
    """:class:`Glorot` with a uniform: limit ``gain · √(6 / ((n1 + n2) · r))``."""

    def __init__(self, gain: float | str = 1.0, rng: Rng | None = None):
        super().__init__(Uniform, gain, rng)


class He(_FanIn):
    """Variance ``gain² / fan_in``; ``gain="relu"`` gives He's factor 2.

    fan_in is n1 of a dense weight (inputs, units), and n2·r of filters.

    References
    ----------
    He et al. (2015): Delving deep into rectifiers. arXiv:1502.01852.
    """

    def variance(self, shape):
        fan_in = shape[0] if len(shape) == 2 else np.prod(shape[1:])
        return 1.0 / fan_in


class HeNormal(He):
    """:class:`He` with a Gaussian."""

    def __init__(self, gain: float | str = 1.0, rng: Rng | None = None):
        super().__init__(Normal, gain, rng)


class HeUniform(He):
    """:class:`He` with a uniform: limit ``gain · √(3 / fan_in)``."""

    def __init__(self, gain: float | str = 1.0, rng: Rng | None = None):
        super().__init__(Uniform, gain, rng)


class Orthogonal(Initializer):
    """Rows (or columns) at right angles, from the SVD of a Gaussian matrix.

    References
    ----------
    Saxe, McClelland & Ganguli (2013): Exact solutions to the nonlinear
    dynamics of learning in deep linear neural networks. arXiv:1312.6120.
    """

    def __init__(self, gain: float | str = 1.0, rng: Rng | None = None):
        self.gain = np.sqrt(2) if gain == "relu" else gain
        self.rng = rng

    def sample(self, shape):
        if len(shape) < 2:
            raise SettingError(
                f"Orthogonal: expected a shape with at least 2 axes, got {shape}.")
        flat = (shape[0], int(np.prod(shape[1:])))
        u, _, v = np.linalg.svd(as_rng(self.rng).normal(0.0, 1.0, flat),
                                full_matrices=False)
        q = u if u.shape == flat else v
        return self.gain * q.reshape(shape)
