"""Which function writes which layer: the tables of all files, put together."""

from ....layers.base import Layer, by_expressions
from . import (convolutions, merging, nonlinear, normalising, pools, recurrent,
               sampling, shapes)
from .expressions import write_expressions

__all__ = ["writer_of"]

#: Class -> ``write(graph, layer, x)``, which adds nodes and returns the output's name.
LAYERS = {cls: write for file in (convolutions, merging, nonlinear, normalising, pools,
                                  recurrent, sampling, shapes)
          for cls, write in file.LAYERS.items()}


#: What a class must have from another to compute the same.
MATHEMATICS = ("forward", "linear_forward", "_walk", "with_noise", "points_forward")


def writer_of(layer):
    """The function for a layer, or None.

    A class of a user's own is written as the one whose mathematics it has, or, where
    it has a ``get_output_for`` of expressions alone, as these.
    """
    cls = type(layer)
    for base in cls.__mro__:
        if base in LAYERS and all(getattr(cls, name, None) is getattr(base, name, None)
                                  for name in MATHEMATICS):
            return LAYERS[base]
    if cls.forward is by_expressions and issubclass(cls, Layer):
        return write_expressions
    return None
