"""Layers of functions that are known by name, and of a parameter alone."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import config, init
from .._types import Shape
from ..errors import MiniferError, one_line
from ..expressions.named import FUNCTIONS
from .base import Layer, MergeLayer
from .pairs import ExpressionPair, NoExpression
from .param import Spec

__all__ = ["FunctionLayer", "ParamLayer"]


class ParamLayer(MergeLayer):
    """A parameter as a layer: what it puts out is learnt, the same for any input.

    Parameters
    ----------
    shape : tuple of int
        Its shape, all of it: there is no axis for the batch.
    value : Param, array or initialiser, default Constant(0)
    trainable : bool, default True
    name : str, optional

    Examples
    --------
    A mask over the image, learnt:

    >>> from minifer.layers import FunctionLayer, InputLayer, ParamLayer
    >>> mask = ParamLayer((1, 8, 8), init.Constant(1))
    >>> FunctionLayer([InputLayer((None, 3, 8, 8)), mask], "multiply").output_shape
    (None, 3, 8, 8)
    """

    def __init__(self, shape: Sequence[int], value: Spec = init.Constant(0),
                 trainable: bool = True, *, name: str | None = None):
        self.name = name
        self.params = {}
        self.input_layers, self.input_shapes = [], []
        self.shape: tuple[int, ...] = tuple(n or 0 for n in self.check_shape(shape))
        if 0 in self.shape:  # where there was None
            self.fail("a shape of whole numbers", repr(shape))
        self.trainable = bool(trainable)
        self.value = self.add_param(value, self.shape, "value", self.trainable,
                                    self.trainable)

    def get_output_shape_for(self, input_shapes):
        return self.shape

    def forward(self, xs):
        return self.value.value, ()

    def backward(self, dy, cache):
        return [], {self.value: dy}


class FunctionLayer(MergeLayer):
    """A function of its inputs that is known by name, so that model files can hold it.

    Parameters
    ----------
    incomings : list of Layer or tuple
        The function's arguments.
    function : str
        A name of ``minifer.expressions.named.FUNCTIONS``: arithmetic (``"add"``),
        functions of each element (``"exp"``, ``"gelu"``), over axes (``"mean"``,
        ``"log_sum_exp"``), shapes (``"part"``, ``"pad"``), products (``"matmul"``).
    options : dict or list of (str, value), default ()
        The function's further arguments, plain data: ``{"axis": 1}``.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from minifer.layers import FunctionLayer, InputLayer, get_output
    >>> x = InputLayer((None, 2))
    >>> layer = FunctionLayer([x], "sum", {"axis": 1, "keepdims": True})
    >>> layer.output_shape, get_output(layer, np.array([[1., 2.]]))
    ((None, 1), array([[3.]]))
    """

    def __init__(self, incomings: Sequence[Layer | Shape], function: str,
                 options: Any = (), *, name: str | None = None):
        super().__init__(incomings, name)
        if function not in FUNCTIONS:
            near = difflib.get_close_matches(str(function), FUNCTIONS, 1)
            self.fail("the name of a function", repr(function),
                      f"Perhaps you meant {near[0]!r}?" if near else "")
        try:
            given = dict(options)
        except (TypeError, ValueError):
            self.fail("options as a dict", repr(options))
        self.function = function
        self.options = tuple((key, _plain(value)) for key, value in given.items())
        build = FUNCTIONS[function]
        try:
            self.pair = ExpressionPair(
                lambda *xs: build(*xs, **given),
                [len(shape) for shape in self.input_shapes])
        except NoExpression as error:
            self.fail(f"arguments and options that {function!r} takes",
                      one_line(error).rstrip("."))
        self._tried: dict = {}
        self.get_output_shape_for(self.input_shapes)

    def get_output_shape_for(self, input_shapes):
        key = tuple(map(tuple, input_shapes))
        if key not in self._tried:
            self._tried[key] = self._try(key)
        return self._tried[key]

    def _try(self, shapes):
        """The output's shape, None where it depends on what is not known.

        A batch without an image is tried with some: its output has none, either.
        """
        empty = any(0 in shape for shape in shapes)
        free = empty or any(None in shape for shape in shapes)
        found = []
        for unknown in (2, 3)[:1 + free]:
            xs = [np.zeros([n or unknown for n in shape], config.floatX)
                  for shape in shapes]
            try:
                with np.errstate(all="ignore"):
                    found.append(np.shape(self.pair.forward(*xs)[0]))
            except (MiniferError, ValueError, IndexError, TypeError) as error:
                self.fail(f"inputs that {self.function!r} takes, with its options",
                          f"{', '.join(map(str, shapes))} ({one_line(error)})")
        if len({len(shape) for shape in found}) > 1:
            self.fail("an output of as many axes for any batch",
                      " and ".join(map(str, found)))
        return tuple(lengths[0] if len(set(lengths)) == 1 else 0 if empty else None
                     for lengths in zip(*found))

    def forward(self, xs):
        return self.pair.forward(*xs)

    def backward(self, dy, cache):
        dxs, found = self.pair.backward(dy, cache)
        return list(dxs), found


def _plain(value):
    """Lists as tuples, through and through, and NumPy's numbers as Python's."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return value.item() if isinstance(value, np.generic) else value
