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
a filter's area, or 1 for a dense layer. With ``c01b`` they are laid out as cuda-convnet
had them, (n1, height, width, n2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._types import Rng
from .errors import SettingError, ShapeError
from .random import as_rng

__all__ = ["Initializer", "Constant", "Normal", "Uniform", "Glorot",
           "GlorotNormal", "GlorotUniform", "He", "HeNormal", "HeUniform",
           "FanInUniform", "FanOutNormal", "TruncatedNormal", "Orthogonal", "Sparse"]


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

    def __init__(self, std: float = 0.01, mean: float = 0.0, *,
                 rng: Rng | None = None):
        self.std, self.mean, self.rng = std, mean, rng

    def sample(self, shape):
        return as_rng(self.rng).normal(self.mean, self.std, size=shape)


class Uniform(Initializer):
    """Uniform in ``(-range, range)``, or in ``range`` if it is a pair.

    With ``std`` the interval is chosen for that standard deviation around
    ``mean``: mean ± √3·std.
    """

    def __init__(self, range: float | tuple[float, float] = 0.01,
                 std: float | None = None, mean: float = 0.0, *,
                 rng: Rng | None = None):
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
                 c01b: bool = False, *, rng: Rng | None = None):
        self.initializer, self.c01b = initializer, c01b
        self.gain = np.sqrt(2) if gain == "relu" else gain
        self.rng = rng

    def sample(self, shape):
        if len(shape) < 2:
            raise ShapeError(
                f"{type(self).__name__}: expected a shape with at least 2 axes, "
                f"got {shape}. Use Constant or Normal for vectors.")
        usual = shape
        if self.c01b:
            if len(shape) != 4:
                raise ShapeError(f"{type(self).__name__}: expected 4 axes for c01b, "
                                 f"(n1, height, width, n2), got {shape}.")
            usual = self.usual(shape)
        std = self.gain * np.sqrt(self.variance(usual))
        return self.initializer(std=std, rng=self.rng).sample(shape)

    def usual(self, shape):
        """A shape of cuda-convnet's in the usual order."""
        return (shape[0], shape[3], shape[1], shape[2])

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

    def __init__(self, gain: float | str = 1.0, c01b: bool = False, *,
                 rng: Rng | None = None):
        super().__init__(Normal, gain, c01b, rng=rng)


class GlorotUniform(Glorot):
    """:class:`Glorot` with a uniform: limit ``gain · √(6 / ((n1 + n2) · r))``."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False, *,
                 rng: Rng | None = None):
        super().__init__(Uniform, gain, c01b, rng=rng)


class He(_FanIn):
    """Variance ``gain² / fan_in``; ``gain="relu"`` gives He's factor 2.

    fan_in is n1 of a dense weight (inputs, units), and n2·r of filters.

    References
    ----------
    He et al. (2015): Delving deep into rectifiers. arXiv:1502.01852.
    """

    def usual(self, shape):
        return (shape[3], *shape[:3])

    def variance(self, shape):
        return 1.0 / _fan_in(shape)


class HeNormal(He):
    """:class:`He` with a Gaussian."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False, *,
                 rng: Rng | None = None):
        super().__init__(Normal, gain, c01b, rng=rng)


