"""Numbers drawn again at each evaluation: ``theano.tensor.shared_randomstreams``.

>>> noise = RandomStreams(seed=1).normal((2, 3))
>>> first, second = noise.eval(), noise.eval()
>>> first.shape, bool((first == second).any())
((2, 3), False)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..expressions import Expression, as_expression
from ..expressions import functions as f
from ..ops.noise import noise
from ..random import Stream, draw_seed

__all__ = ["RandomStreams", "MRG_RandomStreams"]


class Draw(Expression):
    """Numbers of a stream; other ones at each evaluation, and no gradient.

    Parameters
    ----------
    stream : minifer.random.Stream
    distribution : {'uniform', 'normal'}
    size : tuple of int or Expression, or Expression
        The shape, or an expression of it.
    dtype : str
    """

    draws = True

    def __init__(self, stream, distribution, size, dtype):
        self.stream, self.distribution, self.dtype = stream, distribution, dtype
        if isinstance(size, f.Shape) and size.inputs[0].ndim is not None:
            size = tuple(size)
        self.whole = isinstance(size, Expression)
        if not isinstance(size, (tuple, list)):
            size = [size]
        self.inputs = tuple(map(as_expression, size))
        self.ndim = None if self.whole else len(self.inputs)

    def forward(self, *lengths):
        shape = tuple(int(n) for n in (lengths[0] if self.whole else lengths))
        like = np.empty(0, self.dtype)
        return noise(self.stream, self.distribution, shape, like), ()

    def backward(self, dvalue, cache):
        return (), {}

    def __repr__(self):
        return f"{self.distribution}({', '.join(map(repr, self.inputs))})"


class RandomStreams:
    """Makes expressions whose numbers are drawn again at each evaluation.

    The distributions are Theano's, the numbers are not: they come from streams of
    :mod:`minifer.random`, one for each expression.

    Parameters
    ----------
    seed : int or sequence of int, optional
        Default: drawn from :func:`minifer.random.get_rng`.
    """

    def __init__(self, seed: Any = None, *args: Any, **kwargs: Any):
        seeds = [draw_seed()] if seed is None else np.ravel(seed).tolist()
        self.seeds, self.count = [int(one) for one in seeds], 0

    def _draw(self, distribution, size, dtype):
        self.count += 1
        first, *others = self.seeds
        stream = Stream(first, *others, "expression", self.count)
        return Draw(stream, distribution, () if size is None else size,
                    f.as_dtype(dtype or "floatX"))

    def uniform(self, size: Any = None, low: Any = 0.0, high: Any = 1.0,
                ndim: int | None = None, dtype: Any = None, **kwargs: Any) -> Any:
        """Numbers between ``low`` and ``high``.

        Parameters
        ----------
        size : tuple of int or Expression, or Expression, optional
            The shape; by default one number.
        low, high : number or Expression
        ndim : int, optional
            Not needed here.
        dtype : str, optional
            Default: ``config.floatX``.
        """
        drawn = self._draw("uniform", size, dtype)
        return drawn if (low, high) == (0, 1) else drawn * (high - low) + low

    def normal(self, size: Any = None, avg: Any = 0.0, std: Any = 1.0,
               ndim: int | None = None, dtype: Any = None, **kwargs: Any) -> Any:
        """Normal numbers of mean ``avg`` and deviation ``std``; as :meth:`uniform`."""
        drawn = self._draw("normal", size, dtype)
        return drawn if (avg, std) == (0, 1) else drawn * std + avg

    def binomial(self, size: Any = None, n: int = 1, p: Any = 0.5,
                 ndim: int | None = None, dtype: Any = "int64", **kwargs: Any) -> Any:
        """How many of ``n`` draws hit, each with probability ``p``.

        Masks of dropout are of one draw. See :meth:`uniform`.
        """
        hits = [f.cast(self._draw("uniform", size, None) < p, dtype) for _ in range(n)]
        return sum(hits[1:], start=hits[0])


#: The same under the name in ``theano.sandbox.rng_mrg``.
MRG_RandomStreams = RandomStreams
