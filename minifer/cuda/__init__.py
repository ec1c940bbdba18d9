"""CUDA kernels, and the code that launches them.

A ``.cu`` file of ``kernels/`` holds the kernels of one family of ops, from naive to
fast; the ``.py`` file of the same name here launches them. :mod:`minifer.ops` calls
those where arrays live on a GPU or on the emulator. ``kernels/README.md`` says how to
read and add one.
"""

from . import loader
from .loader import Kernel, kernel

__all__ = ["loader", "Kernel", "kernel"]
