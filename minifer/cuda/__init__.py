"""CUDA kernels, and the code that launches them.

A ``.cu`` file holds the kernels of one family of ops, from naive to fast; the ``.py``
file beside it launches them. :mod:`minifer.ops` calls those where arrays live on a
GPU or on the emulator. README.md in this folder tells how to read and add one.
"""

from . import loader
from .loader import Kernel, kernel

__all__ = ["loader", "Kernel", "kernel"]
