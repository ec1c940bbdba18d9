"""Randomness from one seed, through named streams.

Everything random in minifer is drawn from a :class:`Stream`, which knows its
seed and its name ("init", "shuffle", "dropout", …) and hands out numbers by
**step**: step 7 of a stream gives the same numbers whether or not steps 0 to 6
were drawn. A run that is resumed therefore only has to know where it stopped,
and another device can draw the very same masks.

The generator is Philox4x64-10, which computes its numbers from a counter
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

>>> stream = Stream(42, "dropout", 0)
>>> stream.keep_mask((2, 4), p=0.5).astype(int)
array([[1, 0, 0, 1],
       [0, 0, 0, 1]])
>>> stream.step
1
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ._types import Rng
from .errors import SettingError, check_seed

__all__ = ["Stream", "get_rng", "set_rng"]

_rng = None


class Stream:
    """Random numbers by seed, name and step.

    Parameters
    ----------
    seed : int >= 0
        The run's seed.
    *names : str or int
        Which stream: streams of other names are independent.

    Attributes
    ----------
    step : int
        The next step; :meth:`keep_mask` moves it on by one.
    part : minifer.ranks.Part or None
        The part of a batch for which masks are drawn here, if ranks share it.
    """

    part: Any = None

    def __init__(self, seed: int, *names: str | int):
        seed = check_seed(seed)
        words = [zlib.crc32(str(name).encode()) for name in names]
        self.key = np.random.SeedSequence([seed] + words).generate_state(2, np.uint64)
        self.step = 0

    def generator(self, step: int | None = None) -> np.random.Generator:
        """A ``numpy.random.Generator`` for ``step`` (default: the current one)."""
        step = self.step if step is None else step
        return np.random.Generator(
            np.random.Philox(key=self.key, counter=[0, 0, 0, step]))

    def generators(self, steps: Iterable[int]) -> Iterator[np.random.Generator]:
        """Yield :meth:`generator` of each step, always the same object.

        Setting a generator's counter takes a tenth of the time of making one; but
        the next step's has to wait until this one is done with.
        """
        generator = self.generator(0)
        state = generator.bit_generator.state
        for step in steps:
            state["state"]["counter"][3] = step
            generator.bit_generator.state = state
            yield generator

    def keep_mask(self, shape: Sequence[int], p: float,
                  start: int | None = None) -> np.ndarray:
        """Draw a bool array that is False with probability ``p``; go to the next step.

        Element i compares the i-th 16-bit word of the stream with p, so p is
        rounded to a multiple of 1/65536. :func:`minifer.ops.dropout.keep_mask` draws
        the same on a device.

        Parameters
        ----------
        shape : tuple of int
        p : float in [0, 1)
        start : int, optional
            Begin with this element of the stream. Default: 0, or, where ranks share a
            batch, where the part's mask begins in the batch's.
        """
        start = self.start(shape) if start is None else start
        mask = self.keep_part(start, start + math.prod(shape), p).reshape(shape)
        self.step += 1
        return mask

    def start(self, shape: Sequence[int]) -> int:
        """Where the flattened mask of a part of a batch begins in that of the batch.

        Parameters
        ----------
        shape : tuple of int
            The part's; its first axis is the batch's.
        """
        if self.part is None:
            return 0
        return self.part.row(shape[0]) * math.prod(shape[1:])

    def keep_part(self, start: int, stop: int, p: float) -> np.ndarray:
        """Elements ``start`` to ``stop`` of this step's flattened mask.

        Any part can be drawn on its own, by several threads for instance.
        Drawing parts does not move ``step``.
        """
        return self._words("<u2", start, stop) >= self.threshold(p)

    def noise_part(self, distribution: str, start: int, stop: int) -> np.ndarray:
        """Elements ``start`` to ``stop`` of this step's noise, float64.

        Element i of uniform noise has the upper 23 bits of the i-th 32-bit word of the
        stream, in the middle of their 2^-23: it is in (0, 1), and the same in float32.
        Normal noise is made of two such neighbours, u and v, by Box and Muller (1958):
        √(-2 ln u) times cos 2πv at even places and sin 2πv at odd ones, at most 5.8.
        :func:`minifer.ops.noise.noise` draws the same on a device. ``step`` stays.

        Parameters
        ----------
        distribution : {'uniform', 'normal'}
        start, stop : int
        """
        is_normal = distribution == "normal"
        first, last = (start - start % 2, stop + stop % 2) if is_normal else (start,
                                                                              stop)
        u = ((self._words("<u4", first, last) >> 9) + 0.5) * 2.0 ** -23
        if not is_normal:
            return u
        radius, angle = np.sqrt(-2 * np.log(u[::2])), 2 * math.pi * u[1::2]
        pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return pairs.ravel()[start - first:stop - first]

    def _words(self, dtype, start, stop):
        """Words ``start`` to ``stop`` of this step; a Philox block is 256 bits."""
        size = 32 // np.dtype(dtype).itemsize  # words of a block
        block = start // size
        count = -(-(stop - size * block) * 4 // size)
        generator = np.random.Generator(
            np.random.Philox(key=self.key, counter=[block, 0, 0, self.step]))
        words = generator.integers(0, 2 ** 64 - 1, count, np.uint64, endpoint=True)
        words = words.astype("<u8", copy=False).view(dtype)
        return words[start - size * block:stop - size * block]

    @staticmethod
    def threshold(p: float) -> int:
        """The least 16-bit word that keeps an element, 0 … 65536."""
        return round(p * 65536)


class OldNames(np.random.Generator):
    """A generator with the names of a ``RandomState``, which scripts of Lasagne use."""

    def randint(self, low: int, high: int | None = None, size: Any = None,
                dtype: Any = int) -> Any:
        """Whole numbers from ``low`` on and below ``high``, or from 0 below ``low``."""
        return self.integers(low, high, size, dtype)

    def rand(self, *shape: int) -> Any:
        """Uniform numbers in [0, 1)."""
        return self.random(shape or None)

    def randn(self, *shape: int) -> Any:
        """Standard normal numbers."""
        return self.standard_normal(shape or None)

    def random_sample(self, size: Any = None) -> Any:
        """Uniform numbers in [0, 1)."""
        return self.random(size)


def get_rng() -> Any:
    """The generator that initialisers use when none is given.

    A ``numpy.random.Generator``. Seeded with 0 until :func:`set_rng` is
    called, so that two runs of a script give the same network. It also has the names
    that a ``RandomState`` had, such as ``randint``.
    """
    if _rng is None:
        set_rng(0)
    return _rng


def set_rng(new_rng: Rng) -> None:
    """Set what :func:`get_rng` returns.

    Parameters
    ----------
    new_rng : int, numpy.random.Generator or numpy.random.RandomState
        A seed, or anything with ``uniform``, ``normal``. Pass a legacy
        ``RandomState`` to draw the weights that Lasagne drew.
    """
    global _rng
    if isinstance(new_rng, (int, np.integer)):
        new_rng = OldNames(Stream(new_rng, "init").generator().bit_generator)
    if not (hasattr(new_rng, "uniform") and hasattr(new_rng, "normal")):
        raise SettingError(
            f"set_rng: expected a seed or a NumPy generator, got {new_rng!r}.")
    _rng = new_rng


def as_rng(rng):
    """``rng`` as a generator: None is :func:`get_rng`, an int is a seed."""
    if rng is None:
        return get_rng()
    if isinstance(rng, (int, np.integer)):
        return Stream(rng, "init").generator()
    return rng


def draw_seed(rng=None):
    """A seed, 1 … 2147462578, for a layer with noise of its own.

    An int is itself the seed. Anything else draws one, in the place where
    Lasagne drew it, so that the weights that follow are the same.
    """
    if isinstance(rng, (int, np.integer)):
        return check_seed(rng)
    rng = as_rng(rng)
    draw = rng.integers if hasattr(rng, "integers") else rng.randint
    return int(draw(1, 2147462579))
