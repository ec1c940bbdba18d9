"""The one global choice: the floating-point type of new parameters.

``minifer.config.floatX`` plays the role of ``theano.config.floatX``. It is
``"float32"``; gradient checks use ``"float64"``:

>>> import minifer
>>> with minifer.config.use_floatX("float64"):
...     layer = minifer.layers.DenseLayer((None, 3), num_units=2)
>>> layer.W.value.dtype
dtype('float64')

Layers keep the type of the array that comes in: parameters are converted to
it, never the other way round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import SettingError

#: Type of parameters created from now on: ``"float32"`` or ``"float64"``.
floatX = "float32"


@contextlib.contextmanager
def use_floatX(name: str) -> Iterator[None]:
    """Set :data:`floatX` to ``"float32"`` or ``"float64"`` for a block."""
    global floatX
    if name not in ("float32", "float64"):
        raise SettingError(
            f"floatX: expected 'float32' or 'float64', got {name!r}.")
    before, floatX = floatX, name
    try:
        yield
    finally:
        floatX = before
