"""Types that hints share; shapes stand in the docstrings."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

__all__ = ["Array", "FilePath", "OnProgress", "Rng", "Shape"]

#: An array of any device. Checkers know NumPy's methods of it, and let those of CuPy
#: and of the emulator pass.
Array = Union[np.ndarray, Any]

#: The name of a file or a folder.
FilePath = Union[str, os.PathLike[str]]

#: Called as ``progress(done, total)``.
OnProgress = Callable[[int, int], object]

#: A seed, or a generator: NumPy's, or a ``RandomState`` of old.
Rng = Union[int, np.random.Generator, np.random.RandomState]

#: Lengths of axes, None where they are not known.
Shape = Sequence[Union[int, None]]