class HeUniform(He):
    """:class:`He` with a uniform: limit ``gain · √(3 / fan_in)``."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False, *,
                 rng: Rng | None = None):
        super().__init__(Uniform, gain, c01b, rng=rng)


class FanInUniform(Initializer):
    r"""Uniform in ``±gain/√fan_in``: how PyTorch starts its layers, biases included.

    Its variance is a third of :class:`He`'s, a sixth of He's for ReLUs: the scores of
    a deep network start near 0, and its loss near ln K.

    Parameters
    ----------
    fan_in : int, optional
        How many inputs a unit sums up. Weights tell it by their shape: (inputs, units),
        or (filters, channels, height, width). A bias does not, so it is given there.
    gain : float, default 1
    rng : seed or Generator, optional

    Examples
    --------
    >>> from minifer import layers
    >>> l = layers.InputLayer((None, 100))
    >>> l = layers.DenseLayer(l, 8, W=FanInUniform(rng=1), b=FanInUniform(100, rng=2))
    >>> bool(abs(l.W.value).max() < 0.1), bool(abs(l.b.value).max() < 0.1)
    (True, True)

    References
    ----------
    LeCun, Bottou, Orr & Müller (1998): Efficient BackProp.
    """

    def __init__(self, fan_in: int | None = None, gain: float = 1.0,
                 rng: Rng | None = None):
        if fan_in is not None and not fan_in >= 1:
            raise SettingError(
                f"FanInUniform: expected fan_in of 1 or more, got {fan_in!r}.")
        self.fan_in, self.gain, self.rng = fan_in, gain, rng

    def sample(self, shape):
        if self.fan_in is None and len(shape) < 2:
            raise ShapeError(
                f"FanInUniform: expected a shape with at least 2 axes, got {shape}. "
                "A bias's does not tell its inputs: give fan_in.")
        limit = self.gain / np.sqrt(self.fan_in or _fan_in(shape))
        return as_rng(self.rng).uniform(-limit, limit, size=shape)


class FanOutNormal(Initializer):
    r"""Gaussian with standard deviation ``gain / √fan_out``: torchvision's ResNets.

    What keeps the size of gradients on their way back, as :class:`HeNormal` keeps that
    of values on their way forward.

    Parameters
    ----------
    gain : float, default √2
        That for ReLU.
    rng : seed or Generator, optional

    Examples
    --------
    >>> W = FanOutNormal(rng=1)((16, 4, 3, 3))
    >>> bool(abs(W.std() - (2 / (16 * 9)) ** .5) < 0.01)
    True

    References
    ----------
    He, Zhang, Ren & Sun (2015): Delving deep into rectifiers. arXiv:1502.01852.
    """

    def __init__(self, gain: float = 2 ** .5, rng: Rng | None = None):
        self.gain, self.rng = gain, rng

    def sample(self, shape):
        if len(shape) < 2:
            raise ShapeError(
                f"FanOutNormal: expected a shape with at least 2 axes, got {shape}.")
        fan_out = shape[1] if len(shape) == 2 else shape[0] * np.prod(shape[2:])
        return as_rng(self.rng).normal(0, self.gain / np.sqrt(fan_out), size=shape)


class TruncatedNormal(Initializer):
    """Gaussian, drawn again where it lies beyond two standard deviations.

    So draw Keras's initialisers that are called normal; theirs of a layer's fans
    divide the standard deviation wished for by 0.87962566, that of the unit Gaussian
    cut at ±2.

    Parameters
    ----------
    std : float, default 0.05
        Before it is cut.
    mean : float, default 0
    rng : seed or Generator, optional
    """

    def __init__(self, std: float = 0.05, mean: float = 0.0, rng: Rng | None = None):
        self.std, self.mean, self.rng = std, mean, rng

    def sample(self, shape):
        rng = as_rng(self.rng)
        drawn = rng.standard_normal(size=shape)
        while (beyond := np.abs(drawn) > 2).any():
            drawn[beyond] = rng.standard_normal(int(beyond.sum()))
        return self.mean + self.std * drawn


def _fan_in(shape):
    """Inputs of a unit: n1 of a dense weight (inputs, units), n2 · r of filters."""
    return shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))


class Orthogonal(Initializer):
    """Rows (or columns) at right angles, from the SVD of a Gaussian matrix.

    References
    ----------
    Saxe, McClelland & Ganguli (2013): Exact solutions to the nonlinear
    dynamics of learning in deep linear neural networks. arXiv:1312.6120.
    """

    def __init__(self, gain: float | str = 1.0, *, rng: Rng | None = None):
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


class Sparse(Initializer):
    """Zeros but for a share of each unit's weights, which are Gaussian.

    Parameters
    ----------
    sparsity : float in [0, 1]
        The share of inputs that a unit is connected with.
    std : float
        Standard deviation of their weights.

    References
    ----------
    Martens (2010): Deep learning via Hessian-free optimization. ICML.
    """

    def __init__(self, sparsity: float = 0.1, std: float = 0.01, *,
                 rng: Rng | None = None):
        self.sparsity, self.std, self.rng = sparsity, std, rng
        if not 0 <= sparsity <= 1:
            raise SettingError("Sparse: expected a sparsity in [0, 1], got "
                               f"{sparsity}.")

    def sample(self, shape):
        if len(shape) != 2:
            raise ShapeError(f"Sparse: expected the shape of a matrix (inputs, units), "
                             f"got {shape}.")
        rng, (inputs, units) = as_rng(self.rng), shape
        W, connected = np.zeros(shape), int(self.sparsity * inputs)
        for unit in range(units):
            order = np.arange(inputs)
            rng.shuffle(order)
            W[order[:connected], unit] = rng.normal(0.0, self.std, size=connected)
        return W
